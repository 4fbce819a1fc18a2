"""A whitelist that is changed through the API counts for real packets when the answer has come."""

from typing import Any

from tests.e2e.deployment import Deployment, HttpTenant, as_user

CLIENT, OTHER = "10.0.0.10", "10.0.0.250"


def change(globex: HttpTenant, endpoint: Any, **body: Any) -> None:
    answer = globex.send("PUT", f"vpc-endpoints/{endpoint['id']}", body)
    assert (answer["status"], answer["error"]) == ("accepted", [])


@as_user
def test_who_is_taken_out_of_a_whitelist_passes_no_more_and_who_is_let_in_passes_at_once(deployment: Deployment):
    deployment.serve()
    deployment.start_backend()
    endpoint = deployment.accepted_endpoint()
    globex = deployment.tenant("globex")
    talk = deployment.talk("10.0.0.100", 8080)
    assert talk.say("open to all") == "open to all"

    change(globex, endpoint, whitelist=[OTHER, CLIENT], enable_whitelist=True)
    assert talk.say("still let in") == "still let in"

    change(globex, endpoint, whitelist=[OTHER])
    assert talk.say("taken out") == ""
    assert deployment.talk("10.0.0.100", 8080, timeout_seconds=0.5).seen_source == ""

    change(globex, endpoint, enable_whitelist=False)
    assert deployment.talk("10.0.0.100", 8080).say("open again") == "open again"


@as_user
def test_a_client_passes_while_any_of_overlapping_entries_lets_it_in(deployment: Deployment):
    deployment.serve()
    deployment.start_backend()
    endpoint = deployment.accepted_endpoint()
    globex = deployment.tenant("globex")
    change(globex, endpoint, whitelist=["10.0.0.0/24", "10.0.0.0/28", CLIENT], enable_whitelist=True)
    talk = deployment.talk("10.0.0.100", 8080)
    assert talk.say("let in three times") == "let in three times"

    change(globex, endpoint, whitelist=["10.0.0.0/24", "10.0.0.0/28"])
    assert talk.say("twice") == "twice"
    change(globex, endpoint, whitelist=["10.0.0.0/28", OTHER])
    assert talk.say("once") == "once"
    assert deployment.talk("10.0.0.100", 8080).say("new") == "new"

    change(globex, endpoint, whitelist=["10.0.0.0/29", "10.0.0.11", OTHER])
    assert talk.say("not any more") == ""
    assert deployment.talk("10.0.0.100", 8080, timeout_seconds=0.5).seen_source == ""
