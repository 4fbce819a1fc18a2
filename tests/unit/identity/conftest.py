"""The provisioned world of `identity_world`, and the built-in identity on it."""

from datetime import UTC, datetime

import pytest
from identity_world import PROJECTS, SEALING_KEY, SIGNING_KEY, USERS, CountedIds, HandClock, RecordStore

from landbridge.identity.builtin import BuiltinIdentity
from landbridge.identity.provisioning import provision


@pytest.fixture
def clock() -> HandClock:
    return HandClock(datetime(2026, 11, 22, 17, 0, tzinfo=UTC))


@pytest.fixture
async def store() -> RecordStore:
    store = RecordStore()
    await provision(store, PROJECTS, USERS, sealing_key=SEALING_KEY)
    store.steps.clear()
    return store


@pytest.fixture
def identity(store: RecordStore, clock: HandClock) -> BuiltinIdentity:
    return BuiltinIdentity(store, SIGNING_KEY, SEALING_KEY, clock, CountedIds())
