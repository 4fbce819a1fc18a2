import re
from ipaddress import IPv4Address
from pathlib import Path

from tests.proxy_protocol import Header, parse

PAGE = Path(__file__).parents[4] / "docs" / "explanation" / "proxy-protocol.md"


def test_the_header_that_the_page_draws_is_one():
    drawn = re.search(r"^```\n((?:[0-9a-f]{2}\s+)+)```$", PAGE.read_text(), re.MULTILINE)

    assert drawn is not None
    assert parse(bytes.fromhex(drawn.group(1))) == Header(
        source=(IPv4Address("10.0.0.20"), 51000),
        destination=(IPv4Address("10.0.0.100"), 8080),
        fields={0xE5: (16777217).to_bytes(4, "big")},
    )
