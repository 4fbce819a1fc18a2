from dataclasses import replace

import pytest

from landbridge.control.accounts import AccessKey, AccountOrigin, ProjectRecord, UserRecord
from landbridge.domain.errors import OperatorError
from landbridge.identity.provisioning import NewProject, NewUser, provision
from landbridge.identity.sealing import Secret, SecretSeal
from tests.unit.identity.identity_world import (
    ACME,
    ACME_ADMIN,
    ACME_READER,
    ACME_TWO,
    PROJECTS,
    SEALING_KEY,
    USERS,
    ZENITH,
    ZENITH_ADMIN,
    RecordStore,
)


async def test_users_and_projects_are_stored_without_their_secrets():
    store = RecordStore()

    await provision(store, PROJECTS, USERS, sealing_key=SEALING_KEY)

    stored = store.users_by_id["u1"]
    assert stored.roles == ACME_ADMIN.roles
    assert SecretSeal(SEALING_KEY).unseal(ACME_ADMIN.access_key, stored.access_keys[0].sealed_secret) == (
        ACME_ADMIN.secret_key
    )
    assert store.users_by_id["u3"].access_keys == ()
    assert store.projects_by_id.keys() == {ACME.id, ACME_TWO.id, ZENITH.id}
    for secret in (ACME_ADMIN.password, ACME_ADMIN.secret_key):
        assert secret.reveal() not in repr(stored)
        assert secret.reveal() not in repr(ACME_ADMIN)


async def test_the_same_list_again_writes_nothing(store: RecordStore):
    await provision(store, PROJECTS, USERS, sealing_key=SEALING_KEY)

    assert store.steps == []


async def test_only_what_changed_is_written(store: RecordStore):
    before = store.users_by_id["u1"]
    changed = replace(ACME_ADMIN, roles={ACME.id: frozenset({"reader"})})

    await provision(store, PROJECTS, [changed, ACME_READER, ZENITH_ADMIN], sealing_key=SEALING_KEY)

    assert store.steps == ["remove user admin", "put user admin"]
    after = store.users_by_id["u1"]
    assert after.roles == {ACME.id: {"reader"}}
    assert (after.password_hash, after.access_keys) == (before.password_hash, before.access_keys)


async def test_a_new_password_or_secret_replaces_the_old_one(store: RecordStore):
    before = store.users_by_id["u1"]
    changed = replace(ACME_ADMIN, password=Secret("new"), secret_key=Secret("new secret"))

    await provision(store, PROJECTS, [changed, ACME_READER, ZENITH_ADMIN], sealing_key=SEALING_KEY)

    after = store.users_by_id["u1"]
    assert after.password_hash != before.password_hash
    assert SecretSeal(SEALING_KEY).unseal("LABACCESSKEY00000001", after.access_keys[0].sealed_secret) == (
        Secret("new secret")
    )


async def test_who_is_not_in_the_list_is_removed(store: RecordStore):
    reader = replace(ACME_READER, roles={ACME.id: frozenset({"reader"})})

    await provision(store, [ACME], [reader], sealing_key=SEALING_KEY)

    assert store.users_by_id.keys() == {"u2"}
    assert store.projects_by_id.keys() == {ACME.id}
    assert store.users_by_id["u2"].roles == {ACME.id: {"reader"}}


