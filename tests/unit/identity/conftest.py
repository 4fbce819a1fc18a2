"""The provisioned world of `identity_world`, and the built-in identity on it."""

import asyncio
from datetime import UTC, datetime

import pytest

from landbridge.identity.builtin import BuiltinIdentity
from landbridge.identity.provisioning import provision
from tests.unit.identity.identity_world import (
    PROJECTS,
    SEALING_KEY,
    SIGNING_KEY,
    USERS,
    CountedIds,
    HandClock,
    RecordStore,
)


@pytest.fixture
def clock() -> HandClock:
    return HandClock(datetime(2026, 11, 22, 17, 0, tzinfo=UTC))


@pytest.fixture(scope="session")
def provisioned() -> RecordStore:
    # Once: password hashes are slow on purpose.
    store = RecordStore()
    asyncio.run(provision(store, PROJECTS, USERS, sealing_key=SEALING_KEY))
    return store


@pytest.fixture
def store(provisioned: RecordStore) -> RecordStore:
    return provisioned.copied()


@pytest.fixture
def identity(store: RecordStore, clock: HandClock) -> BuiltinIdentity:
    return BuiltinIdentity(store, SIGNING_KEY, SEALING_KEY, clock, CountedIds())
