"""Whose word counts about where a request came from."""

from typing import Any

import pytest

from landbridge.domain.errors import OperatorError
from landbridge.transport.proxies import ForwardedRequests, trusted_networks

CLIENT, PROXY, INNER_PROXY = "203.0.113.7", "10.0.0.5", "10.0.1.9"


async def passed_on(
    peer: str,
    headers: dict[str, str],
    trusted: tuple[str, ...] = (PROXY, "10.0.1.0/24"),
    *,
    tells_public_url: bool = True,
    is_listening_everywhere: bool = False,
) -> Any:
    """Return the scope that the API gets."""
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)

    middleware = ForwardedRequests(
        app,
        trusted_networks(trusted),
        tells_public_url=tells_public_url,
        is_listening_everywhere=is_listening_everywhere,
    )
    raw = [(name.encode(), value.encode()) for name, value in ({"host": "10.0.0.1:8770"} | headers).items()]
    scope = {"type": "http", "scheme": "http", "client": (peer, 4711), "server": ("10.0.0.1", 8770), "headers": raw}
    await middleware(scope, None, None)
    (scope,) = scopes
    return scope


def host_of(scope: Any) -> str:
    (host,) = [value for name, value in scope["headers"] if name == b"host"]
    return host.decode()


FORWARDED = {
    "x-forwarded-for": CLIENT,
    "x-forwarded-proto": "https",
    "x-forwarded-host": "vpcep.example.org",
}


async def test_a_trusted_proxy_says_who_asks_and_how():
    scope = await passed_on(PROXY, FORWARDED)

    assert (scope["client"][0], scope["scheme"], host_of(scope)) == (CLIENT, "https", "vpcep.example.org")
    assert scope["state"] == {"peer": PROXY, "public_url": "https://vpcep.example.org"}


async def test_a_stranger_who_says_the_same_is_not_believed():
    scope = await passed_on("203.0.113.66", FORWARDED)

    assert (scope["client"][0], scope["scheme"], host_of(scope)) == ("203.0.113.66", "http", "10.0.0.1:8770")
    assert scope["state"] == {"peer": "203.0.113.66"}


async def test_nobody_is_trusted_unless_named_not_even_this_machine():
    scope = await passed_on("127.0.0.1", FORWARDED, ())

    assert scope["client"][0] == "127.0.0.1"


@pytest.mark.parametrize(
    "chain",
    [
        f"{CLIENT}, {INNER_PROXY}",
        f"198.51.100.1, {CLIENT}, {INNER_PROXY}",
        f"127.0.0.1, {CLIENT}",
        f"{CLIENT}:55123",
    ],
)
async def test_the_client_is_the_rightmost_address_that_is_no_trusted_proxy(chain: str):
    assert (await passed_on(PROXY, {"x-forwarded-for": chain}))["client"][0] == CLIENT


async def test_several_headers_are_one_list():
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)

    middleware = ForwardedRequests(app, trusted_networks([PROXY]), tells_public_url=True, is_listening_everywhere=False)
    headers = [(b"x-forwarded-for", b"198.51.100.1"), (b"x-forwarded-for", CLIENT.encode())]
    await middleware({"type": "http", "scheme": "http", "client": (PROXY, 1), "headers": headers}, None, None)

    assert scopes[0]["client"][0] == CLIENT


async def test_what_is_no_address_makes_the_proxy_the_client():
    scope = await passed_on(PROXY, {"x-forwarded-for": "unknown; drop table"})

    assert scope["client"][0] == PROXY


@pytest.mark.parametrize("host", ["evil.example/path", "a b", "<script>", "", "user@host"])
async def test_what_is_no_host_is_not_taken_for_one(host: str):
    scope = await passed_on(PROXY, {"x-forwarded-host": host})

    assert host_of(scope) == "10.0.0.1:8770"
    assert scope["state"]["public_url"] == "http://10.0.0.1:8770"


async def test_of_several_forwarded_hosts_the_nearest_proxys_counts():
    scope = await passed_on(PROXY, {"x-forwarded-host": "invented.example, vpcep.example.org"})

    assert host_of(scope) == "vpcep.example.org"


async def test_a_public_url_that_was_set_is_not_told_anew():
    scope = await passed_on(PROXY, FORWARDED, tells_public_url=False)

    assert scope["state"] == {"peer": PROXY}


async def test_listening_everywhere_the_address_that_was_reached_is_told():
    scope = await passed_on(CLIENT, {}, is_listening_everywhere=True)

    assert scope["state"]["public_url"] == "http://10.0.0.1:8770"


async def test_an_ipv4_client_of_an_ipv6_socket_is_known_by_its_ipv4_address():
    scope = await passed_on(f"::ffff:{PROXY}", FORWARDED)

    assert (scope["state"]["peer"], scope["client"][0]) == (PROXY, CLIENT)


@pytest.mark.parametrize("text", ["*", "proxy.example.org", "10.0.0.0/33", "10.0.0.1/8", ""])
def test_what_is_no_network_is_refused_with_an_example(text: str):
    with pytest.raises(OperatorError, match=r"10\.0\.0\.0/24"):
        trusted_networks([text])
