"""The signature of contract 8.3, `Credential=<AK>/yyyymmdd/region/service/sdk_request`, of gophertelekomcloud.

Its vectors, a signer written after the Go code as a second opinion, and what this form leaves unsigned by itself.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landbridge.control.accounts import SignedRequest
from landbridge.domain.errors import Unauthenticated
from landbridge.identity.sealing import Secret
from landbridge.identity.signature import read_signature

ACCESS_KEY = "LABACCESSKEY00000001"
SECRET_KEY = Secret("LabSecretKey/for+tests=000000000000000001")
PROJECT = "/v1/0d5c0000000000000000000000000001"
NOW = datetime(2026, 11, 22, 17, 0, tzinfo=UTC)
SKEW = timedelta(minutes=15)
HEADERS = {"Content-Type": "application/json", "Host": "vpcep.lab.test:8770", "X-Sdk-Date": "20261122T170000Z"}
EMPTY_HASH = hashlib.sha256().hexdigest()


def is_accepted(request: SignedRequest) -> bool:
    try:
        claimed = read_signature(request, NOW, SKEW)
    except Unauthenticated:
        return False
    return claimed.access_key == ACCESS_KEY and claimed.is_by(SECRET_KEY)


def go_signed(
    method: str = "GET",
    path: str = f"{PROJECT}/quotas",
    query: Mapping[str, list[str]] | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    scope: str = "20261122///sdk_request",
    query_on_the_wire: str | None = None,
) -> SignedRequest:
    """Return a request signed step by step as signer_helper.go does. `path` is plain text, not yet encoded."""
    values, sent = query or {}, {**HEADERS, **(headers or {})}
    first_values = {quote(name, safe=""): quote(all_[0], safe="") for name, all_ in values.items()}
    canonical_query = "&".join(f"{name}={first_values[name]}" for name in sorted(first_values, key=str.lower))
    hashed = body
    if method == "POST" and not body:
        canonical_query = ""
        # url.Values.Encode: every value, by name, a space as a plus.
        hashed = urlencode(sorted(values.items()), doseq=True, quote_via=quote_plus).encode()
    names = sorted(sent, key=str.lower)
    lines = [method, quote(path if path.endswith("/") else f"{path}/", safe="/"), canonical_query]
    lines += [name.lower() + ":" + re.sub(r"\s+", " ", sent[name], flags=re.ASCII) for name in names]
    lines += ["", ";".join(names).lower(), sent.get("X-Sdk-Content-Sha256", hashlib.sha256(hashed).hexdigest())]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    key = b"SDK" + SECRET_KEY.reveal().encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    to_sign = f"SDK-HMAC-SHA256\n{sent['X-Sdk-Date']}\n{scope}\n{digest}"
    signature = hmac.new(key, to_sign.encode(), "sha256").hexdigest()
    received = {name.lower(): value for name, value in sent.items()}
    received["authorization"] = (
        f"SDK-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={';'.join(names).lower()}, "
        f"Signature={signature}"
    )
    if query_on_the_wire is None:
        query_on_the_wire = urlencode(sorted(values.items()), doseq=True)
    return SignedRequest(method, quote(path), query_on_the_wire, received, body)


VECTORS = {
    "a get with a query": (
        ("GET", f"{PROJECT}/vpc-endpoint-services", "endpoint_service_name=bill%20ing~x&limit=10", b""),
        "f0a7b279436682f1c67e82ad21cacff68085bf3b65cfa7cc0111003e5332ec7d",
    ),
    "a post": (
        ("POST", f"{PROJECT}/vpc-endpoint-services", "", b'{"vpc_id":"v"}'),
        "d7fab0878b7d44b89a2f27bde568e032e1821e2d914f321d16b40c2c6facba10",
    ),
    "a get": (
        ("GET", f"{PROJECT}/quotas", "", b""),
        "f06dfc447a426b5528e483746f62e299df88d55ff15f1000d02eece3c9a6ea6f",
    ),
    "a post without a body": (
        ("POST", f"{PROJECT}/x", "b=2&a=1%2F2", b""),
        "5c5fd9609453be46e841a6c2ad41bcc56d7c21cef89f77033ef6a9d29a518719",
    ),
}


@pytest.mark.parametrize(("line", "signature"), VECTORS.values(), ids=VECTORS)
def test_the_vectors_of_the_contract_are_accepted(line, signature):
    method, path, query, body = line
    headers = {name.lower(): value for name, value in HEADERS.items()}
    headers["x-project-id"] = PROJECT.removeprefix("/v1/")
    headers["authorization"] = (
        f"SDK-HMAC-SHA256 Credential={ACCESS_KEY}/20261122///sdk_request, "
        f"SignedHeaders=content-type;host;x-sdk-date, Signature={signature}"
    )

    assert is_accepted(SignedRequest(method, path, query, headers, body))


@pytest.mark.parametrize(
    "parts",
    [
        {"path": f"{PROJECT}/a b/ü+~%/c/"},
        {"query": {"b": ["2"], "A": ["1"], "a-b": ["x y"], "_": ["é/~"]}},
        {"query": {"limit": ["10"], "Limit2": ["20"]}, "query_on_the_wire": "Limit2=20&limit=10"},
        {"query": {"name": ["bill ing"]}, "query_on_the_wire": "name=bill+ing"},
        {"method": "POST", "query": {"z": ["a b", "~"], "B": ["ü*"], "a": ["1/2"]}},
        {"method": "PUT", "query": {"a": ["1"]}, "body": b"{}"},
        {"headers": {"X-Note": "one   two\t three", "accept": "*/*", "X_Note": "1"}},
        {"scope": "20261122/lab-1/vpcep/sdk_request"},
        {"body": b"{}", "headers": {"X-Sdk-Content-Sha256": hashlib.sha256(b"{}").hexdigest()}},
        {"method": "DELETE", "headers": {"X-Sdk-Content-Sha256": "UNSIGNED-PAYLOAD"}},
    ],
    ids=repr,
)
def test_what_the_go_code_signs_is_accepted(parts):
    assert is_accepted(go_signed(**parts))


WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)


@settings(deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    segments=st.lists(st.text("abcxyz019-._~% äß+:@", max_size=6), max_size=4),
    # Names that differ in case only are in no order of their own in Go either.
    query=st.dictionaries(WORDS, WORDS.map(lambda word: [word]), max_size=4).filter(
        lambda query: len({quote(name, safe="").lower() for name in query}) == len(query)
    ),
    note=st.text("ab äß \t,;=", max_size=8),
    body=st.binary(max_size=40),
)
def test_any_request_of_the_go_code_is_accepted(method, segments, query, note, body):
    path = "/v1/" + "/".join(segments)

    assert is_accepted(go_signed(method, path, query, {"X-Note": f"a{note}b"}, body))


SIGNED = go_signed("PUT", f"{PROJECT}/x", {"limit": ["10"], "name": ["b c"]}, {"X-Note": "a  b"}, b'{"a":1}')


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "POST"},
        {"path": f"{PROJECT}/y"},
        {"query": "limit=11&name=b+c"},
        {"query": "limit=10"},
        {"query": "limit=10&name=b+c&offset=1"},
        {"body": b'{"a":2}'},
        {"body": b""},
        {"headers": {**SIGNED.headers, "x-note": "a c"}},
        {"headers": {**SIGNED.headers, "host": "elsewhere"}},
    ],
    ids=repr,
)
def test_a_changed_request_is_refused(changed):
    assert is_accepted(SIGNED)

    assert not is_accepted(replace(SIGNED, **changed))


def test_another_region_service_or_secret_is_refused():
    claim = SIGNED.headers["authorization"]
    moved = {**SIGNED.headers, "authorization": claim.replace("20261122///", "20261122/lab-1//")}

    assert not is_accepted(replace(SIGNED, headers=moved))
    assert not read_signature(SIGNED, NOW, SKEW).is_by(Secret("another"))


def test_a_second_value_of_a_name_is_refused_as_only_the_first_is_signed():
    request = go_signed(query={"limit": ["10"]})

    for query in ("limit=10&limit=1000", "limit=10&limit=10", "limit=10&l%69mit=1000"):
        with pytest.raises(Unauthenticated, match="send each one once"):
            read_signature(replace(request, query=query), NOW, SKEW)


@pytest.mark.parametrize("query", ["a=1&b=3", "a=1", "a=1&b=2&b=3", "b=2&a=1&c", ""])
def test_the_query_of_a_post_without_a_body_is_signed_in_the_bodys_place(query):
    request = go_signed("POST", query={"a": ["1"], "b": ["2"]})

    assert is_accepted(replace(request, query="b=2&a=1"))
    assert not is_accepted(replace(request, query=query))


@pytest.mark.parametrize("content_hash", [EMPTY_HASH, "UNSIGNED-PAYLOAD"])
def test_a_content_hash_cannot_leave_the_query_of_a_post_without_a_body_unsigned(content_hash):
    # The Go code would sign neither the query nor its hash.
    request = go_signed("POST", query={"a": ["1"]}, headers={"X-Sdk-Content-Sha256": content_hash})

    assert not is_accepted(request)
    assert not is_accepted(replace(request, query="a=2"))


@pytest.mark.parametrize(
    ("parts", "is_signed"),
    [
        ({"method": "PUT", "body": b"{}"}, True),
        ({"method": "POST", "query": {"a": ["1"]}}, True),
        ({"method": "PUT", "body": b"{}", "headers": {"X-Sdk-Content-Sha256": "UNSIGNED-PAYLOAD"}}, False),
        ({"method": "DELETE", "headers": {"X-Sdk-Content-Sha256": "UNSIGNED-PAYLOAD"}}, False),
    ],
    ids=["a body", "a query in its place", "a body unsigned", "no body, and one could be added"],
)
def test_a_body_that_is_left_unsigned_is_known(parts, is_signed):
    assert read_signature(go_signed(**parts), NOW, SKEW).is_body_signed is is_signed


@pytest.mark.parametrize("date", ["20261121", "20261123", "00000000"])
def test_the_date_of_the_scope_must_be_the_date_of_the_header(date):
    with pytest.raises(Unauthenticated, match="must be the date of X-Sdk-Date"):
        read_signature(go_signed(scope=f"{date}///sdk_request"), NOW, SKEW)


def test_the_clock_difference_is_bounded_in_this_form_too():
    with pytest.raises(Unauthenticated, match="set the client's clock"):
        read_signature(SIGNED, NOW + SKEW + timedelta(seconds=1), SKEW)


def test_an_access_key_may_hold_slashes():
    claim = SIGNED.headers["authorization"].replace(ACCESS_KEY, "AK/with=/slashes/20261121")
    claimed = read_signature(replace(SIGNED, headers={**SIGNED.headers, "authorization": claim}), NOW, SKEW)

    assert claimed.access_key == "AK/with=/slashes/20261121"
    assert claimed.is_by(SECRET_KEY)


@pytest.mark.parametrize(
    "credential",
    [
        "",
        ACCESS_KEY,
        f"{ACCESS_KEY}/20261122/sdk_request",
        f"{ACCESS_KEY}/20261122/lab-1/vpcep",
        f"{ACCESS_KEY}/20261122///sdk_requests",
        f"{ACCESS_KEY}/2026112///sdk_request",
        f"{ACCESS_KEY}/\u0662\u0660261122///sdk_request",
        "/20261122///sdk_request",
        f"{ACCESS_KEY}/20261122/{'r' * 65}//sdk_request",
        f"{'A' * 129}/20261122///sdk_request",
    ],
    ids=ascii,
)
def test_a_malformed_credential_is_refused(credential):
    headers = {
        **SIGNED.headers,
        "authorization": f"SDK-HMAC-SHA256 Credential={credential}, SignedHeaders=x-sdk-date, Signature={'0' * 64}",
    }

    with pytest.raises(Unauthenticated, match="must read"):
        read_signature(replace(SIGNED, headers=headers), NOW, SKEW)
