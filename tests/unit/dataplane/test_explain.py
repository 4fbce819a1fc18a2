"""Every verdict of every hop, from the model alone and after a look into the kernel."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from landbridge.dataplane.compile import Compiled, compile_endpoint
from landbridge.dataplane.driver import Capabilities
from landbridge.dataplane.explain import Case, Client, explain
from landbridge.dataplane.health import SWITCHED_OFF, Cause, Finding, Health, probe_of
from landbridge.dataplane.hops import (
    Confirmation,
    Hop,
    Step,
    Verdict,
    Viewer,
    confirmed,
    outcome,
    unconfirmed,
)
from landbridge.dataplane.model import EVERYBODY, GatewayBinding
from landbridge.domain.ids import SubnetId, VpcId
from landbridge.domain.resources import Admission, Failure, PortMapping, TcpProxy
from tests.examples import (
    ATTACHMENTS,
    CONSUMER_SUBNET,
    CONSUMER_VPC,
    NOW,
    PROVIDER_SUBNET,
    a_service,
    an_endpoint,
)

EVERYTHING = Capabilities(frozenset(TcpProxy))
PASSING = Finding(Health.PASSING, None, NOW, NOW, 0.001)
CLIENT = Client(IPv4Address("10.0.0.10"), CONSUMER_VPC, CONSUMER_SUBNET, "apps (10.0.0.0/24)")
ACCEPTED: dict[str, Any] = {"admission": Admission.ACCEPTED, "accepted_generation": 1, "observed_generation": 1}
BACKEND = IPv4Address("10.0.0.20")


def a_case(service=None, client: Client | None = CLIENT, finding: Finding | None = PASSING, **endpoint: Any) -> Case:
    service = service or a_service(observed_generation=1)
    row = an_endpoint(**(ACCEPTED | endpoint))
    compiled = compile_endpoint(row, service, ATTACHMENTS, EVERYTHING)
    probe = probe_of(service, 80)
    return Case(row, compiled, client, None, BACKEND, None, probe, finding)


def stopped(hops: tuple[Hop, ...]) -> list[Step]:
    return [hop.step for hop in hops if hop.verdict is Verdict.STOPPED]


def hop_of(hops: tuple[Hop, ...], step: Step) -> Hop:
    return next(hop for hop in hops if hop.step is step)


def told(hops: tuple[Hop, ...], viewer: Viewer) -> str:
    words = [hop.told_to(viewer) for hop in hops]
    return "\n".join(f"{one.text} {one.advice}" for one in words)


def test_a_connection_that_gets_through_passes_every_hop_in_order():
    hops = explain(a_case())

    assert [hop.step for hop in hops] == [
        Step.SUBNET,
        Step.ADDRESS,
        Step.ADMISSION,
        Step.WHITELIST,
        Step.BUDGET,
        Step.PORT,
        Step.SOURCE,
        Step.LINK,
        Step.TARGET,
        Step.BACKEND,
    ]
    assert {hop.verdict for hop in hops} == {Verdict.PASSES}
    assert outcome(hops) is Verdict.PASSES


@pytest.mark.parametrize(
    ("mode", "steps"),
    [
        (TcpProxy.CLOSE, set()),
        (TcpProxy.PROXY_OPEN, {Step.PROXY}),
        (TcpProxy.TOA_OPEN, {Step.OPTION}),
        (TcpProxy.OPEN, {Step.OPTION}),
    ],
)
def test_a_mode_that_discloses_the_client_has_a_hop_for_it(mode: TcpProxy, steps: set[Step]):
    case = a_case()

    hops = explain(replace(case, compiled=Compiled(replace(case.compiled.wired, tcp_proxy=mode))))

    assert {hop.step for hop in hops} & {Step.PROXY, Step.OPTION} == steps
    assert outcome(hops) is Verdict.PASSES


@pytest.mark.parametrize(
    ("client", "said"),
    [
        (Client(IPv4Address("192.0.2.1"), None, None), "no subnet"),
        (replace(CLIENT, vpc_id=VpcId("another")), "another VPC"),
        (replace(CLIENT, address=IPv4Address("10.0.0.100")), "the endpoint itself"),
    ],
)
def test_a_client_outside_the_endpoints_vpc_is_stopped_at_its_subnet(client: Client, said: str):
    hops = explain(a_case(client=client))

    assert stopped(hops) == [Step.SUBNET]
    assert said in hops[0].words.text
    assert hops[0].words.advice


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ({"admission": Admission.PENDING}, "waits for its provider"),
        ({"admission": Admission.REJECTED}, "rejected"),
        ({"delete_requested_at": NOW}, "being deleted"),
        ({"last_error": Failure("subnet-gone", "the subnet is gone")}, "the subnet is gone"),
        ({"observed_generation": 0}, "not wired yet"),
    ],
)
def test_an_endpoint_that_is_not_accepted_is_stopped_at_admission_with_the_reason(endpoint: dict[str, Any], said: str):
    hops = explain(a_case(**endpoint))

    assert stopped(hops) == [Step.ADMISSION]
    admission = hop_of(hops, Step.ADMISSION)
    assert said in admission.words.text
    assert admission.words.advice


def test_what_is_not_wired_is_not_looked_at_any_further():
    hops = explain(a_case(admission=Admission.PENDING))

    assert {hop.verdict for hop in hops if hop.step not in {Step.SUBNET, Step.ADMISSION}} == {Verdict.SKIPPED}
    assert outcome(hops) is Verdict.STOPPED


def test_an_accepted_endpoint_whose_service_fails_says_so_at_admission():
    failing = replace(a_case(), compiled=Compiled(failure=Failure("not-carried", "the service has failed")))

    hops = explain(failing)

    assert stopped(hops) == [Step.ADMISSION]
    assert "the service has failed" in hop_of(hops, Step.ADMISSION).words.text


def test_who_is_not_in_the_whitelist_is_stopped_there_and_told_what_to_add():
    listed = {"whitelist": (IPv4Network("10.0.0.128/25"),), "enable_whitelist": True}

    hops = explain(a_case(**listed))

    assert stopped(hops) == [Step.WHITELIST]
    assert "10.0.0.10" in hop_of(hops, Step.WHITELIST).words.advice
    inside = replace(CLIENT, address=IPv4Address("10.0.0.130"))
    assert stopped(explain(a_case(client=inside, **listed))) == []


@pytest.mark.parametrize(
    ("barred", "step"), [(IPv4Network("10.0.0.0/28"), Step.WHITELIST), (EVERYBODY, Step.ADMISSION)]
)
def test_who_is_barred_may_open_nothing_new(barred: IPv4Network, step: Step):
    case = a_case()
    draining = replace(case.compiled.wired, barred_sources=(barred,))

    hops = explain(replace(case, compiled=Compiled(draining)))

    assert stopped(hops) == [step]
    assert "goes on" in hop_of(hops, step).words.text


@pytest.mark.parametrize(("count", "is_stopped"), [(None, False), (2999, False), (3000, True), (3001, True)])
def test_an_endpoint_with_as_many_connections_as_it_may_have_takes_no_more(count: int | None, is_stopped: bool):
    hops = explain(replace(a_case(), open_connections=count))

    assert stopped(hops) == [Step.BUDGET] * is_stopped
    assert "3000" in hop_of(hops, Step.BUDGET).words.text


def test_a_port_that_the_endpoint_has_not_is_stopped_and_its_ports_are_named():
    case = a_case(a_service(ports=(PortMapping(8080, 80), PortMapping(443, 8443)), observed_generation=1))

    hops = explain(replace(case, port=81, probe=None, finding=None))

    assert stopped(hops) == [Step.PORT]
    assert "443, 8080" in hop_of(hops, Step.PORT).words.text
    assert hop_of(hops, Step.BACKEND).verdict is Verdict.SKIPPED


def test_without_a_port_the_lowest_is_traced_and_the_others_are_named():
    case = a_case(a_service(ports=(PortMapping(8080, 80), PortMapping(443, 8443)), observed_generation=1))

    text = hop_of(explain(case), Step.PORT).words.text

    assert text == "port 443 leads to port 8443 of the backend; its ports are 443, 8080"


@pytest.mark.parametrize("cause", [Cause.REFUSED, Cause.SILENT, Cause.UNREACHABLE])
def test_a_backend_that_takes_no_connections_stops_them_and_says_what_to_do(cause: Cause):
    hops = explain(a_case(finding=Finding(Health.FAILING, cause, NOW, NOW)))

    assert stopped(hops) == [Step.BACKEND]
    assert hop_of(hops, Step.BACKEND).words.advice


def test_a_backend_of_which_nothing_is_known_leaves_the_outcome_open():
    hops = explain(a_case(finding=SWITCHED_OFF))

    assert outcome(hops) is Verdict.UNKNOWN
    assert "probe" in hop_of(hops, Step.BACKEND).words.advice


# Gateway endpoints

GATEWAY = GatewayBinding(
    id=an_endpoint().id,
    entries=(ATTACHMENTS[CONSUMER_SUBNET],),
    exit=ATTACHMENTS[PROVIDER_SUBNET],
    networks=(IPv4Network("100.125.0.0/16"),),
    transit_address=IPv4Address("198.19.130.1"),
    marker=1,
    mtu=1500,
)


def a_gateway_case(wired: GatewayBinding | None = GATEWAY, client: Client | None = CLIENT, **endpoint: Any) -> Case:
    return Case(an_endpoint(**(ACCEPTED | {"address": None, "subnet_id": None} | endpoint)), Compiled(wired), client)


def test_a_gateway_endpoint_is_told_from_the_route_table_to_the_public_network():
    hops = explain(a_gateway_case())

    assert [hop.step for hop in hops] == [
        Step.SUBNET,
        Step.ROUTE_TABLE,
        Step.ADMISSION,
        Step.BUDGET,
        Step.SOURCE,
        Step.LINK,
        Step.PUBLIC,
    ]
    assert outcome(hops) is Verdict.PASSES


def test_a_client_whose_route_table_does_not_lead_to_the_gateway_endpoint_is_stopped_there():
    elsewhere = replace(CLIENT, subnet_id=SubnetId("another"), subnet="db (10.0.1.0/24)")

    hops = explain(a_gateway_case(client=elsewhere))

    assert stopped(hops) == [Step.ROUTE_TABLE]
    assert "db (10.0.1.0/24)" in hop_of(hops, Step.ROUTE_TABLE).words.text


def test_a_gateway_endpoint_that_no_subnet_uses_is_stopped_at_its_route_tables():
    assert stopped(explain(a_gateway_case(wired=None))) == [Step.ROUTE_TABLE]
    assert stopped(explain(a_gateway_case(wired=None, delete_requested_at=NOW))) == [Step.ADMISSION]


# What the kernel has

NOT_FROM_THE_KERNEL = {Step.BACKEND}


@pytest.mark.parametrize("step", [hop.step for hop in explain(a_case()) if hop.step not in NOT_FROM_THE_KERNEL])
def test_what_is_missing_in_the_kernel_stops_exactly_its_hop(step: Step):
    hops = confirmed(explain(a_case()), Confirmation(missing={step: ["the element is not there"]}))

    assert stopped(hops) == [step]
    assert hop_of(hops, step).words.text == "the element is not there"
    assert all(hop.is_confirmed for hop in hops)


def test_a_flaw_in_the_kernel_stops_nothing_and_is_told_to_the_operator_alone():
    flawed = Confirmation(flaws={Step.BUDGET: ["in the edge of VPC b, budgets lacks 77"]})

    hops = confirmed(explain(a_case()), flawed)

    assert outcome(hops) is Verdict.PASSES
    assert "budgets lacks 77" in told(hops, Viewer.OPERATOR)
    assert "budgets" not in told(hops, Viewer.CONSUMER) + told(hops, Viewer.PROVIDER)


def test_a_backend_for_which_nobody_answers_is_stopped_even_if_it_was_never_probed():
    hops = confirmed(explain(a_case(finding=SWITCHED_OFF)), Confirmation(is_backend_absent=True))

    assert stopped(hops) == [Step.BACKEND]


def test_what_the_model_stops_stays_stopped_for_the_models_reason():
    hops = confirmed(explain(a_case(admission=Admission.PENDING)), Confirmation(missing={Step.ADMISSION: ["no"]}))

    assert "waits for its provider" in hop_of(hops, Step.ADMISSION).words.text


def test_without_a_look_into_the_kernel_what_should_pass_is_not_known():
    hops = unconfirmed(explain(a_case()), "the data plane is away")

    assert outcome(hops) is Verdict.UNKNOWN
    assert {hop.verdict for hop in hops if hop.step is not Step.BACKEND} == {Verdict.UNKNOWN}
    assert "the data plane is away" in hops[0].words.text
    rejected = unconfirmed(explain(a_case(admission=Admission.REJECTED)), "the data plane is away")
    assert outcome(rejected) is Verdict.STOPPED


# Who is told what

OF_CONSUMER = ["10.0.0.10", "10.0.0.100", CONSUMER_VPC, "apps"]
OF_PROVIDER = ["10.0.0.20", "198.19.128.1", "port 80 "]


@pytest.mark.parametrize("finding", [PASSING, SWITCHED_OFF, Finding(Health.FAILING, Cause.REFUSED, NOW, NOW)])
@pytest.mark.parametrize("missing", [None, *Step])
def test_neither_side_is_told_the_addresses_of_the_other(finding: Finding, missing: Step | None):
    facts = ["10.0.0.100 . 8080 : 198.19.128.1 . 80", "10.0.0.20", CONSUMER_VPC]
    found = Confirmation() if missing is None else Confirmation(missing={missing: facts}, flaws={missing: facts})

    for_consumer = told(confirmed(explain(a_case(finding=finding)), found), Viewer.CONSUMER)
    for_provider = told(confirmed(explain(a_case(finding=finding, client=None)), found), Viewer.PROVIDER)

    assert [fact for fact in OF_PROVIDER if fact in for_consumer] == []
    assert [fact for fact in OF_CONSUMER if fact.removesuffix(" ") in for_provider.split()] == []


@pytest.mark.parametrize("viewer", [Viewer.CONSUMER, Viewer.PROVIDER])
def test_sides_are_kept_apart_also_while_the_kernel_cannot_be_asked(viewer: Viewer):
    client = CLIENT if viewer is Viewer.CONSUMER else None

    text = told(unconfirmed(explain(a_case(client=client)), "it is away"), viewer)

    foreign = OF_PROVIDER if viewer is Viewer.CONSUMER else OF_CONSUMER
    assert [fact for fact in foreign if fact in text] == []


def test_a_provider_is_not_asked_for_the_client_and_may_trace_all_the_same():
    hops = explain(a_case(client=None))

    assert {hop.step for hop in hops if hop.verdict is Verdict.SKIPPED} == {Step.SUBNET, Step.WHITELIST}
    assert outcome(hops) is Verdict.PASSES
