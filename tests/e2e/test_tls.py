"""A server over TLS with a private CA: the clients that people use, and certificates that change while it runs."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkvpcep.v1 import ListEndpointServiceRequest, VpcepClient

from landbridge import lab as labs
from tests.certificates import Authority
from tests.e2e.deployment import LANDBRIDGE, free_port

LAB = Path(__file__).parent.parent / "labs" / "two-vpcs.yaml"
IDS: Any = labs.show(labs.read_lab(LAB))
ENVIRONMENT = {"PATH": os.environ["PATH"]}


@dataclass
class TlsServer:
    """A server on a port of this machine, and the authority that its clients trust."""

    authority: Authority
    port: int
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def openstack_variables(self) -> dict[str, str]:
        return ENVIRONMENT | {
            "OS_AUTH_URL": f"{self.url}/v3",
            "OS_USERNAME": "acme-admin",
            "OS_PASSWORD": "acme-password",
            "OS_PROJECT_NAME": "acme",
            "OS_USER_DOMAIN_NAME": "acme",
            "OS_PROJECT_DOMAIN_NAME": "acme",
            "OS_CACERT": str(self.authority.certificate),
        }

    def connect(self) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=self.authority.certificate)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=context)

    def shown_certificate(self, name: str | None = None) -> bytes | None:
        """Return what a new handshake shows, with or without the name of a server in it."""
        context = ssl.create_default_context(cafile=self.authority.certificate)
        with (
            socket.create_connection(("127.0.0.1", self.port), 10) as plain,
            context.wrap_socket(plain, server_hostname=name or "127.0.0.1") as connection,
        ):
            return connection.getpeercert(binary_form=True)

    def events(self, name: str) -> list[Any]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]


def until(is_true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def command(directory: Path, port: int, certificate: Path, key: Path) -> list[str]:
    words = [LANDBRIDGE, "serve", "--driver", "memory", "--lab", str(LAB), "--state", str(directory / "state")]
    words += ["--listen", f"127.0.0.1:{port}", "--tls-cert", str(certificate), "--tls-key", str(key)]
    return words


@contextmanager
def serving(directory: Path) -> Iterator[TlsServer]:
    authority, port, log = Authority.make(directory), free_port(), directory / "serve.log"
    with log.open("ab") as sink:
        process = subprocess.Popen(
            command(directory, port, *authority.write_pair("server")), stdout=sink, stderr=sink, env=ENVIRONMENT
        )
    server = TlsServer(authority, port, log, process)
    try:
        until(lambda: process.poll() is not None or server.events("server.ready"))
        assert process.poll() is None, log.read_text()
        yield server
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        try:
            assert process.wait(10) == 0, log.read_text()
        finally:
            process.kill()
            process.wait(10)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    with serving(tmp_path_factory.mktemp("tls")) as running:
        yield running


def test_without_the_authority_nobody_gets_through(server: TlsServer):
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=10)

    with pytest.raises(ssl.SSLCertVerificationError):
        connection.request("GET", "/")


def test_the_links_lead_to_https(server: TlsServer):
    connection = server.connect()
    connection.request("GET", "/")

    versions = json.load(connection.getresponse())

    assert versions["versions"][0]["links"][0]["href"] == f"{server.url}/v1"
    connection.close()


def test_the_command_line_works_with_the_authority(server: TlsServer):
    assert printed(server, LANDBRIDGE, "service", "list", "--json") == []


def test_openstack_client_works_with_the_authority(server: TlsServer):
    openstack = str(Path(LANDBRIDGE).with_name("openstack"))

    assert printed(server, openstack, "vpcep", "service", "list", "-f", "json") == []


def printed(server: TlsServer, *words: str) -> Any:
    """Return what a client of acme prints as JSON."""
    done = subprocess.run(
        words, check=False, capture_output=True, text=True, timeout=60, env=server.openstack_variables
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_huawei_sdk_works_with_the_authority(server: TlsServer):
    configuration = HttpConfig.get_default_config()
    configuration.ssl_ca_cert = str(server.authority.certificate)
    credentials = BasicCredentials("ACMEKEY", "acme-secret-key", IDS["projects"]["acme"]["project_id"])
    client = (
        VpcepClient.new_builder()
        .with_http_config(configuration)
        .with_credentials(credentials)
        .with_endpoint(server.url)
        .build()
    )

    answer = client.list_endpoint_service(ListEndpointServiceRequest())

    assert answer.total_count == 0


def test_a_new_certificate_is_shown_after_sighup_and_an_old_connection_goes_on(tmp_path: Path):
    with serving(tmp_path) as server:
        old = server.connect()
        old.request("GET", "/")
        old.getresponse().read()
        shown_before, socket_before = server.shown_certificate(), old.sock

        server.authority.write_pair("server")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: len(server.events("tls.loaded")) == 2)
        old.request("GET", "/")
        answer = old.getresponse()

        shown_after = server.shown_certificate()
        assert (answer.status, old.sock) == (200, socket_before)
        assert shown_after != shown_before
        assert server.shown_certificate("localhost") == shown_after
        answer.read()
        old.close()


def test_files_that_cannot_be_used_keep_the_old_certificate(tmp_path: Path):
    with serving(tmp_path) as server:
        shown_before = server.shown_certificate()
        (tmp_path / "server.crt").write_text("half a fi")

        server.process.send_signal(signal.SIGHUP)
        until(lambda: server.events("tls.kept"))

        (kept,) = server.events("tls.kept")
        assert kept["level"] == "error"
        assert "holds no certificate" in kept["reason"]
        assert server.shown_certificate() == shown_before


def test_a_pair_that_does_not_fit_is_one_sentence_and_nothing_is_started(tmp_path: Path):
    authority = Authority.make(tmp_path)
    certificate, _ = authority.write_pair("one")
    _, key = authority.write_pair("other")

    done = subprocess.run(
        command(tmp_path, free_port(), certificate, key),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
    )

    assert done.returncode == 1
    assert done.stderr.startswith(f"error: the TLS key {key} does not belong to the certificate {certificate}")
    assert "Traceback" not in done.stderr
