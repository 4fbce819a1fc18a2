"""Manage services and endpoints with the SDK that users have, and write down what was answered."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException, SdkException
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkvpcep import v1

from tests.soak.ledger import ABSENT, Answer, Ledger

CLIENT_PORT = 8080
FIRST_SERVER_PORT, PORTS_EACH = 8000, 200
"""A service has a server port that none had on its host for long, so that its backend's greeting names it."""
MOST_SERVICES, MOST_ENDPOINTS = 3, 8
AVAILABLE, PENDING, ACCEPTED, REJECTED = "available", "pendingAcceptance", "accepted", "rejected"
OPEN, LET_IN, LET_OUT = "open to all", "open to the client", "closed to the client"
_CONNECT_SECONDS, _ANSWER_SECONDS = 5, 20
_PAUSE_SECONDS = 0.02


@dataclass(frozen=True)
class Site:
    """Where the server is, and what is in its lab."""

    url: str
    ids: Any
    """As `landbridge lab show --json` prints it."""
    keys: Mapping[str, tuple[str, str]]
    hosts: Sequence[str]
    """Which have backends."""
    client_address: str

    def client(self, project: str) -> v1.VpcepClient:
        """Return a client of the SDK; it tries nothing twice."""
        credentials = BasicCredentials(*self.keys[project], self.ids["projects"][project]["project_id"])
        config = HttpConfig(timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS))
        builder = v1.VpcepClient.new_builder().with_credentials(credentials).with_http_config(config)
        return builder.with_endpoints([self.url]).build()


@dataclass
class Books:
    """What all workers know. A thing is one worker's alone; the lock is for the counts."""

    services: Ledger = field(default_factory=Ledger)
    endpoints: Ledger = field(default_factory=Ledger)
    whitelists: Ledger = field(default_factory=Ledger)
    service_of: dict[str, str] = field(default_factory=dict[str, str])
    """Of each endpoint that was ever asked for."""
    greetings: dict[str, str] = field(default_factory=dict[str, str])
    """What the backend of each service says."""
    ids: dict[str, str] = field(default_factory=dict[str, str])
    answers: Counter[Answer] = field(default_factory=Counter[Answer])
    longest_wait_seconds: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, answer: Answer, seconds: float) -> None:
        """Count an answer."""
        with self.lock:
            self.answers[answer] += 1
            self.longest_wait_seconds = max(self.longest_wait_seconds, seconds)


