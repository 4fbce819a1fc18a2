"""Projects, users and access keys by command, before a server's first start and beside a lab file."""

import asyncio
import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from landbridge import lab as labs
from landbridge.bootstrap.lab_start import store_lab
from landbridge.cli.main import main
from landbridge.domain.errors import OperatorError
from landbridge.identity.state_keys import open_state_keys
from landbridge.store.sqlite import SqliteStore

LAB = """\
region: lab-1
projects:
  - name: acme
    users: [{name: admin, password: hunter2, access_key: ACMEKEY, secret_key: acme-secret}]
"""


@dataclass
class Console:
    """The command line on one state directory."""

    state: Path

    def run(self, *words: str, **options: Any) -> Result:
        return CliRunner().invoke(main, [*words, "--state", str(self.state)], **options)

    def get(self, *words: str, **options: Any) -> Any:
        """Run a command that must succeed; return what it prints as JSON."""
        result = self.run(*words, "--json", **options)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def refused(self, *words: str, **options: Any) -> str:
        """Run a command that must fail with one sentence; return the sentence."""
        result = self.run(*words, **options)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
        return result.stderr.removeprefix("error: ").rstrip("\n")

    def project_names(self) -> list[str]:
        return [project["name"] for project in self.get("project", "list")["projects"]]

    def user_names(self) -> list[str]:
        return [user["name"] for user in self.get("user", "list")["users"]]

    def store_lab(self, text: str) -> None:
        """Do what a start with this lab file does to the accounts."""
        with SqliteStore.open(self.state / "landbridge.sqlite3") as store:
            keys = open_state_keys(self.state)
            asyncio.run(store_lab(store, labs.parse_lab(text), keys.sealing_key))


@pytest.fixture
def console(tmp_path: Path) -> Console:
    """A state directory that no server has seen yet."""
    return Console(tmp_path / "state")


# Without a server


def test_accounts_are_made_before_the_first_start(console: Console):
    project = console.get("project", "create", "shop")
    user = console.get("user", "create", "ann", "--project", "shop")
    key = console.get("key", "create", "ann")

    assert (project["name"], project["domain"], project["origin"]) == ("shop", "shop", "command")
    assert user["domain_id"] == project["domain_id"]
    assert user["roles"] == [{"project_id": project["id"], "project": "shop", "roles": ["admin"]}]
    assert len(user["password"]) == 24
    assert (key["user_id"], len(key["access_key"]), len(key["secret_key"])) == (user["id"], 20, 40)
    assert stat.S_IMODE(console.state.stat().st_mode) == 0o700
    for id_ in (project["id"], project["domain_id"], user["id"]):
        assert len(bytes.fromhex(id_)) == 16


def test_a_secret_is_shown_once_and_kept_unreadable(console: Console):
    console.get("project", "create", "shop")
    made = console.run("user", "create", "ann", "--project", "shop")
    key = console.get("key", "create", "ann")

    password = made.stdout.split("password")[1].split()[0]
    assert "shown only now" in made.stderr
    assert password not in made.stderr
    later = "".join(
        console.run(*words).output for words in (("user", "list"), ("key", "list"), ("user", "delete", "ann"))
    )
    kept = b"".join(path.read_bytes() for path in console.state.iterdir())
    for secret in (password, key["secret_key"]):
        assert secret not in later
        assert secret.encode() not in kept


def test_a_given_password_is_not_shown_at_all(console: Console):
    console.get("project", "create", "shop")

    made = console.run("user", "create", "ann", "--project", "shop", "--password-stdin", input="hunter 2\nmore\n")

    assert made.exit_code == 0
    assert "hunter" not in made.output
    assert "password" not in made.output


@pytest.mark.parametrize("given", ["", "\n", b"\xff\n"])
def test_a_password_that_is_none_is_refused(console: Console, given: str | bytes):
    console.get("project", "create", "shop")

    refused = console.run("user", "create", "ann", "--project", "shop", "--password-stdin", input=given)

    assert refused.exit_code == 2
    assert "password" in refused.stderr
    assert console.user_names() == []


