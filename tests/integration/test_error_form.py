"""The shape of errors is the union of both documented ones, unless the operator chose one of them (contract 1.7)."""

import shutil
from pathlib import Path

import httpx
import pytest

from landbridge.api.app import create_app
from tests.integration.conftest import PUBLIC_URL, running


@pytest.mark.parametrize(
    ("form", "members"),
    [
        ("union", {"error", "error_code", "error_msg"}),
        ("nested", {"error"}),
        ("flat", {"error_code", "error_msg"}),
    ],
)
async def test_an_error_has_the_members_of_the_form_that_was_set(
    tmp_path: Path, database_with_the_lab: Path, form: str, members: set[str]
):
    shutil.copy(database_with_the_lab, tmp_path)
    async with running(tmp_path, error_form=form) as world:
        # Past the suite's own transport, which holds answers against the document: that describes the union.
        transport = httpx.ASGITransport(create_app(world.parts.api, world.telemetry))
        async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
            answer = await http.get("/v1/0d5c0000000000000000000000000001/quotas")

    error = answer.json()
    assert answer.status_code == 401
    assert error.keys() == members
    assert error.get("error_code", "EndPoint.0003") == "EndPoint.0003"
    assert error.get("error", {"code": "EndPoint.0003"})["code"] == "EndPoint.0003"
