from landbridge.domain.ids import EndpointId, VpcId
from landbridge.drivers.linux.elements import Element, Kind
from landbridge.drivers.linux.mirror import Mirror

ONE, TWO = EndpointId("endpoint-1"), EndpointId("endpoint-2")
SHARED = Element(VpcId("vpc-a"), Kind.ROUTE, "198.19.130.1", "link-1")
OWN = Element(VpcId("vpc-a"), Kind.EXITS, "5", "198.19.200.1")


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
