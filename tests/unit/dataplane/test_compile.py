"""Resources and directory facts → what should be wired."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from landbridge.dataplane.compile import Compiled, compile_endpoint, compile_service
from landbridge.dataplane.driver import Capabilities
from landbridge.dataplane.model import Binding, GatewayBinding, PortForward, Target
from landbridge.domain.ids import RouteTableId, SubnetId
from landbridge.domain.resources import Admission, PortMapping, TcpProxy, WayOut
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


# Gateway services

OTHER_SUBNET, GONE = SubnetId("b0000000-0000-4000-8000-000000000003"), SubnetId("b0000000-0000-4000-8000-000000000009")
STORE = (IPv4Network("100.125.0.0/16"),)
WITH_TWO_ENTRIES = {
    **ATTACHMENTS,
    OTHER_SUBNET: replace(
        ATTACHMENTS[CONSUMER_SUBNET], subnet_id=OTHER_SUBNET, cidr=IPv4Network("10.0.1.0/24"), mtu=1400
    ),
}


def a_gateway(**changes):
    return a_service(**({"backend": WayOut(PROVIDER_SUBNET, STORE), "ports": (), "public_owner": "lab"} | changes))


def a_gateway_endpoint(**changes):
    without_address = {"subnet_id": None, "address": None, "route_table_ids": (RouteTableId("table-1"),)}
    return an_endpoint(**({"admission": Admission.ACCEPTED, "accepted_generation": 1} | without_address | changes))


def test_a_gateway_service_wires_nothing_by_itself_and_that_is_no_fault():
    assert compile_service(a_gateway(), ATTACHMENTS, CLOSE_ONLY) == Compiled()
    without_its_way_out = compile_service(a_gateway(backend=WayOut(GONE, STORE)), ATTACHMENTS, CLOSE_ONLY)
    assert without_its_way_out.failure is not None


def test_a_gateway_endpoint_leads_from_its_entries_through_the_way_out():
    endpoint = a_gateway_endpoint()

    wired = compile_endpoint(
        endpoint, a_gateway(), WITH_TWO_ENTRIES, CLOSE_ONLY, [OTHER_SUBNET, GONE, CONSUMER_SUBNET]
    ).wired

    assert isinstance(wired, GatewayBinding)
    assert [entry.subnet_id for entry in wired.entries] == [CONSUMER_SUBNET, OTHER_SUBNET]
    assert (wired.exit, wired.networks) == (ATTACHMENTS[PROVIDER_SUBNET], STORE)
    assert (wired.transit_address, wired.marker, wired.mtu) == (endpoint.transit_address, endpoint.marker, 1400)


def test_a_gateway_endpoint_without_entries_is_not_wired_and_that_is_no_fault():
    assert compile_endpoint(a_gateway_endpoint(), a_gateway(), ATTACHMENTS, CLOSE_ONLY) == Compiled()


def test_a_rejected_or_orphaned_gateway_endpoint_is_not_wired():
    entries = [CONSUMER_SUBNET]
    rejected = a_gateway_endpoint(admission=Admission.REJECTED)

    assert compile_endpoint(rejected, a_gateway(), ATTACHMENTS, CLOSE_ONLY, entries) == Compiled()
    orphaned = compile_endpoint(a_gateway_endpoint(), None, ATTACHMENTS, CLOSE_ONLY, entries)
    assert orphaned.failure is not None
    assert orphaned.failure.slug == "target-service-not-found"
