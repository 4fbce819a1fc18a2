"""Which changes of a service a data plane hears of."""

from dataclasses import replace

import pytest

from landbridge.control.service_changes import concerns_the_data_plane
from landbridge.domain.resources import PortMapping, TcpProxy
from tests.examples import a_service

ONE, OTHER = PortMapping(80, 8080), PortMapping(81, 8081)
BEFORE = a_service(ports=(ONE, OTHER))


@pytest.mark.parametrize(
    "after",
    [
        BEFORE,
        replace(BEFORE, ports=(OTHER, ONE)),
        replace(BEFORE, name="lab-1.new", description="new", approval_enabled=False, enable_policy=True),
    ],
    ids=["nothing", "order of ports", "what only people read"],
)
def test_a_data_plane_does_not_hear_of(after):
    assert not concerns_the_data_plane(BEFORE, after)


@pytest.mark.parametrize(
    "after",
    [
        replace(BEFORE, ports=(ONE,)),
        replace(BEFORE, ports=(ONE, OTHER, PortMapping(82, 8081))),
        replace(BEFORE, ports=(ONE, replace(OTHER, server_port=9))),
        replace(BEFORE, tcp_proxy=TcpProxy.OPEN),
        replace(BEFORE, backend=replace(BEFORE.backend, address=BEFORE.backend.address + 1)),
    ],
    ids=["port taken out", "port added", "port changed", "mode", "backend"],
)
def test_a_data_plane_hears_of(after):
    assert concerns_the_data_plane(BEFORE, after)
