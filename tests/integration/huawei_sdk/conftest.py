"""A provider and a consumer with clients of the SDK, and networks of their own."""

from typing import Any

import pytest

from tests.integration.huawei_sdk.clients import (
    Networks,
    Nic,
    Record,
    RecordedClient,
    client_of,
    new_service,
    open_to_everybody,
)
from tests.integration.live import Server

LAST = "test_every_method_is_called_and_every_member_of_every_request_is_sent"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the test that counts what the others did behind them."""
    items.sort(key=lambda item: item.name == LAST)


@pytest.fixture(scope="session")
def record() -> Record:
    return Record()


@pytest.fixture(scope="session")
def acme(server: Server, record: Record) -> RecordedClient:
    return client_of(server, "acme", record)


@pytest.fixture(scope="session")
def globex(server: Server, record: Record) -> RecordedClient:
    return client_of(server, "globex", record)


@pytest.fixture(scope="session")
def acme_networks(server: Server) -> Networks:
    return Networks(server, "acme")


@pytest.fixture(scope="session")
def globex_networks(server: Server) -> Networks:
    return Networks(server, "globex")


@pytest.fixture(scope="session")
def acme_subnet(acme_networks: Networks) -> str:
    return acme_networks.new_subnet()


@pytest.fixture
def nic(acme_networks: Networks, acme_subnet: str) -> Nic:
    """A backend that no other service has."""
    return acme_networks.new_nic(acme_subnet)


@pytest.fixture
def subnet(globex_networks: Networks) -> str:
    """Where only this test's endpoints are."""
    return globex_networks.new_subnet()


@pytest.fixture
def service(acme: RecordedClient, nic: Nic) -> Any:
    """An available service that everybody may connect to, after approval."""
    made = new_service(acme, nic, service_name="web")
    open_to_everybody(acme, made.id)
    return made