class Worker:
    """Does one thing after the other with services and endpoints of its own."""

    def __init__(self, number: int, site: Site, books: Books, seed: int) -> None:
        self._number = number
        self._site = site
        self._books = books
        self._random = random.Random(seed)
        self._service_numbers, self._endpoint_numbers = count(), count()
        self._acme, self._globex = site.client("acme"), site.client("globex")
        self._open: set[str] = set()

    def run(self, ended: threading.Event) -> None:
        """Work until told to end."""
        while not ended.is_set():
            self._random.choice(
                [
                    self._create_service,
                    self._create_endpoint,
                    self._create_endpoint,
                    self._accept,
                    self._accept,
                    self._reject,
                    self._edit_whitelist,
                    self._delete_endpoint,
                    self._delete_service,
                ]
            )()
            time.sleep(_PAUSE_SECONDS)

    # What it does

    def _create_service(self) -> None:
        if len(self._services()) >= MOST_SERVICES:
            return
        number = next(self._service_numbers)
        name = f"service-{self._number}-{number}"
        host = self._random.choice(self._site.hosts)
        port = FIRST_SERVER_PORT + self._number * PORTS_EACH + number % PORTS_EACH
        self._books.greetings[name] = f"{host}:{port}"
        body = v1.CreateEndpointServiceRequestBody(
            port_id=self._site.ids["hosts"][host]["port_id"],
            vpc_id=self._site.ids["vpcs"]["acme-vpc"]["vpc_id"],
            server_type="VM",
            ports=[v1.PortList(client_port=CLIENT_PORT, server_port=port)],
            tcp_proxy=self._random.choice(["close", "close", "proxy_open"]),
            description=name,
        )
        made = self._ask(
            self._books.services,
            name,
            AVAILABLE,
            lambda: self._acme.create_endpoint_service(v1.CreateEndpointServiceRequest(body)),
        )
        if made is None:
            return
        self._books.ids[name] = made.id
        permit = v1.AddOrRemoveServicePermissionsRequestBody(action="add", permissions=["*"])
        request = v1.AddOrRemoveServicePermissionsRequest(made.id, permit)
        if self._call(lambda: self._acme.add_or_remove_service_permissions(request))[0] is Answer.ACKNOWLEDGED:
            self._open.add(name)

    def _create_endpoint(self) -> None:
        services = [name for name in self._services() if name in self._open]
        if not services or len(self._endpoints(PENDING, ACCEPTED, REJECTED)) >= MOST_ENDPOINTS:
            return
        name, service = f"endpoint-{self._number}-{next(self._endpoint_numbers)}", self._random.choice(services)
        self._books.service_of[name] = service
        body = v1.CreateEndpointRequestBody(
            endpoint_service_id=self._books.ids[service],
            vpc_id=self._site.ids["vpcs"]["globex-vpc"]["vpc_id"],
            subnet_id=self._site.ids["subnets"]["globex-vpc/apps"]["subnet_id"],
            description=name,
        )
        self._books.whitelists.note(name, OPEN, Answer.ACKNOWLEDGED)
        made = self._ask(
            self._books.endpoints, name, PENDING, lambda: self._globex.create_endpoint(v1.CreateEndpointRequest(body))
        )
        if made is not None:
            self._books.ids[name] = made.id

    def _accept(self) -> None:
        self._decide("receive", ACCEPTED, PENDING, REJECTED)

    def _reject(self) -> None:
        self._decide("reject", REJECTED, PENDING, ACCEPTED)

    def _decide(self, action: str, state: str, *before: str) -> None:
        name = self._one_of(self._endpoints(*before))
        if name is None:
            return
        body = v1.AcceptOrRejectEndpointRequestBody(action=action, endpoints=[self._books.ids[name]])
        request = v1.AcceptOrRejectEndpointRequest(self._books.ids[self._books.service_of[name]], body)
        self._ask(self._books.endpoints, name, state, lambda: self._acme.accept_or_reject_endpoint(request))

    def _edit_whitelist(self) -> None:
        name = self._one_of(self._endpoints(PENDING, ACCEPTED, REJECTED))
        if name is None or self._books.whitelists.surely(name) is None:
            return
        state = self._random.choice([OPEN, LET_IN, LET_OUT])
        address = "10.0.0.200" if state == LET_OUT else self._site.client_address
        body = v1.UpdateEndpointWhiteRequestBody(whitelist=[address], enable_whitelist=state != OPEN)
        request = v1.UpdateEndpointWhiteRequest(self._books.ids[name], body)
        self._ask(self._books.whitelists, name, state, lambda: self._globex.update_endpoint_white(request))

    def _delete_endpoint(self) -> None:
        name = self._one_of(self._endpoints(PENDING, ACCEPTED, REJECTED))
        if name is not None:
            request = v1.DeleteEndpointRequest(self._books.ids[name])
            self._ask(self._books.endpoints, name, ABSENT, lambda: self._globex.delete_endpoint(request))

    def _delete_service(self) -> None:
        """Delete one that surely has no endpoints: what becomes of those would be another story."""
        used = {
            service
            for endpoint, service in list(self._books.service_of.items())
            if self._books.endpoints.surely(endpoint) != ABSENT
        }
        name = self._one_of([name for name in self._services() if name not in used])
        if name is not None:
            request = v1.DeleteEndpointServiceRequest(self._books.ids[name])
            self._ask(self._books.services, name, ABSENT, lambda: self._acme.delete_endpoint_service(request))

    # How it asks

    def _ask(self, ledger: Ledger, name: str, state: str, work: Callable[[], Any]) -> Any:
        """Ask for something and note the answer; return it if it is an acknowledgement."""
        answer, result = self._call(work)
        ledger.note(name, state, answer)
        return result

    def _call(self, work: Callable[[], Any]) -> tuple[Answer, Any]:
        began = time.monotonic()
        answer, result = Answer.UNKNOWN, None
        try:
            result = work()
            answer = Answer.ACKNOWLEDGED
        except ClientRequestException:
            answer = Answer.REFUSED
        except SdkException:
            time.sleep(0.2)  # whoever is away is not asked at once again
        self._books.answered(answer, time.monotonic() - began)
        return answer, result

    # What it has

    def _services(self) -> list[str]:
        prefix = f"service-{self._number}-"
        surely = self._books.services.surely
        return [
            name for name in list(self._books.services.states) if name.startswith(prefix) and surely(name) == AVAILABLE
        ]

    def _endpoints(self, *states: str) -> list[str]:
        prefix = f"endpoint-{self._number}-"
        surely = self._books.endpoints.surely
        return [
            name for name in list(self._books.endpoints.states) if name.startswith(prefix) and surely(name) in states
        ]

    def _one_of(self, names: Sequence[str]) -> str | None:
        return self._random.choice(names) if names else None
