"""What Keystone's answers give: less where something is missing, never more."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.control.accounts import DomainScope, ProjectScope, User
from landbridge.domain.ids import DomainId, ProjectId
from landbridge.identity.keystone_answers import KeyDocuments, UnreadableAnswer, read_key_holder, read_token
from landbridge.identity.sealing import Secret

ROLES = {"member": "member", "VPCEndpoint Administrator": "admin", "reader": "reader"}
ACME = {"id": "d1", "name": "acme"}
ANN = User("u1", "ann", DomainId("d1"), "acme")


def token(**changes: Any) -> dict[str, Any]:
    """Return what Keystone says about a token of ann's; None takes a member out."""
    members = {
        "methods": ["password"],
        "user": {"id": "u1", "name": "ann", "domain": ACME, "password_expires_at": None},
        "audit_ids": ["a1", "a0"],
        "issued_at": "2026-11-22T17:00:00.000000Z",
        "expires_at": "2026-11-22T18:00:00.000000Z",
        "project": {"id": "p1", "name": "lab-1", "domain": ACME},
        "is_domain": False,
        "roles": [{"id": "r1", "name": "member"}, {"id": "r2", "name": "auditor"}],
    } | changes
    return {"token": {name: member for name, member in members.items() if member is not None}}


def credential(**changes: Any) -> dict[str, Any]:
    blob = {"access": "AK", "secret": "the secret key", "trust_id": None} | changes.pop("blob", {})
    members = {"type": "ec2", "user_id": "u1", "project_id": "p1", "blob": json.dumps(blob)} | changes
    return {"credential": members}


def documents(**changes: Any) -> KeyDocuments:
    """Return what Keystone knows about ann's access key."""
    scope = {"project": {"id": "p1", "name": "lab-1", "domain": ACME}}
    assignment = {"role": {"id": "r1", "name": "member"}, "user": {"id": "u1", "name": "ann"}, "scope": scope}
    known: dict[str, Any] = {
        "credential": credential(),
        "user": {"user": {"id": "u1", "name": "ann", "domain_id": "d1", "enabled": True}},
        "project": {"project": {"id": "p1", "name": "lab-1", "domain_id": "d1", "enabled": True}},
        "role_assignments": {"role_assignments": [assignment]},
        "domains": {"d1": {"domain": {"id": "d1", "name": "acme", "enabled": True}}},
    }
    return KeyDocuments(**(known | changes))


def test_a_project_token_gives_user_project_and_our_roles():
    facts = read_token(token(), ROLES)

    assert facts.user == ANN
    assert facts.scope == ProjectScope(ProjectId("p1"), "lab-1", DomainId("d1"), "acme", frozenset({"member"}))
    assert facts.expires_at == datetime(2026, 11, 22, 18, tzinfo=UTC)
    assert (facts.methods, facts.audit_id) == (("password",), "a1")


def test_a_user_of_another_domain_acts_in_the_projects_domain():
    other = {"id": "d2", "name": "partners"}
    facts = read_token(token(user={"id": "u1", "name": "ann", "domain": other}), ROLES)

    assert facts.user.domain_id == "d2"
    assert isinstance(facts.scope, ProjectScope)
    assert facts.scope.domain_id == "d1"


@pytest.mark.parametrize(
    ("names", "ours"),
    [
        ([], set()),
        (["auditor"], set()),
        (["Member"], set()),
        (["operator"], set()),
        (["VPCEndpoint Administrator", "reader", "auditor"], {"admin", "reader"}),
    ],
)
def test_only_roles_of_the_table_count(names: list[str], ours: set[str]):
    facts = read_token(token(roles=[{"id": name, "name": name} for name in names]), ROLES)

    assert isinstance(facts.scope, ProjectScope)
    assert facts.scope.roles == ours


