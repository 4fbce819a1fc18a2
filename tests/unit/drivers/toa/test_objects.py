"""The compiled programs that are shipped are those of the sources beside them."""

import hashlib
from pathlib import Path

import pytest

from landbridge.drivers.toa import objects
from landbridge.drivers.toa.hooks import Direction
from landbridge.drivers.toa.objects import UnreadableObject, read_object, shipped

SOURCES = Path(objects.__file__).parent / "bpf"
NAMES = sorted(path.stem for path in SOURCES.glob("*.c"))


@pytest.mark.parametrize("name", NAMES)
def test_an_object_is_made_from_the_sources_beside_it(name: str):
    sources = b"".join(path.read_bytes() for path in (*sorted(SOURCES.glob("*.h")), SOURCES / f"{name}.c"))

    assert shipped(name).source_digest == hashlib.sha256(sources).hexdigest(), "run scripts/build-bpf, and commit"


@pytest.mark.parametrize("name", NAMES)
def test_programs_go_by_their_direction_and_share_a_table_of_listeners(name: str):
    compiled = shipped(name)

    assert set(compiled.programs) <= set(Direction)
    assert compiled.tables["listeners"].key_size == 8
    assert compiled.tables["counts"].max_entries == len(compiled.counters)
    for code in compiled.programs.values():
        assert {table for _, table in code.references} <= set(compiled.tables)
        assert len(code.instructions) % 8 == 0


def test_what_is_no_object_is_refused_with_the_way_out():
    with pytest.raises(UnreadableObject, match="scripts/build-bpf"):
        read_object(b"\x7fELF\x02\x02" + bytes(58))


@pytest.mark.parametrize("size", [0, 3, 63, 500])
def test_a_broken_off_object_is_refused(size: int):
    whole = (SOURCES / "toa.o").read_bytes()

    with pytest.raises(UnreadableObject):
        read_object(whole[:size])


def test_a_program_that_needs_more_than_tables_is_refused():
    whole = (SOURCES / "toa.o").read_bytes()
    # The section with the tables goes by another name.
    tables, licence = b"\0tables\0", b"\0tablet\0"

    with pytest.raises(UnreadableObject, match="which is no table"):
        read_object(whole.replace(tables, licence))
