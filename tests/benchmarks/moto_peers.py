"""Run the peer of the API: moto, an EC2 in memory, with one endpoint service in it.

Twice: its own server, as it is shipped, ends the connection with each answer. So the same application also runs in
gunicorn, where connections are kept alive. Both are one process that answers in threads.
"""

import contextlib
import http.client
import os
import re
import tempfile
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from urllib.parse import urlencode

from tests.benchmarks.api_load import Request, Target
from tests.benchmarks.api_worlds import CREATE, SHOW
from tests.benchmarks.background import answers, free_port, in_background
from tests.benchmarks.failures import BenchmarkBroken
from tests.benchmarks.processes import START_SECONDS

MOTO, MOTO_ALIVE = "moto", "moto, kept alive"
_ROOT = Path(__file__).resolve().parents[2]
_PROGRAMS = _ROOT / ".tools" / "moto" / "bin"
_CONFIGURATIONS = _ROOT / "bench" / "peers"
_EC2, _LOAD_BALANCERS = ("ec2", "2016-11-15"), ("elasticloadbalancing", "2015-12-01")
_THREADS = 64


def available() -> list[str]:
    """Return which of both can run here."""
    return [MOTO, MOTO_ALIVE] if (_PROGRAMS / "moto_server").exists() else []


@contextlib.contextmanager
def moto(name: str) -> Generator[Target]:
    """Run one of both while the block runs."""
    port = free_port()
    commands = {
        MOTO: [str(_PROGRAMS / "moto_server"), "-H", "127.0.0.1", "-p", str(port)],
        MOTO_ALIVE: [
            str(_PROGRAMS / "gunicorn"),
            *("--workers", "1", "--worker-class", "gthread", "--threads", str(_THREADS), "--keep-alive", "60"),
            *("--bind", f"127.0.0.1:{port}", "--chdir", str(_CONFIGURATIONS), "--no-control-socket", "moto_app:app"),
        ],
    }
    with tempfile.TemporaryDirectory(prefix="landbridge-bench-moto-") as directory:
        log = Path(directory) / "log"
        # In its own directory, it keeps nothing beside our sources.
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        with in_background(commands[name], log, environment) as server:
            deadline = time.monotonic() + START_SECONDS
            while not answers(port):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise BenchmarkBroken(f"{name} did not start: {log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.05)
            yield Target(name, port, Path(directory), _requests(port))


def _requests(port: int) -> Mapping[str, Request]:
    """Make one service and return what is measured."""
    found = _call(port, _EC2, Action="DescribeSubnets")
    subnet = _first(r"<subnetId>(.*?)</", found)
    balancer = {"Action": "CreateLoadBalancer", "Name": "backend", "Type": "network", "Subnets.member.1": subnet}
    arn = _first(r"<LoadBalancerArn>(.*?)</", _call(port, _LOAD_BALANCERS, **balancer))
    create = {
        "Action": "CreateVpcEndpointServiceConfiguration",
        "AcceptanceRequired": "true",
        "NetworkLoadBalancerArn.1": arn,
    }
    service_id = _first(r"<serviceId>(.*?)</", _call(port, _EC2, **create))
    show = {"Action": "DescribeVpcEndpointServiceConfigurations", "ServiceId.1": service_id}
    return {CREATE: _request(_EC2, create), SHOW: _request(_EC2, show)}


def _request(service: tuple[str, str], parameters: Mapping[str, str]) -> Request:
    name, version = service
    # It looks into this header for the service, and does not check the signature.
    claim = f"Credential=AK/20260101/us-east-1/{name}/aws4_request, SignedHeaders=host;x-amz-date, Signature=00"
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Authorization": f"AWS4-HMAC-SHA256 {claim}",
    }
    return Request("POST", "/", headers, urlencode({**parameters, "Version": version}))


def _call(port: int, service: tuple[str, str], **parameters: str) -> str:
    request = _request(service, parameters)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request(request.method, request.path, request.body, dict(request.headers))
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    if answer.status != 200:
        raise BenchmarkBroken(f"moto answered {answer.status}: {text[:500]}")
    return text


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise BenchmarkBroken(f"moto's answer has no {pattern}: {text[:500]}")
    return found[1]
