"""Read which users of a lab file are operators: those who may offer services to everybody.

The role is given at the top of the file, apart from a project's own roles, because what an operator does concerns all
projects. It holds in the user's own project, like any other role.
"""

from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from typing import Final

from landbridge.lab.document import Place, Scalar, Section, Shape, Table, Text, Value, as_section, shown
from landbridge.lab.records import ProjectEntry

OPERATOR: Final = "operator"
EXAMPLE: Final = "[acme-admin]"
_OPERATOR_SHAPE = Shape("operator", {"name": "acme-admin", "domain": "acme"})


def with_operators(lab: Section, projects: tuple[ProjectEntry, ...]) -> tuple[ProjectEntry, ...]:
    """Return the projects, in which the users that the lab's `operators` lists have the role operator too.

    Raises:
        LabFileError: a name is no user's, several users', or is listed twice.
    """
    places: dict[tuple[str, str], Place] = {}
    for value in lab.items("operators"):
        name, domain = _operator(lab, value, projects)
        first = places.setdefault((domain, name.text), name.place)
        if first is not name.place:
            problem = f"operators: {shown(name.text)} is already on line {first.line}; write another one"
            raise lab.mistake(name.place, problem)
    return tuple(
        replace(
            project,
            users=tuple(
                replace(user, roles=user.roles | {OPERATOR}) if (project.domain, user.name) in places else user
                for user in project.users
            ),
        )
        for project in projects
    )


def _operator(lab: Section, value: Value, projects: Iterable[ProjectEntry]) -> tuple[Text, str]:
    """Return a user's name and domain."""
    users = [(user.name, project.domain) for project in projects for user in project.users]
    if isinstance(value, Table):
        section = as_section(value, _OPERATOR_SHAPE, "operator")
        name, domain = section.text("name"), section.text("domain")
        if (name.text, domain.text) in users:
            return name, domain.text
        problem = f"domain {shown(domain.text)} has no user {shown(name.text)}; write the name of a user of this file"
        raise section.mistake(name.place, problem)
    if not isinstance(value, Scalar) or not value.text:
        raise lab.mistake(value.place, f"operators must list names of users; write {lab.shape.example('operators')}")
    name = Text(value.place, value.text)
    domains = [domain for user_name, domain in users if user_name == name.text]
    if not domains:
        close = get_close_matches(name.text, [user_name for user_name, _ in users], n=1)
        advice = close[0] if close else "the name of a user of this file"
        raise lab.mistake(name.place, f"operators: there is no user {shown(name.text)}; write {advice}")
    if len(domains) > 1:
        problem = f"operators: {shown(name.text)} is a user of several domains"
        raise lab.mistake(name.place, f"{problem}; write {{name: {name.text}, domain: {domains[0]}}}")
    return name, domains[0]
