"""Requests that are made from the OpenAPI document: whatever they are, the answers are the document's.

Schemathesis sends them to a real server on a socket. Each field that names something names something real in most of
the requests, so that they come further than the first look-up. Always the same requests: nothing is left to chance.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.conftest import Tenant
from tests.integration.estates import estate
from tests.integration.live import Server, live_server

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
REQUESTS_PER_OPERATION = 12
SECONDS = 300
"""It takes half a minute; a machine with other work to do may need more."""
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
ABSENT_ID = "00000000-0000-4000-8000-000000000000"
WORDS = {
    "ranges": [
        "10.0.0.0/16",
        "10.0.3.0/24",
        "172.16.0.0/12",
        "192.0.2.0/25",
        "198.19.128.0/17",
        "0.0.0.0/0",
        "10.0.0.1",
    ],
    "addresses": ["10.0.0.20", "10.0.3.7", "10.0.0.255", "192.0.2.1", "127.0.0.1", "10.0.0.0/30"],
    "names": ["one", "a-b_c", "with blanks", "", "x" * 64],
    "labels": ["team", "cost", "one-key", "one-value", "a b", ""],
    "entries": ["*", "iam:domain::*", "iam:domain::acme", "organizations:orgPath::o-1/r-1/ou-1/*", "iam:domain::"],
}
FIELDS = {
    "vpc_id": ["path.vpc_id", "query.vpc_id", *(f"body.{at}vpc_id" for at in ("", "subnet.", "routetable."))],
    "subnet_id": [
        "path.subnet_id",
        "query.network_id",
        "body.subnet_id",
        "body.port.network_id",
        "body.routetable.subnets.associate[*]",
        "body.routetable.subnets.disassociate[*]",
    ],
    "port_id": ["path.port_id", "body.port_id", "body.vip_port_id"],
    "routetable_id": ["path.routetable_id", "body.routetables[*]"],
    "service_id": ["path.service_id", "body.endpoint_service_id"],
    "endpoint_id": ["path.endpoint_id", "path.resource_id", "body.endpoints[*]", "body.connections[*].id"],
    "permission_id": ["path.permission_id", "body.permissions[*].id"],
    "any_id": ["query.id"],
    "ranges": [
        "body.vpc.cidr",
        "body.subnet.cidr",
        "body.whitelist[*]",
        *(f"body.routetable.routes.{verb}[*].destination" for verb in ("add", "mod", "del")),
        "body.routetable.routes[*].destination",
    ],
    "addresses": [
        "body.port_ip",
        "body.subnet.gateway_ip",
        "body.subnet.dnsList[*]",
        "body.port.fixed_ips[*].ip_address",
        "body.port.allowed_address_pairs[*].ip_address",
    ],
    "entries": ["body.permissions[*]", "body.permissions[*].permission"],
    "names": ["body.service_name", "body.endpoint_service_name"]
    + [f"body.{thing}.name" for thing in ("vpc", "subnet", "port", "routetable")],
    "labels": ["body.tags[*].key", "body.tags[*].value", "body.tags[*].values[*]", "body.tags_any[*].key"],
    "tokens": ["header.X-Subject-Token"],
}
"""Which fields take their values from which list."""


async def signed_in(server: Server, http: httpx.AsyncClient, project: str) -> Tenant:
    domain = {"name": project}
    user = {"name": f"{project}-admin", "password": f"{project}-password", "domain": domain}
    identity = {"methods": ["password"], "password": {"user": user}}
    answer = await http.post(
        "/v3/auth/tokens",
        json={"auth": {"identity": identity, "scope": {"project": {"name": project, "domain": domain}}}},
    )
    token = answer.headers["X-Subject-Token"]
    return Tenant(http, server.project_id(project), server.domain_id(project), token)


async def things(server: Server) -> tuple[Tenant, dict[str, list[str]]]:
    """Return a tenant, and lists of ids by the names that they have in paths.

    Own ones, a foreign and an absent one; those under `spare …` are for deletions.
    """
    async with httpx.AsyncClient(base_url=server.url) as http:
        tenant, stranger = await signed_in(server, http, "acme"), await signed_in(server, http, "globex")
        own, another, spare = [await estate(tenant, name) for name in ("one", "two", "three")]
        foreign = await estate(stranger, "foreign")
    # Mostly the same, so that two of them belong together often enough.
    estates = [own] * 5 + [another, foreign]
    ids = {name: [each.ids[name] for each in estates] + [ABSENT_ID] for name in own.ids}
    ids["port_id"].append(server.port_id("web-2"))
    spares = {f"spare_{name}": [spare.ids[name], foreign.ids[name]] for name in spare.ids}
    return tenant, ids | spares | {"any_id": [id_ for values in ids.values() for id_ in values]}


def configuration(tenant: Tenant, values: dict[str, list[str]]) -> str:
    """Return what Schemathesis reads, as TOML; JSON's texts and lists are TOML's too."""
    generation = [
        "deterministic = true",
        "with-security-parameters = false",
        "allow-x00 = false",
        f"max-examples = {REQUESTS_PER_OPERATION}",
    ]
    lines = [
        "[generation]",
        *generation,
        # What does not fit the document comes in the coverage phase; here requests shall come far.
        "[phases.fuzzing.generation]",
        'mode = "positive"',
        *generation,
        "[phases.fuzzing.extra-data-sources]",
        "responses = false",
        "[phases.fuzzing.error-feedback]",
        "enabled = false",
        *(f"[dictionaries.{name}]\nvalues = {json.dumps(entries)}" for name, entries in values.items()),
        "[parameters]",
        f'"path.project_id" = "{tenant.project_id}"',
        *(_binding(field, name) for name, fields in FIELDS.items() for field in fields),
        '[[operations]]\ninclude-method = "DELETE"\n[operations.parameters]',
        *(_binding(f"path.{name.removeprefix('spare_')}", name) for name in values if name.startswith("spare_")),
    ]
    return "\n".join(lines) + "\n"


def _binding(field: str, name: str) -> str:
    return f'"{field}" = {{dictionary = "{name}", probability = 0.8}}'


@pytest.fixture
def fresh_server(tmp_path: Path) -> Any:
    """Run a server that nobody else needs afterwards."""
    with live_server(tmp_path) as running:
        yield running


def test_no_request_that_fits_the_document_or_not_gets_an_answer_that_is_not_in_it(
    fresh_server: Server, tmp_path: Path
):
    tenant, ids = asyncio.run(things(fresh_server))
    (tmp_path / "schemathesis.toml").write_text(configuration(tenant, ids | WORDS | {"tokens": [tenant.token]}))
    command = [SCHEMATHESIS, "--no-color", "run", f"{fresh_server.url}/openapi.json"]
    command += ["--phases", "examples,coverage,fuzzing", "--checks", ",".join(CHECKS), "--continue-on-failure"]
    command += ["--header", f"X-Auth-Token: {tenant.token}", "--generation-database", "none", "--warnings", "off"]

    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False)

    assert ended.returncode == 0, ended.stdout[-20_000:] + ended.stderr[-2000:]
    assert "request.failed" not in fresh_server.log.read_text()
