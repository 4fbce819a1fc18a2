import traceback
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from landbridge.control.accounts import DomainScope, ProjectScope, User
from landbridge.domain.errors import OperatorError, Unauthenticated
from landbridge.domain.ids import DomainId, ProjectId
from landbridge.identity.tokens import SignedToken, TokenSigner, new_token_facts

KEY = b"k" * 32
SIGNER = TokenSigner(KEY)
NOW = datetime(2026, 11, 22, 17, 0, 0, 123456, tzinfo=UTC)
USER = User("u1", "Jürgen", DomainId("d1"), "acme")
# In another domain than the user's: both are kept.
PROJECT = ProjectScope(ProjectId("p1"), "lab-1", DomainId("d2"), "zenith", frozenset({"admin", "reader"}))
DOMAIN = DomainScope(DomainId("d1"), "acme")
MARK = SIGNER.password_mark("$argon2id$…")


def signed(scope: ProjectScope | DomainScope | None = PROJECT, now: datetime = NOW) -> SignedToken:
    return SignedToken(new_token_facts(USER, scope, methods=("password", "token"), now=now, audit_id="a1"), MARK)


def mint(token: SignedToken) -> str:
    return SIGNER.mint(token.facts, token.password_mark)


TOKEN = mint(signed())


@pytest.mark.parametrize("scope", [PROJECT, DOMAIN, None], ids=["project", "domain", "unscoped"])
def test_a_token_says_what_it_was_minted_with(scope: ProjectScope | DomainScope | None):
    assert SIGNER.read(mint(signed(scope)), NOW) == signed(scope)


def test_a_token_ends_no_later_than_it_may():
    at_noon = NOW.replace(hour=19)
    facts = new_token_facts(USER, None, methods=("token",), now=NOW, audit_id="a1", no_later_than=at_noon)

    assert facts.expires_at == at_noon


def test_a_password_mark_follows_the_hash_and_the_key_and_shows_neither():
    assert SIGNER.password_mark("one") == SIGNER.password_mark("one")
    assert (
        len({SIGNER.password_mark("one"), SIGNER.password_mark("two"), TokenSigner(b"x" * 32).password_mark("one")})
        == 3
    )
    assert MARK not in repr(signed())


def test_a_token_lives_for_24_hours():
    facts = signed().facts
    assert facts.issued_at == NOW.replace(microsecond=0)
    assert facts.expires_at - facts.issued_at == timedelta(hours=24)

    assert SIGNER.read(TOKEN, facts.expires_at - timedelta(microseconds=1)) == signed()
    with pytest.raises(Unauthenticated, match="expired"):
        SIGNER.read(TOKEN, facts.expires_at)


def test_the_wall_clock_is_not_read():
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    far_off = datetime(2199, 1, 1, tzinfo=UTC)
    for now in (long_ago, far_off):
        assert SIGNER.read(mint(signed(now=now)), now) == signed(now=now)


@settings(deadline=None)
@given(position=st.integers(0, len(TOKEN) - 1), other=st.characters())
def test_a_token_with_any_character_changed_is_refused(position: int, other: str):
    assume(other != TOKEN[position])

    with pytest.raises(Unauthenticated):
        SIGNER.read(TOKEN[:position] + other + TOKEN[position + 1 :], NOW)


@settings(deadline=None)
@given(st.text())
def test_whatever_a_token_holds_the_answer_is_unauthenticated(text: str):
    header, payload, signature = TOKEN.split(".")
    for token in (text, TOKEN + text + " ", f"{header}.{text}.{signature}", f"{header}.{payload}.{text}"):
        with pytest.raises(Unauthenticated):
            SIGNER.read(token, NOW)


def test_another_key_is_refused():
    with pytest.raises(Unauthenticated):
        TokenSigner(b"x" * 32).read(TOKEN, NOW)


def test_a_token_cannot_choose_its_algorithm():
    claims = jwt.decode(TOKEN, options={"verify_signature": False})
    strong = jwt.encode(claims, KEY * 2, algorithm="HS512")
    none = jwt.encode(claims, None, algorithm="none")
    with_key_id = jwt.encode(claims, KEY, algorithm="HS256", headers={"kid": "../../etc/passwd"})

    for token in (strong, none, with_key_id):
        with pytest.raises(Unauthenticated):
            TokenSigner(KEY * 2 if token is strong else KEY).read(token, NOW)


@pytest.mark.parametrize("claim", sorted(jwt.decode(TOKEN, options={"verify_signature": False})))
def test_every_claim_is_required(claim: str):
    claims = jwt.decode(TOKEN, options={"verify_signature": False})
    del claims[claim]

    with pytest.raises(Unauthenticated):
        SIGNER.read(jwt.encode(claims, KEY, algorithm="HS256"), NOW)


def test_a_deeply_nested_header_is_refused_before_it_is_parsed():
    nested = urlsafe_b64encode(b"[" * 5000).decode().rstrip("=")

    with pytest.raises(Unauthenticated):
        SIGNER.read(f"{nested}.{nested}.{'A' * 43}", NOW)


def test_a_short_key_is_refused():
    with pytest.raises(OperatorError, match="at least 32"):
        TokenSigner(b"short")


def test_a_refusal_shows_neither_token_nor_key():
    signer = TokenSigner(b"another key, of thirty-two bytes")
    with pytest.raises(Unauthenticated) as refusal:
        signer.read(TOKEN, NOW)

    shown = "".join(traceback.format_exception(refusal.value))
    assert TOKEN.rpartition(".")[2] not in shown
    assert "another key" not in shown + repr(signer)
