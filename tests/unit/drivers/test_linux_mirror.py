"""What is in the kernel, what is wanted, and the difference."""

from dataclasses import replace
from ipaddress import IPv4Address

from landbridge.dataplane.compile import compile_endpoint, compile_service
from landbridge.dataplane.driver import Capabilities
from landbridge.dataplane.model import digest
from landbridge.domain.ids import EndpointId, VpcId
from landbridge.domain.resources import Admission
from landbridge.drivers.linux.elements import Element, Kind, elements, own_elements, shared_elements
from landbridge.drivers.linux.mirror import Mirror
from tests.examples import ATTACHMENTS, a_service, an_endpoint

ONE, TWO = EndpointId("endpoint-1"), EndpointId("endpoint-2")
SHARED = Element(VpcId("vpc-a"), Kind.ROUTE, "198.19.130.1", "link-1")
OWN = Element(VpcId("vpc-a"), Kind.EXITS, "5", "198.19.200.1")
TARGET = compile_service(a_service(), ATTACHMENTS, Capabilities()).wired
BINDING = compile_endpoint(an_endpoint(admission=Admission.ACCEPTED), a_service(), ATTACHMENTS, Capabilities()).wired
OTHER_BINDING = replace(
    BINDING,
    id=TWO,
    address=IPv4Address("10.0.0.101"),
    transit_address=IPv4Address("198.19.129.77"),
    marker=BINDING.marker + 1,
)


def test_what_is_wanted_and_not_present_is_missing_until_it_is_there():
    mirror = Mirror()
    mirror.claim(ONE, frozenset({OWN}))
    assert mirror.missing == {OWN}

    mirror.note_present(OWN)

    assert mirror.missing == set()
    assert mirror.present == {OWN}


def test_an_element_of_two_things_stays_until_the_last_lets_go():
    mirror = Mirror({SHARED})
    mirror.claim(ONE, frozenset({SHARED}))
    mirror.claim(TWO, frozenset({SHARED}))

    mirror.claim(ONE, frozenset())
    assert mirror.surplus == set()

    mirror.claim(TWO, frozenset())
    assert mirror.surplus == {SHARED}


def test_what_nobody_claims_after_a_survey_is_surplus():
    mirror = Mirror({SHARED, OWN})
    mirror.claim(ONE, frozenset({OWN}))

    assert mirror.surplus == {SHARED}


def test_an_element_that_vanished_is_missing_if_somebody_wants_it():
    mirror = Mirror({OWN})
    mirror.claim(ONE, frozenset({OWN}))

    mirror.note_absent(OWN)

    assert mirror.missing == {OWN}


def test_a_claim_given_up_before_it_was_carried_out_leaves_nothing_to_do():
    mirror = Mirror()
    mirror.claim(ONE, frozenset({OWN}))

    mirror.claim(ONE, frozenset())

    assert (mirror.missing, mirror.surplus) == (set(), set())


def test_a_settled_thing_wants_what_it_always_wanted_and_nothing_is_left_to_do():
    mirror = Mirror()
    mirror.claim(BINDING.id, elements(BINDING))
    for element in elements(BINDING):
        mirror.note_present(element)

    mirror.settle(BINDING)

    assert mirror.claimed(BINDING.id) == elements(BINDING)
    assert (mirror.missing, mirror.surplus) == (set(), set())


def test_of_settled_things_only_what_others_may_want_too_is_remembered_by_the_element():
    mirror = Mirror()

    mirror.settle(BINDING)

    assert mirror.present == shared_elements(BINDING)
    assert elements(BINDING) - mirror.present == set(own_elements(BINDING))


def test_a_settled_thing_that_is_to_go_leaves_everything_that_nobody_else_wants():
    mirror = Mirror()
    for wired in (TARGET, BINDING, OTHER_BINDING):
        mirror.settle(wired)

    mirror.claim(BINDING.id, frozenset())

    assert mirror.surplus == elements(BINDING) - elements(TARGET) - elements(OTHER_BINDING)
    assert not mirror.missing


def test_a_settled_thing_that_changes_is_missing_what_is_new_and_too_much_what_is_old():
    mirror = Mirror()
    mirror.settle(BINDING)
    changed = replace(BINDING, mtu=1400)

    mirror.claim(BINDING.id, elements(changed))

    assert mirror.missing == elements(changed) - elements(BINDING)
    assert mirror.surplus == elements(BINDING) - elements(changed)


def test_what_a_settled_thing_has_lost_is_missing_until_it_is_there_again():
    mirror = Mirror()
    mirror.settle(BINDING)
    lost = next(iter(own_elements(BINDING)))

    mirror.lose(BINDING.id, [lost])
    mirror.settle_again()
    assert (mirror.missing, BINDING.id in mirror.settled) == ({lost}, False)

    mirror.note_present(lost)
    mirror.settle_again()
    assert (mirror.missing, BINDING.id in mirror.settled) == (set(), True)


def test_an_interface_takes_its_addresses_along_and_those_of_no_other_edge():
    mirror = Mirror()
    mirror.settle(BINDING)
    [address] = [one for one in elements(BINDING) if one.kind is Kind.ADDRESS]

    mirror.lose_interfaces(VpcId("another"), Kind.ADDRESS, {address.value})
    assert not mirror.missing

    mirror.lose_interfaces(address.vpc_id, Kind.ADDRESS, {address.value})
    assert mirror.missing == {address}


def test_while_it_is_recorded_every_change_is_collected_and_afterwards_none():
    mirror = Mirror()

    with mirror.recording() as changed:
        mirror.note_present(OWN)
        mirror.note_absent(SHARED)
    mirror.note_absent(OWN)
    mirror.note_present(Element(VpcId("vpc-b"), Kind.EXITS, "6", "198.19.200.2"))

    assert changed == {OWN, SHARED}


def test_an_edges_version_grows_with_each_thing_that_is_noted_of_it_and_no_other():
    mirror = Mirror()
    mirror.claim(ONE, frozenset({OWN}))
    versions = [mirror.version(OWN.vpc_id)]

    mirror.note_present(OWN)
    versions.append(mirror.version(OWN.vpc_id))
    mirror.note_absent(OWN)
    versions.append(mirror.version(OWN.vpc_id))

    assert versions == sorted(set(versions))
    assert mirror.version(VpcId("another")) == 0


def test_the_digest_is_that_of_what_is_settled_now():
    mirror = Mirror()
    assert mirror.digest(ONE) is None
    for wired in (BINDING, replace(BINDING, connection_limit=7)):
        for element in elements(wired):
            mirror.note_present(element)
        mirror.claim(wired.id, elements(wired))
        mirror.settle(wired)
        assert mirror.digest(wired.id) == digest(wired)

    mirror.claim(BINDING.id, frozenset())

    assert mirror.digest(BINDING.id) is None
