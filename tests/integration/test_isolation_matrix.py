"""Who may ask what: every route with every kind of caller, by one rule.

The routes are the server's own, so a new one is in the matrix by itself. All callers come to acme's project.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

import httpx
import pytest

from landbridge.api.app import routed_app
from landbridge.api.openapi import operations_of
from landbridge.api.policy import ADMIN, MEMBER, OPERATOR, POLICY, PUBLIC, READER
from tests.integration.callers import NOBODY, STRANGER, Asking, Cast
from tests.integration.conftest import Tenant, World
from tests.integration.estates import estate, everything

ROUTES = list(operations_of(routed_app()))
ABSENT_ID = "00000000-0000-4000-8000-000000000000"
ACME_KEY = ("ACMEKEY", "acme-secret-key")


def right_answer(action: str | None, asking: Asking) -> str:
    """Return what the matrix expects: `401`, `403`, or `served`: anything but these and a fault."""
    if action == PUBLIC:
        return "served"
    if asking.kind == NOBODY:
        return "401"
    if action in POLICY:
        return "served" if asking.kind in POLICY[action] else "403"
    # About oneself anybody may ask; but a signature names a project, too, and that one must be the signer's.
    return "403" if asking.kind == STRANGER and asking.key is not None else "served"


def shown_answer(answer: httpx.Response) -> str:
    if answer.status_code in {401, 403}:
        return str(answer.status_code)
    return "served" if answer.status_code < 500 else f"fault {answer.status_code}: {answer.text}"


@pytest.fixture
async def cast(world: World, acme: Tenant, globex: Tenant) -> Cast:
    (admin,) = await world.store.read(lambda tx: tx.users_named("acme-admin"))
    return Cast(world, acme, globex, admin)


async def _as_it_is(asking: Asking) -> Asking:
    return asking


def _always(asking: Asking) -> Callable[[Cast], Awaitable[Asking]]:
    return lambda _: _as_it_is(asking)


CALLERS: dict[str, Callable[[Cast], Awaitable[Asking]]] = {
    "no token": _always(Asking(NOBODY)),
    "an empty token": _always(Asking(NOBODY, "")),
    "nonsense": _always(Asking(NOBODY, "nonsense")),
    "a token that is too long": _always(Asking(NOBODY, "x" * 20_000)),
    "a token in another place": lambda cast: _as_it_is(cast.token_in_another_place()),
    "an expired token": lambda cast: _as_it_is(cast.expired_token()),
    "a token from before the password changed": lambda cast: _as_it_is(cast.token_before_the_password_changed()),
    "a token of somebody who is gone": lambda cast: cast.token_of_somebody_who_is_gone(),
    "a token signed by another key": lambda cast: _as_it_is(cast.token_signed_by_another_key()),
    "a token signed by nobody": lambda cast: _as_it_is(cast.token_signed_by_nobody()),
    "a token whose claims were changed": lambda cast: _as_it_is(cast.token_with_changed_claims()),
    "another project of the same domain": lambda cast: cast.sister_project(),
    "another domain": lambda cast: _as_it_is(cast.token_of_another_domain()),
    "a token of the domain": lambda cast: _as_it_is(cast.domain_token()),
    "a token without a scope": lambda cast: _as_it_is(cast.unscoped_token()),
    "a role that the policy does not know": lambda cast: cast.with_role("auditor"),
    "reader": lambda cast: cast.with_role(READER),
    "member": lambda cast: cast.with_role(MEMBER),
    "admin": lambda cast: cast.with_role(ADMIN),
    "operator": lambda cast: cast.with_role(OPERATOR),
    "a token that was made as the forged ones, with the right key": lambda cast: _as_it_is(cast.minted_token()),
    "a signature": _always(Asking(ADMIN, key=ACME_KEY)),
    "a signature with an unknown key": _always(Asking(NOBODY, key=("NOBODYSKEY", "acme-secret-key"))),
    "a signature with a wrong secret": _always(Asking(NOBODY, key=("ACMEKEY", "globex-secret-key"))),
    "a signature of another domain": _always(Asking(STRANGER, key=("GLOBEXKEY", "globex-secret-key"))),
    "a signature of an hour ago": _always(Asking(NOBODY, key=ACME_KEY, age=timedelta(hours=1))),
    "a signature of another request": _always(Asking(NOBODY, key=ACME_KEY, signed_path="/v1/another")),
    "a wrong signature beside a good token": lambda cast: cast.with_a_wrong_signature(),
}


@pytest.mark.parametrize("caller", CALLERS)
async def test_every_route_answers_a_caller_by_the_one_rule(world: World, acme: Tenant, cast: Cast, caller: str):
    asking = await CALLERS[caller](cast)
    # Strangers try what is there, the others what is not, so that each route is what decides.
    there = await estate(acme, "Pumpkin") if asking.kind in {NOBODY, STRANGER} else None
    before = await everything(there) if there else {}

    answers: dict[str, str] = {}
    for method, template, _ in ROUTES:
        path = path_of(template, acme.project_id, there.ids if there else {})
        body = "{}" if method in {"POST", "PUT"} else ""
        headers = {"Content-Type": "application/json"} | asking.headers_for(method, path, acme.project_id, body)
        answer = await world.http.request(method, path, headers=headers, content=body.encode())
        answers[f"{method} {template}"] = shown_answer(answer)

    assert answers == {f"{method} {path}": right_answer(action, asking) for method, path, action in ROUTES}
    assert (await everything(there) if there else {}) == before


async def test_a_signature_acts_in_the_project_that_it_names_only(world: World, acme: Tenant, globex: Tenant):
    asking = Asking(STRANGER, key=ACME_KEY)

    for method, template, action in ROUTES:
        if action in POLICY:
            path = path_of(template, acme.project_id, {})
            headers = asking.headers_for(method, path, globex.project_id, "")
            assert (await world.http.request(method, path, headers=headers)).status_code == 403, template


def path_of(template: str, project_id: str, ids: Mapping[str, str]) -> str:
    """Return a path in a project with these ids, well-formed ones of nothing for the others."""
    words = {"project_id": project_id, "resource_type": "endpoint", "version": "v1", "file": "start.js"}
    values = {**ids, **words}
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], ABSENT_ID), template)
