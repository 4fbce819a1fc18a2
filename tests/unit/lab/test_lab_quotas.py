"""The lab file may say how many services and endpoints a project may have."""

import pytest

from landbridge import lab as labs
from landbridge.domain.resources import QuotaType
from landbridge.lab import LabFileError, parse_lab

PROJECTS = "region: r\nprojects:\n  - name: acme\n    quotas: {}\n  - {{name: globex}}\n"


def test_a_project_has_the_quotas_that_it_names_and_no_others():
    lab = parse_lab(PROJECTS.format("{endpoint_service: 0, endpoint: 999999999}"))

    (acme, own), (_, none) = labs.quotas(lab).items()
    assert acme == labs.projects(lab)[0].id
    assert own == {QuotaType.ENDPOINT_SERVICE: 0, QuotaType.ENDPOINT: 999_999_999}
    assert none == {}
    assert parse_lab(PROJECTS.format("{endpoint: 7}")).projects[0].quotas == {QuotaType.ENDPOINT: 7}
    assert parse_lab(PROJECTS.format("{}")).projects[0].quotas == {}


@pytest.mark.parametrize(
    ("quotas", "complaint"),
    [
        ("{endpoint: many}", "4: project acme: quotas: endpoint many is no whole number from 0 to 999999999"),
        ("{endpoint: -1}", "4: project acme: quotas: endpoint -1 is no whole number from 0 to 999999999"),
        ("{endpoint: 1000000000}", "4: project acme: quotas: endpoint 1000000000 is no whole number"),
        ("{endpoint: 007}", "4: project acme: quotas: endpoint 007 is no whole number"),
        ("{endpoint: [7]}", "4: project acme: quotas: endpoint must be a single value, not a list; write endpoint: 50"),
        ("{endpoint: }", "4: project acme: quotas: endpoint has no value; write endpoint: 50"),
        ("{endpoints: 7}", "4: project acme: quotas: there is no key endpoints; write endpoint"),
        ("7", "4: project acme: quotas must have keys with values; write quotas: {endpoint_service: 20, endpoint: 50}"),
        ("", "4: project acme: quotas must have keys with values; write quotas: {endpoint_service: 20, endpoint: 50}"),
    ],
)
def test_a_mistake_in_quotas_is_told_with_its_line_and_the_way_out(quotas: str, complaint: str):
    with pytest.raises(LabFileError) as caught:
        parse_lab(PROJECTS.format(quotas))

    assert str(caught.value).startswith(f"lab.yaml:{complaint}")