def test_a_user_may_have_roles_in_several_projects_and_come_from_another_domain(console: Console):
    shop = console.get("project", "create", "shop", "--domain", "acme")
    bank = console.get("project", "create", "bank", "--domain", "acme")
    guest = console.get(
        *("user", "create", "guest", "--domain", "partner", "--role", "reader", "--role", "operator"),
        *("--project", "shop", "--project", bank["id"]),
    )

    assert shop["domain_id"] == bank["domain_id"] != guest["domain_id"]
    assert {one["project"]: one["roles"] for one in guest["roles"]} == {
        "shop": ["operator", "reader"],
        "bank": ["operator", "reader"],
    }


def test_what_several_domains_call_alike_is_told_apart_by_domain_or_id(console: Console):
    first = console.get("project", "create", "shop", "--domain", "acme")
    second = console.get("project", "create", "shop", "--domain", "globex")

    ambiguous = console.refused("project", "delete", "shop")

    assert first["id"] in ambiguous
    assert second["id"] in ambiguous
    assert (
        console.get("user", "create", "ann", "--project", "shop", "--domain", "globex")["roles"][0]["project_id"]
        == (second["id"])
    )
    assert console.get("project", "delete", "shop", "--domain", "acme")["id"] == first["id"]
    assert console.get("project", "delete", second["id"])["id"] == second["id"]
    assert console.project_names() == []


def test_a_key_is_deleted_without_its_user_and_a_user_with_all_keys(console: Console):
    console.get("project", "create", "shop")
    ann = console.get("user", "create", "ann", "--project", "shop")
    keys = [console.get("key", "create", ann["id"])["access_key"] for _ in range(3)]

    console.get("key", "delete", keys[1])
    left = [key["access_key"] for key in console.get("key", "list", "ann")["keys"]]
    console.get("user", "delete", "ann")

    assert left == [keys[0], keys[2]]
    assert console.get("key", "list") == {"keys": []}


def test_a_deleted_projects_users_stay_without_a_role(console: Console):
    console.get("project", "create", "shop")
    console.get("user", "create", "ann", "--project", "shop")

    console.get("project", "delete", "shop")

    (ann,) = console.get("user", "list")["users"]
    assert (ann["name"], ann["domain"], ann["roles"]) == ("ann", "shop", [])
    # The domain is still there, as somebody is in it.
    assert console.get("project", "create", "shop")["domain_id"] == ann["domain_id"]


def test_every_mistake_is_told_in_one_sentence_with_the_way_out(console: Console):
    console.get("project", "create", "shop")
    console.get("user", "create", "ann", "--project", "shop")

    for words, advice in (
        (("project", "create", "shop"), "take another name"),
        (("project", "create", "a shop"), "letters, digits"),
        (("project", "create", "bank", "--domain", "a/b"), "letters, digits"),
        (("project", "create", ""), "letters, digits"),
        (("project", "delete", "nowhere"), "landbridge project list"),
        (("user", "create", "bob", "--project", "nowhere"), "landbridge project list"),
        (("user", "create", "ann", "--project", "shop"), "take another name"),
        (("user", "create", "a b", "--project", "shop"), "without spaces"),
        (("user", "create", "bob", "--project", "shop", "--domain", "a b"), "letters, digits"),
        (("user", "delete", "nobody"), "landbridge user list"),
        (("key", "create", "nobody"), "landbridge user list"),
        (("key", "delete", "NOKEY"), "landbridge key list"),
    ):
        assert advice in console.refused(*words), words
    assert console.user_names() == ["ann"]
    assert console.project_names() == ["shop"]


