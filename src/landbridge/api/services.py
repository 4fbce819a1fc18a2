"""Name what the routes work with. Bootstrap fills it in; one value, no globals."""

from dataclasses import dataclass

from landbridge.api.limits import RequestLimits
from landbridge.control.audit_log import AuditLog
from landbridge.control.capacity import Capacity
from landbridge.control.connections import Connections
from landbridge.control.cut_offs import CutOffChoices
from landbridge.control.endpoint_changes import EndpointChanges
from landbridge.control.endpoint_services import EndpointServices
from landbridge.control.endpoints import Endpoints
from landbridge.control.health import HealthChecks
from landbridge.control.networks import Networks
from landbridge.control.nics import Nics
from landbridge.control.permissions import Permissions
from landbridge.control.protocols import Clock, Identity, TokenIssuer
from landbridge.control.publishing import PublicServices
from landbridge.control.quotas import Quotas
from landbridge.control.readiness import Readiness
from landbridge.control.route_tables import RouteTables
from landbridge.control.service_changes import ServiceChanges
from landbridge.control.tagging import Tagging
from landbridge.control.tracing import Tracing
from landbridge.control.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Api:
    """Everything behind the routes."""

    region: str
    dns_domain: str
    public_url: str
    """Scheme, host and port as clients reach this server, without a trailing slash."""
    error_form: str
    """How errors are written: `union`, `nested` or `flat` (contract 1.7)."""
    clock: Clock
    identity: Identity
    issuer: TokenIssuer | None
    """What stands behind `/v3`; None where identity is somebody else's, and `/v3` is not here then."""
    limits: RequestLimits
    endpoint_services: EndpointServices
    service_changes: ServiceChanges
    endpoints: Endpoints
    endpoint_changes: EndpointChanges
    connections: Connections
    permissions: Permissions
    cut_offs: CutOffChoices
    networks: Networks
    nics: Nics
    route_tables: RouteTables
    quotas: Quotas
    tagging: Tagging
    public_services: PublicServices
    traffic: Traffic
    health: HealthChecks
    tracing: Tracing
    audit: AuditLog
    readiness: Readiness
    capacity: Capacity
