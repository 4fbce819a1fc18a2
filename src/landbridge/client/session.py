"""Sign in with `OS_*` variables or `clouds.yaml` and find the VPC Endpoint service in the catalogue.

openstacksdk and keystoneauth1 live here and nowhere else in the client: importing them takes about a second,
so commands import this module only when they run. What these libraries raise leaves as a `ClientError`
with a sentence for people; no password and no token ever becomes part of one.
"""

import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import cast
from urllib.parse import urlsplit, urlunsplit

from keystoneauth1 import exceptions as keystone_errors
from keystoneauth1.session import Session
from openstack.config import OpenStackConfig
from openstack.config.cloud_region import CloudRegion
from openstack.exceptions import SDKException
from requests import Response

from landbridge.client.rest import (
    Client,
    ClientError,
    NoCredentials,
    NotInCatalogue,
    Query,
    Reply,
    Unreachable,
    api_error,
)

SERVICE_TYPE = "vpcep"
REQUEST_TIMEOUT_SECONDS = 60.0
"""For one request, unless clouds.yaml says `api_timeout`."""

_HOW_TO_SIGN_IN = (
    "set OS_AUTH_URL, OS_USERNAME, OS_PASSWORD, OS_PROJECT_NAME, OS_USER_DOMAIN_NAME and OS_PROJECT_DOMAIN_NAME, "
    "or name a cloud of clouds.yaml with --os-cloud or OS_CLOUD"
)


@contextmanager
def open_client(cloud: str | None) -> Generator[Client]:
    """Give a client that is signed in, and close its connections in the end.

    Raises:
        NoCredentials: the settings do not say who is asking, or name an unknown cloud.
        NotInCatalogue: the cloud offers no VPC Endpoint service here.
        Unreachable, ApiError: Keystone did not answer, or refused.
    """
    # These libraries log what their exceptions say as well; without a handler Python prints it on stderr.
    for name in ("keystoneauth", "openstack"):
        logging.getLogger(name).addHandler(logging.NullHandler())
    region = _region(cloud)
    session = region.get_session()
    session.timeout = session.timeout or REQUEST_TIMEOUT_SECONDS
    try:
        yield Client(KeystoneTransport(session, _endpoint_url(region, session)))
    finally:
        session.session.close()


class KeystoneTransport:
    """Carries requests on a keystoneauth session, which gets and renews the token."""

    def __init__(self, session: Session, endpoint_url: str) -> None:
        self._session = session
        self._endpoint_url = endpoint_url.rstrip("/")

    def send(self, method: str, path: str, query: Query, body: Mapping[str, object] | None) -> Reply:
        """Return the reply; see `client.Transport`."""
        with _explained(self._endpoint_url):
            response = self._session.request(
                self._endpoint_url + path,
                method,
                params=dict(query),
                json=body,
                headers={"Accept": "application/json"},
                raise_exc=False,
            )
        return _reply(response)


def _reply(response: Response) -> Reply:
    try:
        body = cast("object", response.json()) if response.content else None
    except ValueError:
        body = None
    request_id = response.headers.get("X-Request-Id") or response.headers.get("X-Openstack-Request-Id")
    return Reply(response.status_code, body, request_id)


def _region(cloud: str | None) -> CloudRegion:
    try:
        region = OpenStackConfig(app_name="landbridge").get_one(cloud=cloud)
    except (SDKException, keystone_errors.AuthPluginException) as error:
        raise NoCredentials(f"no credentials ({_first_line(error)}): {_HOW_TO_SIGN_IN}") from error
    settings = cast("Mapping[str, object]", region.config)
    auth = cast("Mapping[str, object]", settings.get("auth") or {})
    if settings.get("auth_type") in {"password", "v3password"}:
        missing = [
            word
            for word, names in (("user name", ("username", "user_id")), ("password", ("password",)))
            if not any(auth.get(name) for name in names)
        ]
        if missing:
            raise NoCredentials(f"no credentials (no {' and no '.join(missing)}): {_HOW_TO_SIGN_IN}")
    return region


def _endpoint_url(region: CloudRegion, session: Session) -> str:
    """Return the root of the project: the catalogue's, or what the settings say instead."""
    region_name = region.get_region_name(SERVICE_TYPE) or None
    settings = cast("Mapping[str, object]", region.config)
    auth_url = cast("Mapping[str, object]", settings.get("auth") or {}).get("auth_url")
    where = f" in region {region_name}" if region_name else ""
    not_found = NotInCatalogue(
        f"the catalogue has no service of type {SERVICE_TYPE}{where} for this project: "
        "check OS_PROJECT_NAME and OS_REGION_NAME, or set OS_VPCEP_ENDPOINT_OVERRIDE"
    )
    with _explained(str(auth_url)):
        override = region.get_endpoint(SERVICE_TYPE)
        if override:
            return _project_root(override, session.get_project_id())
        try:
            found = session.get_endpoint(
                service_type=SERVICE_TYPE,
                interface=region.get_interface(SERVICE_TYPE) or "public",
                region_name=region_name,
                skip_discovery=True,
            )
        except keystone_errors.CatalogException as error:
            raise not_found from error
    if not found:
        raise not_found
    return found


def _project_root(override: str, project_id: str | None) -> str:
    """Complete an override that stops before the project: at the host, or at `/v1`."""
    url = override.replace("%(project_id)s", project_id or "").replace("$(project_id)s", project_id or "").rstrip("/")
    path = urlsplit(url).path
    if path == "":
        return f"{url}/v1/{project_id}"
    return f"{url}/{project_id}" if path.endswith("/v1") else url


@contextmanager
def _explained(url: str) -> Generator[None]:
    """Turn what keystoneauth raises about `url` into a `ClientError`."""
    try:
        yield
    except keystone_errors.HttpError as error:
        answer = Reply(error.http_status, None, error.request_id) if error.response is None else _reply(error.response)
        raise api_error(answer) from error
    except keystone_errors.SSLError as error:
        raise Unreachable(f"cannot trust {_without_secrets(url)}: {_first_line(error)}; set OS_CACERT") from error
    except keystone_errors.ConnectTimeout as error:
        raise Unreachable(f"{_without_secrets(url)} did not answer in time") from error
    except keystone_errors.ConnectionError as error:
        raise Unreachable(f"cannot reach {_without_secrets(url)}: {_why(error)}") from error
    except keystone_errors.DiscoveryFailure as error:
        raise NoCredentials(
            f"{_without_secrets(url)} offers no way to sign in with these settings: check that OS_AUTH_URL ends in "
            "/v3 and that the domains of user and project are given (OS_USER_DOMAIN_NAME, OS_PROJECT_DOMAIN_NAME)"
        ) from error
    except keystone_errors.ClientException as error:
        raise ClientError(_first_line(error)) from error


def _why(error: Exception) -> str:
    """Name the usual reasons in the words people know."""
    text = str(error).lower()
    for sign, words in (
        ("refused", "connection refused; is `landbridge serve` running there?"),
        ("name or service not known", "no such host"),
        ("name resolution", "no such host"),
        ("failed to resolve", "no such host"),
        ("unreachable", "network unreachable"),
        ("closed connection", "the connection was closed"),
        ("connection aborted", "the connection was closed"),
        ("connection reset", "the connection was closed"),
    ):
        if sign in text:
            return words
    return "the connection failed"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
