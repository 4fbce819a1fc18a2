"""Bring about that removals are held back, see it, and consent."""

import json
import urllib.error
import urllib.request
from typing import Any

from tests.e2e.deployment import Deployment

MORE_THAN_TRUSTED = 11


def readiness(deployment: Deployment) -> tuple[int, list[str]]:
    """Return status and reasons of /readyz."""
    try:
        with urllib.request.urlopen(f"{deployment.url}/readyz", timeout=10) as answer:
            return answer.status, [reason["code"] for reason in json.load(answer)["reasons"]]
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, [reason["code"] for reason in json.load(refusal)["reasons"]]


def more_endpoints(deployment: Deployment, like: Any, count: int = MORE_THAN_TRUSTED) -> list[Any]:
    """Make endpoints of the same service and subnet, and wait until they are carried."""
    globex, ids = deployment.tenant("globex"), deployment.ids()
    body = {
        "endpoint_service_id": like["endpoint_service_id"],
        "vpc_id": like["vpc_id"],
        "subnet_id": ids["subnets"]["globex-vpc/apps"]["subnet_id"],
    }
    made = [globex.send("POST", "vpc-endpoints", body) for _ in range(count)]
    return [globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted") for endpoint in made]


def confirm(deployment: Deployment, *options: str) -> tuple[int, str]:
    """Consent beside a running server; return status and words."""
    said = deployment.run("agent", "--confirm-removals", "--state", str(deployment.state), *options)
    return said.returncode, said.stdout or said.stderr
