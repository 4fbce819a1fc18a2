"""Whatever somebody does to a lab file: a lab comes out, or a message with file and line."""

import copy
import re
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from landbridge.lab import Lab, LabFileError, fabric, nics, parse_lab, show, show_table, users

DOCUMENT: dict[str, Any] = {
    "region": "lab-1",
    "operators": ["acme-admin", {"name": "ops", "domain": "conglomerate"}],
    "projects": [
        {
            "name": "acme",
            "users": [
                {
                    "name": "acme-admin",
                    "password": "secret",
                    "access_key": "ACMEKEY",
                    "secret_key": "acmesecret",
                    "roles": ["admin"],
                }
            ],
        },
        {"name": "globex", "domain": "conglomerate", "users": [{"name": "ops", "password": "secret"}]},
    ],
    "vpcs": [
        {
            "name": "acme-vpc",
            "project": "acme",
            "cidr": "10.0.0.0/16",
            "routes": [{"destination": "192.168.0.0/24"}],
            "subnets": [
                {
                    "name": "web",
                    "cidr": "10.0.0.0/24",
                    "gateway": "10.0.0.1",
                    "mtu": 1500,
                    "hosts": [{"name": "web-1", "ip": "10.0.0.20", "vips": ["10.0.0.30"], "mtu": 1400}],
                },
                {"name": "db", "cidr": "10.0.1.0/24"},
            ],
        }
    ],
    "public": {"cidr": "100.125.0.0/16", "gateway": "100.125.0.1", "hosts": [{"name": "obs-1", "ip": "100.125.0.10"}]},
    "public_services": [
        {"name": "com.example.obs", "type": "gateway", "cidrs": ["100.125.0.0/16"], "owner": "lab"},
        {
            "name": "com.example.dns",
            "type": "interface",
            "host": "web-1",
            "owner": "lab",
            "ports": [{"client_port": 53, "server_port": 53}],
        },
    ],
}
MESSAGE = re.compile(r"lab\.yaml:[1-9][0-9]*: .+; .+")


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every value inside a value."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [inner for key, item in steps for inner in [(*path, key), *paths(item, (*path, key))]]


PATHS = paths(DOCUMENT)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(["acme", "web-1", "10.0.0.1", "10.0.0.0/24", "10.0.0.0/99", "0.0.0.0/0", "198.19.128.0/24", "."]),
    st.ip_addresses().map(str),
)
anything = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)


@st.composite
def mutated_documents(draw: st.DrawFn) -> Any:
    document = copy.deepcopy(DOCUMENT)
    for path in draw(st.lists(st.sampled_from(PATHS), min_size=1, max_size=3)):
        holder: Any = document
        try:
            for step in path[:-1]:
                holder = holder[step]
            holder[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue  # An earlier mutation took this part away.
        if isinstance(holder, str):
            continue
        match draw(st.sampled_from(["delete", "replace", "repeat", "rename"])):
            case "delete":
                del holder[path[-1]]
            case "repeat" if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[path[-1]]))
            case "rename" if isinstance(holder, dict):
                holder[draw(st.text())] = holder.pop(path[-1])
            case _:
                holder[path[-1]] = draw(anything)
    return document


def outcome(text: str) -> Lab | LabFileError:
    try:
        return parse_lab(text)
    except LabFileError as error:
        return error


def check(text: str) -> None:
    match outcome(text):
        case LabFileError() as error:
            assert MESSAGE.fullmatch(str(error)), str(error)
            assert error.line is not None
            assert error.line <= len(text.splitlines()) + 1
        case lab:
            assert fabric(lab).region == lab.region
            assert len({nic.id for nic in nics(lab)}) == len(nics(lab))
            assert len({user.id for user in users(lab)}) == len(users(lab))
            show(lab)
            show_table(lab)


def test_the_document_itself_is_valid():
    assert parse_lab(yaml.safe_dump(DOCUMENT)).region == "lab-1"


@given(mutated_documents(), st.booleans())
def test_any_mutation_gives_a_lab_or_a_message_with_file_and_line(document: Any, flow: bool):
    check(yaml.dump(document, Dumper=PlainDumper, default_flow_style=flow, allow_unicode=True))


@given(st.data())
def test_any_cut_or_inserted_text_gives_a_lab_or_a_message_with_file_and_line(data: st.DataObject):
    text = yaml.safe_dump(DOCUMENT)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    inserted = data.draw(st.text() | st.text(alphabet="&*!{}[]:,-#|>'\"%@`?\\ \n\tab<=~1"))

    check(text[:start] + inserted + text[end:])


class PlainDumper(yaml.SafeDumper):
    """Writes a value that appears twice out in full."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
