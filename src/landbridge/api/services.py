"""Name what the routes work with. Bootstrap fills it in; one value, no globals."""

from dataclasses import dataclass

from landbridge.control.connections import Connections
from landbridge.control.endpoint_services import EndpointServices
from landbridge.control.endpoints import Endpoints
from landbridge.control.permissions import Permissions
from landbridge.control.protocols import Clock, Identity, TokenIssuer


@dataclass(frozen=True, slots=True)
class Api:
    """Everything behind the routes."""

    region: str
    dns_domain: str
    public_url: str
    """Scheme, host and port as clients reach this server, without a trailing slash."""
    clock: Clock
    identity: Identity
    issuer: TokenIssuer | None
    """What stands behind `/v3`; None where identity is somebody else's, and `/v3` is not here then."""
    endpoint_services: EndpointServices
    endpoints: Endpoints
    connections: Connections
    permissions: Permissions
