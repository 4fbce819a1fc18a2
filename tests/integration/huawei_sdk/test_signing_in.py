"""How the SDK finds the server and its project, and what it makes of refusals."""

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials, GlobalCredentials
from huaweicloudsdkcore.exceptions.exceptions import (
    ClientRequestException,
    SdkException,
    ServerResponseException,
    ServiceResponseException,
)
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdkcore.signer.algorithm import SigningAlgorithm
from huaweicloudsdkvpcep import v1
from huaweicloudsdkvpcep.v1.region.vpcep_region import VpcepRegion

from tests.integration.huawei_sdk.clients import KEYS, UNKNOWN, RecordedClient
from tests.integration.live import Server, live_server

QUOTAS = v1.ListQuotaDetailsRequest()
# The SDK remembers the project of an access key and a region for as long as the process lives: each test that lets it
# ask has a pair of its own.


def client(credentials: BasicCredentials, endpoint: str) -> v1.VpcepClient:
    return v1.VpcepClient.new_builder().with_credentials(credentials).with_endpoint(endpoint).build()


def client_in(region: Region, credentials: BasicCredentials) -> v1.VpcepClient:
    return v1.VpcepClient.new_builder().with_credentials(credentials).with_region(region).build()


def project_of(sdk: v1.VpcepClient) -> str:
    """Return the project that a client works in: calls in any other one are refused."""
    assert sdk.list_quota_details(QUOTAS).quotas.resources
    return sdk.get_credentials().project_id


def test_an_endpoint_and_a_project_id_are_enough_and_a_path_of_the_endpoint_does_not_count(server: Server):
    project_id = server.project_id("acme")
    credentials = BasicCredentials(*KEYS["acme"], project_id)

    assert project_of(client(credentials, server.url)) == project_id
    assert project_of(client(credentials, f"{server.url}/v1/{project_id}")) == project_id


@pytest.mark.parametrize("region", ["initech", "lab-1"], ids=["the project's name", "the region's name"])
def test_with_a_region_the_sdk_asks_for_the_project_at_the_iam_endpoint_that_it_is_given(server: Server, region: str):
    credentials = BasicCredentials(*KEYS["initech"]).with_iam_endpoint(server.url)

    sdk = client_in(Region(region, server.url), credentials)

    assert project_of(sdk) == server.project_id("initech")


def test_endpoints_may_come_from_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
):
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", KEYS["globex"][0])
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", KEYS["globex"][1])
    monkeypatch.setenv("HUAWEICLOUD_SDK_IAM_ENDPOINT", server.url)
    monkeypatch.setenv("HUAWEICLOUD_SDK_REGION_VPCEP_GLOBEX", server.url)

    sdk = v1.VpcepClient.new_builder().with_region(VpcepRegion.value_of("globex")).build()

    assert project_of(sdk) == server.project_id("globex")


def test_a_region_that_names_no_project_of_the_caller_is_said_so(server: Server):
    credentials = BasicCredentials(*KEYS["acme"]).with_iam_endpoint(server.url)

    with pytest.raises(SdkException) as failure:
        client_in(Region("globex", server.url), credentials)

    assert "Confirm that the project exists in your account" in failure.value.error_msg


def test_global_credentials_find_their_domain(server: Server, acme: RecordedClient):
    credentials = GlobalCredentials(*KEYS["acme"]).with_iam_endpoint(server.url)

    credentials.process_auth_params(acme.sdk.get_http_client(), "lab-1")

    assert credentials.domain_id == server.domain_id("acme")


def test_a_call_may_carry_further_headers_and_they_are_signed(acme: RecordedClient):
    answer = acme.sdk.list_quota_details_invoker(QUOTAS).add_header("X-Language", "en-us").invoke()

    assert [quota.type for quota in answer.quotas.resources] == ["endpoint_service", "endpoint"]


