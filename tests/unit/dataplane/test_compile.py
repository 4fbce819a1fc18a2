"""Resources and directory facts → what should be wired."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from landbridge.dataplane.compile import compile_endpoint, compile_service
from landbridge.dataplane.driver import Capabilities
from landbridge.dataplane.model import Binding, PortForward, Target
from landbridge.domain.resources import Admission, PortMapping, TcpProxy
from tests.examples import ATTACHMENTS, CONSUMER_SUBNET, NOW, PROVIDER_SUBNET, a_service, an_endpoint

CLOSE_ONLY = Capabilities()


def accepted(**changes):
    return an_endpoint(admission=Admission.ACCEPTED, accepted_generation=1, **changes)


def test_a_service_publishes_each_server_port_once():
    service = a_service(ports=(PortMapping(8080, 80), PortMapping(443, 8443), PortMapping(8081, 80)))

    target = compile_service(service, ATTACHMENTS, CLOSE_ONLY).wired

    assert isinstance(target, Target)
    assert target.server_ports == (80, 8443)
    assert (target.address, target.transit_address) == (service.backend.address, service.backend.transit_address)


@pytest.mark.parametrize("mode", [TcpProxy.TOA_OPEN, TcpProxy.PROXY_OPEN, TcpProxy.OPEN])
def test_a_mode_that_the_data_plane_does_not_carry_fails_the_service_and_says_which_it_carries(mode: TcpProxy):
    compiled = compile_service(a_service(tcp_proxy=mode), ATTACHMENTS, CLOSE_ONLY)

    assert compiled.wired is None
    assert compiled.failure is not None
    assert compiled.failure.slug == "not-carried"
    assert mode in compiled.failure.message
    assert "close" in compiled.failure.message


def test_a_deleting_service_publishes_nothing_and_that_is_no_fault():
    compiled = compile_service(a_service(delete_requested_at=NOW), ATTACHMENTS, CLOSE_ONLY)

    assert (compiled.wired, compiled.failure) == (None, None)


@pytest.mark.parametrize("admission", [Admission.PENDING, Admission.REJECTED])
def test_only_an_accepted_endpoint_is_wired(admission: Admission):
    service = a_service()

    assert compile_endpoint(an_endpoint(admission=admission), service, ATTACHMENTS, CLOSE_ONLY).wired is None
    assert compile_endpoint(accepted(), service, ATTACHMENTS, CLOSE_ONLY).wired is not None


def test_a_binding_carries_the_ports_sorted_and_both_transit_addresses():
    service = a_service(ports=(PortMapping(9000, 90), PortMapping(8080, 80)))

    binding = compile_endpoint(accepted(), service, ATTACHMENTS, CLOSE_ONLY).wired

    assert isinstance(binding, Binding)
    assert binding.forwards == (PortForward(8080, 80), PortForward(9000, 90))
    assert binding.target_transit_address == service.backend.transit_address
    assert binding.transit_address == accepted().transit_address


@pytest.mark.parametrize(("subnet_id", "mtu"), [(PROVIDER_SUBNET, 1400), (CONSUMER_SUBNET, 1300)])
def test_a_binding_carries_the_smallest_mtu_of_both_sides_and_the_link(subnet_id, mtu):
    narrow = ATTACHMENTS | {subnet_id: replace(ATTACHMENTS[subnet_id], mtu=mtu)}
    wide = {id_: replace(attachment, mtu=9000) for id_, attachment in ATTACHMENTS.items()}

    assert compile_endpoint(accepted(), a_service(), narrow, CLOSE_ONLY).wired.mtu == mtu
    assert compile_endpoint(accepted(), a_service(), wide, CLOSE_ONLY).wired.mtu == 1500


def test_a_whitelist_counts_only_while_it_is_switched_on_and_an_empty_one_lets_nobody_in():
    listed = accepted(whitelist=(IPv4Network("10.0.0.8/29"), IPv4Network("10.0.0.0/29")))

    off = compile_endpoint(listed, a_service(), ATTACHMENTS, CLOSE_ONLY).wired
    on = compile_endpoint(replace(listed, enable_whitelist=True), a_service(), ATTACHMENTS, CLOSE_ONLY).wired
    empty = compile_endpoint(accepted(enable_whitelist=True), a_service(), ATTACHMENTS, CLOSE_ONLY).wired

    assert off.allowed_sources is None
    assert on.allowed_sources == (IPv4Network("10.0.0.0/28"),)
    assert empty.allowed_sources == ()


@pytest.mark.parametrize("service", [None, a_service(delete_requested_at=NOW)])
@pytest.mark.parametrize("admission", list(Admission))
def test_an_endpoint_whose_service_is_gone_fails_with_the_code_of_a_missing_service(service, admission):
    compiled = compile_endpoint(an_endpoint(admission=admission), service, ATTACHMENTS, CLOSE_ONLY)

    assert compiled.wired is None
    assert compiled.failure is not None
    assert compiled.failure.slug == "target-service-not-found"


def test_a_deleting_endpoint_is_unwired_without_fault_whatever_became_of_its_service():
    compiled = compile_endpoint(accepted(delete_requested_at=NOW), None, ATTACHMENTS, CLOSE_ONLY)

    assert (compiled.wired, compiled.failure) == (None, None)


def test_a_consumer_does_not_see_why_its_providers_service_failed():
    compiled = compile_endpoint(accepted(), a_service(tcp_proxy=TcpProxy.OPEN), ATTACHMENTS, CLOSE_ONLY)

    assert compiled.failure is not None
    assert "tcp_proxy" not in compiled.failure.message
