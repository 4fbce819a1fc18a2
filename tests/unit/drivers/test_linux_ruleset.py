from landbridge.domain.ids import VpcId
from landbridge.drivers.linux.elements import OUTSIDE_NFT, Element, Kind
from landbridge.drivers.linux.ruleset import RULES, parse, render, render_forced_removal

VPC = VpcId("vpc-a")


def test_removals_come_first_and_name_keys_only():
    old = Element(VPC, Kind.LISTENERS, "10.0.0.100 . 80", "198.19.130.1 . 8080")
    new = Element(VPC, Kind.LISTENERS, "10.0.0.100 . 80", "198.19.130.2 . 8080")

    assert render({old}, {new}) == (
        "delete element inet landbridge listeners { 10.0.0.100 . 80 }\n"
        "add element inet landbridge listeners { 10.0.0.100 . 80 : 198.19.130.2 . 8080 }\n"
    )


def test_elements_of_one_set_are_one_command():
    addresses = {Element(VPC, Kind.RESTRICTED, f"10.0.0.{last}") for last in (5, 6)}

    assert render((), addresses) == "add element inet landbridge restricted { 10.0.0.5, 10.0.0.6 }\n"


def test_labels_are_comments():
    label = Element(VPC, Kind.ENDPOINTS, "10.0.0.5", "endpoint-1 0123456789abcdef")

    assert render((), {label}) == (
        'add element inet landbridge endpoints { 10.0.0.5 comment "endpoint-1 0123456789abcdef" }\n'
    )


def test_nothing_to_do_is_an_empty_text():
    assert render((), ()) == ""


def test_a_forced_removal_adds_first_so_that_an_absent_element_is_no_error():
    element = Element(VPC, Kind.RESTRICTED, "10.0.0.5")

    assert render_forced_removal(element) == (
        "add element inet landbridge restricted { 10.0.0.5 }\ndelete element inet landbridge restricted { 10.0.0.5 }\n"
    )


def test_what_nft_lists_reads_back_as_the_same_elements():
    listed = [
        {"table": {"family": "inet", "name": "landbridge", "handle": 1}},
        {
            "map": {
                "name": "listeners",
                "map": "ipv4_addr . inet_service",
                "elem": [[{"concat": ["10.0.0.100", 80]}, {"concat": ["198.19.130.1", 8080]}]],
            }
        },
        {"map": {"name": "segment_sizes", "map": "integer", "elem": [[7, 1360]]}},
        {
            "set": {
                "name": "allowed",
                "elem": [
                    {"concat": ["10.0.0.100", {"prefix": {"addr": "10.0.0.0", "len": 24}}]},
                    {"concat": ["10.0.0.100", "10.1.0.7"]},
                ],
            }
        },
        {"set": {"name": "endpoints", "elem": [{"elem": {"val": "10.0.0.100", "comment": "endpoint-1 00ff"}}]}},
        {
            "set": {
                "name": "targets",
                "elem": [{"elem": {"val": {"concat": [1, 2, "198.19.130.1", 80]}, "comment": "service-1 00ff"}}],
            }
        },
        {"set": {"name": "accepted"}},
        {"set": {"name": "of somebody else", "elem": ["10.0.0.1"]}},
    ]

    assert parse(VPC, listed) == {
        Element(VPC, Kind.LISTENERS, "10.0.0.100 . 80", "198.19.130.1 . 8080"),
        Element(VPC, Kind.SEGMENTS, "7", "1360"),
        Element(VPC, Kind.ALLOWED, "10.0.0.100 . 10.0.0.0/24"),
        Element(VPC, Kind.ALLOWED, "10.0.0.100 . 10.1.0.7"),
        Element(VPC, Kind.ENDPOINTS, "10.0.0.100", "endpoint-1 00ff"),
        Element(VPC, Kind.TARGETS, "1 . 2 . 198.19.130.1 . 80", "service-1 00ff"),
    }


def test_the_rules_declare_a_set_or_map_for_every_kind():
    for kind in set(Kind) - OUTSIDE_NFT:
        assert f"set {kind} {{" in RULES or f"map {kind} {{" in RULES
