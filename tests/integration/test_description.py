"""The API's own description: served to everybody, and readable without the internet."""

import re

from landbridge.api.app import routed_app
from landbridge.api.openapi import describe
from tests.integration.conftest import World


async def test_the_document_is_served_to_everybody_as_it_is_committed(world: World):
    first = await world.http.get("/openapi.json")
    second = await world.http.get("/openapi.json")

    assert first.headers["content-type"] == "application/json"
    assert first.json() == describe(routed_app())
    assert second.content == first.content


async def test_the_page_needs_nothing_but_this_server_and_lets_nothing_else_in(world: World):
    page = await world.http.get("/docs")

    needed = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert needed
    assert all(path.startswith("/docs/") for path in needed)
    for path in needed:
        answer = await world.http.get(path)
        assert (answer.status_code, bool(answer.content)) == (200, True), path
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert re.search(r"<script(?! src=)|<style| style=| on\w+=", page.text) is None, "its own policy forbids that"


async def test_there_is_no_other_file_below_the_page(world: World):
    for path in ("/docs/redoc.standalone.js", "/docs/..%2Fcore.py", "/docs/%2e%2e/core.py", "/docs/", "/docs/a/b"):
        answer = await world.http.get(path)
        assert (answer.status_code, answer.json()["error_code"]) == (404, "EndPoint.0005"), path


async def test_the_description_takes_no_version_away(world: World):
    assert (await world.http.get("/v1")).json()["version"]["id"] == "v1"
    assert (await world.http.get("/nothing")).status_code == 404