def failure_of(sdk: v1.VpcepClient, service_id: str = UNKNOWN) -> ServiceResponseException:
    """Show a service, which must fail; return how the SDK says so."""
    with pytest.raises(ServiceResponseException) as failure:
        sdk.list_service_details(v1.ListServiceDetailsRequest(service_id))
    found = failure.value
    assert found.request_id.startswith("req-")
    assert found.error_msg
    return found


def test_a_malformed_project_is_a_client_request_exception_with_status_400(server: Server):
    failure = failure_of(client(BasicCredentials(*KEYS["acme"], "no project"), server.url))

    assert isinstance(failure, ClientRequestException)
    assert (failure.status_code, failure.error_code) == (400, "EndPoint.0014")


@pytest.mark.parametrize(
    ("access_key", "secret_key"),
    [("ACMEKEY", "another-secret"), ("NOBODY", "acme-secret-key")],
    ids=["wrong secret key", "unknown access key"],
)
def test_an_unknown_signer_is_a_client_request_exception_with_status_401(
    server: Server, access_key: str, secret_key: str
):
    credentials = BasicCredentials(access_key, secret_key, server.project_id("acme"))

    failure = failure_of(client(credentials, server.url))

    assert isinstance(failure, ClientRequestException)
    assert (failure.status_code, failure.error_code) == (401, "EndPoint.0003")
    assert secret_key not in str(failure)


@pytest.mark.parametrize("algorithm", [SigningAlgorithm.HMAC_SM3, SigningAlgorithm.ECDSA_P256_SHA256])
def test_another_signing_algorithm_is_a_client_request_exception_with_status_401(
    server: Server, algorithm: SigningAlgorithm
):
    credentials = BasicCredentials(*KEYS["acme"], server.project_id("acme"))
    builder = v1.VpcepClient.new_builder().with_credentials(credentials).with_endpoint(server.url)

    failure = failure_of(builder.with_http_config(HttpConfig(signing_algorithm=algorithm)).build())

    assert isinstance(failure, ClientRequestException)
    assert (failure.status_code, failure.error_code) == (401, "EndPoint.0003")


def test_a_foreign_project_is_a_client_request_exception_with_status_403(server: Server):
    failure = failure_of(client(BasicCredentials(*KEYS["acme"], server.project_id("globex")), server.url))

    assert isinstance(failure, ClientRequestException)
    assert (failure.status_code, failure.error_code) == (403, "EndPoint.0004")


def test_what_is_absent_or_foreign_or_no_id_is_a_client_request_exception_with_status_404(
    acme: RecordedClient, globex: RecordedClient, service: v1.ListServiceDetailsResponse
):
    absent, foreign = failure_of(acme.sdk), failure_of(globex.sdk, service.id)
    no_id = failure_of(acme.sdk, "a-name")

    assert isinstance(absent, ClientRequestException)
    assert {(one.status_code, one.error_code) for one in (absent, foreign, no_id)} == {(404, "EndPoint.0005")}
    assert foreign.error_msg == absent.error_msg.replace(UNKNOWN, service.id)


def test_an_absent_identity_service_is_a_server_response_exception_with_status_503(
    server: Server, tmp_path_factory: pytest.TempPathFactory
):
    directory = tmp_path_factory.mktemp("without-keystone")
    password_file = directory / "password"
    password_file.write_text("secret\n")
    settings = (
        'identity = "keystone"\n'
        'keystone_url = "http://127.0.0.1:9"\n'  # the port where everything is discarded: nobody listens
        f'keystone_password_file = "{password_file}"\n'
        "keystone_timeout_seconds = 1\n"
    )
    with live_server(directory, settings=settings, lab=None) as alone:
        failure = failure_of(client(BasicCredentials(*KEYS["acme"], server.project_id("acme")), alone.url))

    assert isinstance(failure, ServerResponseException)
    assert (failure.status_code, failure.error_code) == (503, "EndPoint.1008")
