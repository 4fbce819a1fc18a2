"""What is probed for a service, and what the findings mean."""

from dataclasses import replace
from datetime import timedelta

import pytest

from landbridge.dataplane.health import (
    NOT_PROBED,
    SWITCHED_OFF,
    Cause,
    Finding,
    Health,
    Result,
    next_finding,
    probe_of,
    probes_of,
    reason,
    together,
)
from landbridge.domain.resources import Failure, PortMapping, TcpProxy
from tests.examples import NOW, a_service

LATER = NOW + timedelta(seconds=10)


def available(**changes):
    return a_service(observed_generation=1, **changes)


def test_each_server_port_is_probed_once_however_many_client_ports_lead_to_it():
    service = available(ports=(PortMapping(8080, 80), PortMapping(8081, 80), PortMapping(443, 8443)))

    probes = probes_of(service)

    assert [probe.server_port for probe in probes] == [80, 8443]
    assert {probe.transit_address for probe in probes} == {service.backend.transit_address}


def test_services_that_share_backend_port_and_mode_share_the_probe():
    one, same = available(), available(id="another", description="the same backend")
    by_proxy = available(tcp_proxy=TcpProxy.PROXY_OPEN)

    assert probes_of(one) == probes_of(same)
    assert probes_of(one) != probes_of(by_proxy)


@pytest.mark.parametrize(
    "service",
    [
        a_service(),
        a_service(generation=2, observed_generation=1),
        available(delete_requested_at=NOW),
        available(last_error=Failure("not-carried", "it is not carried")),
    ],
    ids=["creating", "changing", "deleting", "failed"],
)
def test_what_is_not_wired_as_it_should_be_is_not_probed(service):
    assert probes_of(service) == ()


@pytest.mark.parametrize(
    ("mode", "header"),
    [
        (TcpProxy.CLOSE, b""),
        (TcpProxy.TOA_OPEN, b""),
        (TcpProxy.PROXY_OPEN, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"),
        (TcpProxy.OPEN, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"),
    ],
)
def test_backends_that_expect_a_proxy_header_get_a_local_one(mode: TcpProxy, header: bytes):
    assert probe_of(a_service(tcp_proxy=mode), 80).first_bytes == header


@pytest.mark.parametrize(
    ("cause", "health"),
    [
        (None, Health.PASSING),
        (Cause.REFUSED, Health.FAILING),
        (Cause.SILENT, Health.FAILING),
        (Cause.UNREACHABLE, Health.FAILING),
        (Cause.AWAY, Health.UNKNOWN),
    ],
)
def test_what_a_probe_met_is_passing_failing_or_not_known(cause: Cause | None, health: Health):
    assert next_finding(NOT_PROBED, Result(cause), NOW).health is health


def test_a_finding_says_since_when_it_has_been_so():
    first = next_finding(NOT_PROBED, Result(Cause.REFUSED), NOW)
    second = next_finding(first, Result(Cause.REFUSED), LATER)
    third = next_finding(second, Result(Cause.SILENT), LATER)

    assert (first.since, second.since, second.checked_at, third.since) == (NOW, NOW, LATER, LATER)


PASSING, FAILING = Finding(Health.PASSING), Finding(Health.FAILING, Cause.REFUSED)


@pytest.mark.parametrize(
    ("findings", "health"),
    [
        ((PASSING, PASSING), Health.PASSING),
        ((PASSING, NOT_PROBED), Health.UNKNOWN),
        ((PASSING, NOT_PROBED, FAILING), Health.FAILING),
        ((SWITCHED_OFF,), Health.UNKNOWN),
        ((), Health.UNKNOWN),
    ],
)
def test_a_service_is_as_well_as_its_worst_port(findings, health: Health):
    assert together(findings) is health


@pytest.mark.parametrize("cause", Cause)
def test_every_reason_says_what_to_do_and_nothing_that_is_for_the_operator_alone(cause: Cause):
    finding = Finding(Health.FAILING, cause, detail="namespace lb.lab-1.edge.hub")

    text = reason(finding, probe_of(a_service(), 80))

    assert ": " in text
    assert "lb.lab-1" not in text


def test_a_backend_that_is_passing_needs_no_reason():
    assert reason(replace(PASSING, checked_at=NOW), probe_of(a_service(), 80)) == ""