def test_a_state_that_is_not_there_is_made_by_the_first_project_only(console: Console):
    for words in (("project", "list"), ("user", "list"), ("key", "list"), ("user", "create", "a", "--project", "b")):
        assert "make a project first" in console.refused(*words)

    assert not console.state.exists()
    console.get("project", "create", "shop")
    assert console.project_names() == ["shop"]


def test_tables_for_people_show_what_was_made_and_by_whom(console: Console):
    console.get("project", "create", "shop")
    console.store_lab(LAB)
    console.get("user", "create", "ann", "--project", "acme", "--role", "reader")

    lines = [line.split() for line in console.run("user", "list").stdout.splitlines()]

    assert lines[0] == ["ID", "NAME", "DOMAIN", "ORIGIN", "ROLES"]
    assert [line[1:] for line in lines[1:]] == [
        ["admin", "acme", "lab", "acme:", "admin"],
        ["ann", "acme", "command", "acme:", "reader"],
    ]


# Beside a lab file


def test_what_was_made_by_command_survives_every_start_of_a_lab(console: Console):
    console.get("project", "create", "shop")
    console.get("user", "create", "ann", "--project", "shop")
    key = console.get("key", "create", "ann")["access_key"]

    for text in (LAB, LAB, LAB.replace("acme", "globex")):
        console.store_lab(text)
        assert "shop" in console.project_names()
        assert "ann" in console.user_names()
        assert key in [one["access_key"] for one in console.get("key", "list")["keys"]]
    assert console.project_names() == ["globex", "shop"]
    assert console.user_names() == ["admin", "ann"]


def test_a_user_of_the_commands_may_work_in_the_lab_files_project_and_keeps_the_role(console: Console):
    console.get("project", "create", "shop")
    console.store_lab(LAB)
    ann = console.get("user", "create", "ann", "--project", "acme", "--role", "member")

    console.store_lab(LAB.replace("hunter2", "hunter3"))

    (found,) = (user for user in console.get("user", "list")["users"] if user["name"] == "ann")
    assert found["roles"] == ann["roles"]
    assert found["domain_id"] == console.get("project", "list")["projects"][0]["domain_id"]


@pytest.mark.parametrize(
    "words",
    [
        ("project", "delete", "acme"),
        ("user", "delete", "admin"),
        ("key", "create", "admin"),
        ("key", "delete", "ACMEKEY"),
    ],
)
def test_what_the_lab_file_made_is_changed_in_the_lab_file(console: Console, words: tuple[str, ...]):
    console.get("project", "create", "shop")
    console.store_lab(LAB)

    assert "comes from the lab file: change it there" in console.refused(*words)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((("project", "create", "acme"),), "the domain acme of the lab file is there already"),
        ((("project", "create", "x", "--domain", "acme"),), "the domain acme of the lab file is there already"),
    ],
)
def test_a_lab_file_that_wants_a_domain_of_the_commands_is_refused_whole(
    console: Console, words: tuple[tuple[str, ...], ...], complaint: str
):
    for command in words:
        console.get(*command)
    before = console.get("project", "list")

    with pytest.raises(OperatorError, match=complaint):
        console.store_lab(LAB)

    assert console.get("project", "list") == before
    assert console.user_names() == []


@pytest.mark.parametrize(
    ("make", "wanted", "complaint"),
    [
        (("project", "create", "bank", "--domain", "acme"), "name: bank\n    domain: acme", "the project bank"),
        (("user", "create", "ann", "--project", "acme"), "name: ann", "the user ann"),
    ],
)
def test_a_lab_file_that_wants_a_name_of_the_commands_is_refused(
    console: Console, make: tuple[str, ...], wanted: str, complaint: str
):
    console.get("project", "create", "shop")
    console.store_lab(LAB)
    console.get(*make)
    greedy = LAB.replace("name: admin", wanted) if "user" in make else f"{LAB}  - {wanted}\n"

    with pytest.raises(OperatorError, match=complaint):
        console.store_lab(greedy)

    console.store_lab(LAB)
