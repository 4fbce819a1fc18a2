import pytest

from landbridge.domain.ids import EndpointId
from landbridge.drivers.envoy.listeners import TlvDialects
from tests.unit.drivers.envoy.proxied import listener


def test_the_marker_alone_is_said_unless_more_is_asked_for():
    assert TlvDialects().fields(EndpointId("endpoint-1"), 0x01020304) == [(0xE5, b"\x01\x02\x03\x04")]


def test_each_dialect_is_written_as_its_cloud_does():
    dialects = TlvDialects(marker_type=0xE9, aws=True, azure=True, gcp=True)

    assert dialects.fields(EndpointId("endpoint-1"), 0x01020304) == [
        (0xE9, b"\x01\x02\x03\x04"),
        (0xEA, b"\x01endpoint-1"),
        (0xEE, b"\x01\x04\x03\x02\x01"),
        (0xE0, b"\x00\x00\x00\x00\x01\x02\x03\x04"),
    ]


@pytest.mark.parametrize("type_", [0x04, 0x20, 0xDF, 0xF0])
def test_the_marker_may_not_take_a_type_that_has_a_meaning(type_: int):
    with pytest.raises(ValueError, match="choose one from 0xe0 to 0xef"):
        TlvDialects(marker_type=type_)


@pytest.mark.parametrize(("type_", "dialect"), [(0xEA, "aws"), (0xEE, "azure"), (0xE0, "gcp")])
def test_the_marker_may_take_the_type_of_a_dialect_only_while_that_is_not_in_use(type_: int, dialect: str):
    assert TlvDialects(marker_type=type_).marker_type == type_
    with pytest.raises(ValueError, match="choose another one"):
        TlvDialects(marker_type=type_, **{dialect: True})


def test_a_listener_is_called_after_its_endpoint_and_port():
    assert listener(endpoint_id="endpoint-1", client_port=8080).name == "endpoint-1:8080"
