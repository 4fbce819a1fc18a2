"""Operators of a lab file: who becomes one, and what is said when it is nobody."""

import pytest

from landbridge.lab import LabFileError, parse_lab, show, users

VALID = """\
region: lab-1
operators: [ops]
projects:
  - name: acme
    users:
      - {name: admin, password: hunter2}
      - {name: ops, password: hunter2, roles: [reader]}
  - name: globex
    users: [{name: admin, password: hunter2}]
"""


def roles(text: str) -> dict[tuple[str, str], set[str]]:
    return {(user.domain_name, user.name): set(user.roles) for user in users(parse_lab(text))}


def test_an_operator_has_the_role_beside_its_others_in_its_own_project():
    assert roles(VALID) == {
        ("acme", "admin"): {"admin"},
        ("acme", "ops"): {"reader", "operator"},
        ("globex", "admin"): {"admin"},
    }
    shown = show(parse_lab(VALID))["projects"]
    assert shown["acme"]["users"]["ops"]["roles"] == ["operator", "reader"]


def test_a_name_that_several_domains_have_is_written_with_its_domain():
    chosen = VALID.replace("[ops]", "[{name: admin, domain: globex}, ops]")

    assert roles(chosen)["globex", "admin"] == {"admin", "operator"}
    assert roles(chosen)["acme", "admin"] == {"admin"}


@pytest.mark.parametrize("none", ["operators: []", "operators:", ""])
def test_there_may_be_no_operators(none: str):
    assert roles(VALID.replace("operators: [ops]", none))["acme", "ops"] == {"reader"}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("operators: [opz]", "2: lab: operators: there is no user opz; write ops"),
        ("operators: [zzz]", "2: lab: operators: there is no user zzz; write the name of a user of this file"),
        (
            "operators: [admin]",
            "2: lab: operators: admin is a user of several domains; write {name: admin, domain: acme}",
        ),
        ("operators: [ops, ops]", "2: lab: operators: ops is already on line 2; write another one"),
        (
            "operators: [ops, {name: ops, domain: acme}]",
            "2: lab: operators: ops is already on line 2; write another one",
        ),
        ("operators: ops", "2: lab: operators must be a list, not a single value; write operators: [acme-admin]"),
        ("operators: [[ops]]", "2: lab: operators must list names of users; write operators: [acme-admin]"),
        ("operators: ['']", "2: lab: operators must list names of users; write operators: [acme-admin]"),
        ("operators: [{name: ops}]", "2: operator: domain is missing; write domain: acme"),
        (
            "operators: [{name: ops, domain: globex}]",
            "2: operator: domain globex has no user ops; write the name of a user of this file",
        ),
    ],
)
def test_an_operator_who_is_nobody_is_told_with_the_line_and_the_way_out(written: str, message: str):
    with pytest.raises(LabFileError) as caught:
        parse_lab(VALID.replace("operators: [ops]", written))

    assert str(caught.value) == f"lab.yaml:{message}"


def test_the_role_is_not_given_in_a_project():
    with pytest.raises(LabFileError) as caught:
        parse_lab(VALID.replace("[reader]", "[operator]"))

    assert str(caught.value) == (
        "lab.yaml:7: user ops: operator is not given here; write the user's name under operators at the top of the file"
    )