async def test_what_was_made_by_command_stays_and_is_not_taken_for_the_lists(store: RecordStore):
    bob = UserRecord("u9", "bob", "d1", "acme", "$argon2$", {ACME.id: frozenset({"reader"})}, (), AccountOrigin.COMMAND)
    shop = ProjectRecord("p9", "shop", "d9", "shop", AccountOrigin.COMMAND)
    store.put_user(bob)
    store.put_project(shop)

    await provision(store, [ACME], [ACME_ADMIN], sealing_key=SEALING_KEY)

    assert store.users_by_id.keys() == {"u1", "u9"}
    assert store.users_by_id["u9"] == bob
    assert store.projects_by_id == {ACME.id: store.projects_by_id[ACME.id], "p9": shop}


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        (ProjectRecord("p9", "lab-1", "d1", "acme", AccountOrigin.COMMAND), "project lab-1 of the lab file"),
        (ProjectRecord("p9", "shop", "d9", "acme", AccountOrigin.COMMAND), "domain acme of the lab file"),
        (UserRecord("u9", "admin", "d1", "acme", "", {}, (), AccountOrigin.COMMAND), "user admin of the lab file"),
        (UserRecord("u9", "bob", "d9", "acme", "", {}, (), AccountOrigin.COMMAND), "domain acme of the lab file"),
        (
            UserRecord("u9", "bob", "d9", "b", "", {}, (AccessKey("READERACCESSKEY", b""),), AccountOrigin.COMMAND),
            "access key READERACCESSKEY of the lab file",
        ),
    ],
)
async def test_a_list_that_wants_what_was_made_by_command_changes_nothing(
    made: ProjectRecord | UserRecord, complaint: str
):
    store = RecordStore()
    if isinstance(made, UserRecord):
        store.put_user(made)
    else:
        store.put_project(made)
    before = store.copied()

    with pytest.raises(OperatorError, match=complaint):
        await provision(store, PROJECTS, USERS, sealing_key=SEALING_KEY)

    assert (store.users_by_id, store.projects_by_id) == (before.users_by_id, before.projects_by_id)


async def test_an_access_key_and_a_name_may_pass_from_one_user_to_another(store: RecordStore):
    admin = replace(ACME_ADMIN, name="reader", access_key=ACME_READER.access_key, secret_key=ACME_READER.secret_key)
    reader = replace(ACME_READER, name="admin", access_key=ACME_ADMIN.access_key, secret_key=ACME_ADMIN.secret_key)

    await provision(store, PROJECTS, [admin, reader, ZENITH_ADMIN], sealing_key=SEALING_KEY)

    assert store.user_by_access_key("LABACCESSKEY00000001").id == "u2"
    assert store.user_by_access_key("READERACCESSKEY").id == "u1"


async def test_a_new_sealing_key_seals_the_secrets_anew(store: RecordStore):
    await provision(store, PROJECTS, USERS, sealing_key=b"n" * 32)

    sealed = store.users_by_id["u1"].access_keys[0].sealed_secret
    assert SecretSeal(b"n" * 32).unseal("LABACCESSKEY00000001", sealed) == ACME_ADMIN.secret_key


@pytest.mark.parametrize(
    ("projects", "users", "complaint"),
    [
        ([ACME, ACME], [], "project id"),
        ([ACME, replace(ACME, id="p9")], [], "project lab-1 of domain d1"),
        (PROJECTS, [ACME_ADMIN, ACME_ADMIN], "user id u1"),
        (PROJECTS, [ACME_ADMIN, replace(ACME_READER, name="admin")], "user admin of domain d1"),
        (PROJECTS, [ACME_ADMIN, replace(ACME_READER, access_key="LABACCESSKEY00000001")], "access key"),
        ([ACME], [ZENITH_ADMIN], "unknown projects: 0d5c0000000000000000000000000003"),
        (PROJECTS, [replace(ACME_ADMIN, secret_key=None)], "both access_key and secret_key"),
        (PROJECTS, [replace(ACME_ADMIN, access_key=None)], "both access_key and secret_key"),
        (PROJECTS, [replace(ACME_ADMIN, access_key="a,b")], "access key"),
        (PROJECTS, [replace(ACME_ADMIN, secret_key=Secret(""))], "empty"),
        (PROJECTS, [replace(ACME_ADMIN, password=Secret(""))], "empty password"),
    ],
)
async def test_a_list_that_contradicts_itself_changes_nothing_and_shows_no_secret(
    store: RecordStore, projects: list[NewProject], users: list[NewUser], complaint: str
):
    with pytest.raises(OperatorError, match=complaint) as refusal:
        await provision(store, projects, users, sealing_key=SEALING_KEY)

    assert store.steps == []
    assert "LabSecretKey" not in str(refusal.value)