@pytest.mark.parametrize(
    ("changes", "scope"),
    [
        ({"project": None}, None),
        ({"project": None, "system": {"all": True}}, None),
        ({"project": None, "domain": ACME}, DomainScope(DomainId("d1"), "acme")),
        (
            {"project": {"id": "d1", "name": "acme", "domain": {"id": None, "name": None}}, "is_domain": True},
            DomainScope(DomainId("d1"), "acme"),
        ),
    ],
    ids=["unscoped", "system", "domain", "project that is a domain"],
)
def test_a_token_of_no_project_acts_in_none(changes: dict[str, Any], scope: DomainScope | None):
    assert read_token(token(**changes), ROLES).scope == scope


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"token": None},
        token(user=None),
        token(user={"id": "u1", "name": "ann"}),
        token(expires_at=None),
        token(expires_at="tomorrow"),
        token(expires_at="2026-11-22T18:00:00"),
        token(project={"id": "p1"}),
        token(project=None, domain={"id": "d1"}),
        {"error": {"code": 200, "message": "hello"}},
    ],
    ids=lambda document: json.dumps(document)[:40],
)
def test_what_does_not_describe_a_token_is_no_answer(document: object):
    with pytest.raises(UnreadableAnswer, match="Keystone"):
        read_token(document, ROLES)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(name=st.sampled_from(sorted(token()["token"])), value=JSON)
def test_whatever_a_member_is_a_token_is_read_or_no_answer(name: str, value: Any):
    document = {"token": token()["token"] | {name: value}}

    try:
        facts = read_token(document, ROLES)
    except UnreadableAnswer:
        return
    assert facts.user.id == "u1"
    assert facts.expires_at.tzinfo is not None


def test_an_access_key_gives_its_secret_its_user_and_its_one_project():
    holder = read_key_holder("AK", documents(), ROLES)

    assert holder is not None
    assert holder.secret_key == Secret("the secret key")
    assert holder.signer.user == ANN
    assert holder.signer.projects == (
        ProjectScope(ProjectId("p1"), "lab-1", DomainId("d1"), "acme", frozenset({"member"})),
    )
    assert "the secret key" not in repr(holder)
    assert "the secret key" not in repr(documents())


@pytest.mark.parametrize(
    "changes",
    [
        {"user": {"user": {"id": "u1", "name": "ann", "domain_id": "d1", "enabled": False}}},
        {"user": None},
        {"project": {"project": {"id": "p1", "name": "lab-1", "domain_id": "d1", "enabled": False}}},
        {"project": None},
        {"domains": {"d1": {"domain": {"id": "d1", "name": "acme", "enabled": False}}}},
        {"domains": {}},
        {"credential": credential(type="totp")},
        {"credential": credential(blob={"access": "ak"})},
        {"credential": credential(blob={"secret": ""})},
        {"credential": credential(blob={"secret": None})},
        {"credential": credential(blob={"trust_id": "t1"})},
        {"credential": credential(blob={"app_cred_id": "c1"})},
        {"credential": credential(blob={"access_token_id": "o1"})},
    ],
    ids=[
        "user disabled", "user gone", "project disabled", "project gone", "domain disabled", "domain gone",
        "another type", "another key", "no secret", "secret null", "trust", "application credential", "oauth",
    ],
)  # fmt: skip
def test_a_key_that_must_not_be_used_any_more_is_nobodys(changes: dict[str, Any]):
    assert read_key_holder("AK", documents(**changes), ROLES) is None


def test_only_roles_of_this_user_in_this_project_count():
    def assignment(user: str, scope: Any, role: str = "member") -> dict[str, Any]:
        return {"role": {"name": role}, "user": {"id": user}, "scope": scope}

    listed = [
        assignment("u2", {"project": {"id": "p1"}}),
        assignment("u1", {"project": {"id": "p2"}}),
        assignment("u1", {"domain": {"id": "p1"}}),
        {"role": {"name": "member"}, "group": {"id": "u1"}, "scope": {"project": {"id": "p1"}}},
        assignment("u1", {"project": {"id": "p1"}}, role="reader"),
    ]
    holder = read_key_holder("AK", documents(role_assignments={"role_assignments": listed}), ROLES)

    assert holder is not None
    assert holder.signer.projects[0].roles == {"reader"}


@pytest.mark.parametrize(
    "changes",
    [
        {"credential": {}},
        {"credential": {"credential": {"type": "ec2", "blob": "the secret key {"}}},
        {"role_assignments": {}},
    ],
    ids=["no credential", "no JSON in it", "no assignments"],
)
def test_what_does_not_describe_a_credential_is_no_answer(changes: dict[str, Any]):
    with pytest.raises(UnreadableAnswer) as refusal:
        read_key_holder("AK", documents(**changes), ROLES)

    assert "the secret key" not in str(refusal.value)
