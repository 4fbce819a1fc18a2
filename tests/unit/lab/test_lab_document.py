"""Files that are no lab file at all, and YAML that tries to do harm."""

from pathlib import Path

import pytest

from landbridge.lab import LabFileError, parse_lab, read_lab

VALID = "region: r\nprojects: [{name: p}]\n"


def refusal(text: str) -> str:
    with pytest.raises(LabFileError) as caught:
        parse_lab(text)
    return str(caught.value)


def refusal_of_file(path: Path) -> str:
    with pytest.raises(LabFileError) as caught:
        read_lab(path)
    return str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path):
    path = tmp_path / "none.yaml"

    assert refusal_of_file(path) == f"{path}: there is no such file; write the path of a lab file"


def test_a_directory_is_told(tmp_path: Path):
    assert refusal_of_file(tmp_path) == f"{tmp_path}: cannot be read (Is a directory); write the path of a lab file"


def test_a_path_that_no_file_can_have_is_told():
    assert "cannot be read" in refusal_of_file(Path("a\0b"))


def test_a_file_that_is_not_utf8_is_told_with_its_line(tmp_path: Path):
    path = tmp_path / "lab.yaml"
    path.write_bytes(b"region: r\nprojects: [{name: caf\xe9}]\n")

    assert refusal_of_file(path) == f"{path}:2: is not UTF-8; write the file in UTF-8"


def test_a_file_of_more_than_10_mib_is_told(tmp_path: Path):
    path = tmp_path / "lab.yaml"
    path.write_bytes(VALID.encode() + b"#" * 10 * 1024 * 1024)

    assert refusal_of_file(path) == f"{path}: is larger than 10 MiB; write a smaller lab"


def test_a_byte_order_mark_does_no_harm(tmp_path: Path):
    path = tmp_path / "lab.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + VALID.encode())

    assert read_lab(path).region == "r"


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null\n", '""'])
def test_an_empty_file_is_told(text: str):
    assert refusal(text) == "lab.yaml:1: is empty; write at least region: lab-1 and a list of projects"


@pytest.mark.parametrize("text", ["[]", "lab"])
def test_a_document_without_keys_is_told(text: str):
    assert refusal(text) == "lab.yaml:1: lab must have keys with values; write region: lab-1, projects: [{name: acme}]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("region: [r\nprojects: x", "2: this is no YAML: "),
        ("region: r\n\tprojects: x", "2: this is no YAML: "),
        ("region: r\n---\nregion: r", "2: a second document begins; write one document without --- and ..."),
        ("region: r\nprojects: &a []", "2: lab files have no anchors and aliases; write a value with & or * in quotes"),
        ("region: r\nprojects: *a", "2: lab files have no anchors and aliases; write a value with & or * in quotes"),
        ("region: r\nprojects: !!python/name:os.system x", "2: lab files have no tags; write a value that begins "),
        ("region: r\nprojects: !a!b x", "2: lab files have no tags; write a value that begins with ! in quotes"),
        ('region: r\nprojects: "\\UFFFFFFFF"', "2: an escape or number here is too large; write a smaller one"),
        ('region: r\nprojects: "\\ud800"', "2: half a surrogate pair is no character; write the whole character"),
        ("%YAML 1." + "9" * 5000 + "\n---\n", "1: an escape or number here is too large; write a smaller one"),
        ("region: r\nprojects: \x07", "2: a character here is not allowed in YAML; write it as an escape in "),
        ("region: r\n? [a]\n: b", "2: a key must be a word, not a list or a table; write key: value"),
        ("region: r\n<<: {a: b}", "2: lab: there is no key <<; write one of region, projects, vpcs"),
        ('region: r\n"a\\nb": c', "2: lab: there is no key 'a\\nb'; write one of region, projects, vpcs"),
    ],
)
def test_yaml_that_lab_files_do_not_use_is_refused(text: str, said: str):
    assert refusal(text).startswith(f"lab.yaml:{said}")


def test_deep_nesting_is_refused_before_it_costs_anything():
    assert refusal("[" * 200_000) == "lab.yaml:1: values are nested more than 30 deep; write fewer levels"


def test_an_alias_bomb_is_refused_at_its_first_anchor():
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"

    assert refusal(bomb).startswith("lab.yaml:1: lab files have no anchors and aliases")
