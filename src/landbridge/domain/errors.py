"""Name everything that can go wrong, in the domain's words.

LandbridgeError
├── UserError                 safe to show; the message says what to do next
│   ├── BadRequest            one request is wrong in itself
│   ├── NotFound              no such thing for this caller
│   ├── Conflict              the state of the world forbids it
│   ├── Unauthenticated       nobody knows who is asking
│   ├── Forbidden             known, and not allowed
│   ├── IdentityUnavailable   it cannot be known now who is asking
│   ├── TrafficUnavailable    it cannot be known now what passes
│   ├── DatabaseUnavailable   nothing can be known or changed now
│   ├── NoPool                there is no data plane yet
│   └── TooManyRequests       not now
└── OperatorError             shown as "internal error" with a request id; logged in full

Each concrete class has a slug of its own, kebab-case; `api.problems` maps slugs to HTTP status and wire code
(contract sections 6 and 7), and a test walks all classes.
"""

from typing import ClassVar


class LandbridgeError(Exception):
    """Anything that Landbridge itself raises."""


class UserError(LandbridgeError):
    """Something the caller can understand and mend."""

    slug: ClassVar[str] = ""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class OperatorError(LandbridgeError):
    """Something only the operator can mend; its text never reaches a tenant."""


class BadRequest(UserError):
    """The request is wrong in itself."""


class NotFound(UserError):
    """There is no such thing for this caller."""


class Conflict(UserError):
    """The state of the world forbids it."""


class Unauthenticated(UserError):
    """No valid token or signature came with the request."""

    slug = "unauthenticated"


class Forbidden(UserError):
    """The caller is known and not allowed to do this."""

    slug = "forbidden"


class IdentityUnavailable(UserError):
    """Whoever knows the users cannot be asked now."""

    slug = "identity-unavailable"


class TrafficUnavailable(UserError):
    """The data plane cannot tell about its traffic now."""

    slug = "traffic-unavailable"


class DatabaseUnavailable(UserError):
    """The database cannot be used now."""

    slug = "database-unavailable"


class NoPool(UserError):
    """No data plane has ever been started, so no service can live anywhere."""

    slug = "no-pool"


class TooManyRequests(UserError):
    """A project sends more requests, an address more failed sign-ins, or everybody more large bodies, than allowed."""

    slug = "too-many-requests"

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


# The request itself (contract 6.1, 6.3)


class RequestTimedOut(BadRequest):
    """The request was not complete in time."""

    slug = "request-timed-out"


class MalformedRequest(BadRequest):
    """The body is not a JSON object that can be read."""

    slug = "malformed-request"


class InvalidParameter(BadRequest):
    """A field without a code of its own is wrong."""

    slug = "invalid-parameter"


class InvalidProjectId(BadRequest):
    """The project id in the path is malformed."""

    slug = "invalid-project-id"


class InvalidVpcId(BadRequest):
    """A vpc_id is missing or malformed."""

    slug = "invalid-vpc-id"


class MissingVpcId(BadRequest):
    """An endpoint without vpc_id."""

    slug = "missing-vpc-id"


class InvalidPortId(BadRequest):
    """A port_id is missing or malformed."""

    slug = "invalid-port-id"


class InvalidVipPortId(BadRequest):
    """A vip_port_id is malformed or is not a virtual IP of this VPC."""

    slug = "invalid-vip-port-id"


class InvalidServerType(BadRequest):
    """A server_type other than VM, VIP and LB."""

    slug = "invalid-server-type"


class InvalidServiceName(BadRequest):
    """A service_name that is too long or has other characters than letters, digits, _ and -."""

    slug = "invalid-service-name"


class InvalidServerPort(BadRequest):
    """A server_port outside 1 to 65535."""

    slug = "invalid-server-port"


class InvalidClientPort(BadRequest):
    """A client_port outside 1 to 65535."""

    slug = "invalid-client-port"


class InvalidProtocol(BadRequest):
    """A protocol other than TCP."""

    slug = "invalid-protocol"


class DuplicateClientPort(BadRequest):
    """One client port appears in two mappings of one service."""

    slug = "duplicate-client-port"


class TooManyPorts(BadRequest):
    """More than 200 port mappings."""

    slug = "too-many-ports"


class EmptyTag(BadRequest):
    """A tag without a key."""

    slug = "empty-tag"


class DuplicateTag(BadRequest):
    """A tag key appears twice."""

    slug = "duplicate-tag"


class InvalidTag(BadRequest):
    """A tag has forbidden characters."""

    slug = "invalid-tag"


class TooManyTags(BadRequest):
    """More tags than a resource may have, or more keys than a tag filter may have."""

    slug = "too-many-tags"


class TagKeyTooLong(BadRequest):
    """A tag key that is longer than the rules allow."""

    slug = "tag-key-too-long"


class TagValueTooLong(BadRequest):
    """A tag value that is longer than the rules allow."""

    slug = "tag-value-too-long"


class TooManyTagValues(BadRequest):
    """A tag filter with more values for one key than allowed."""

    slug = "too-many-tag-values"


class DuplicateTagValue(BadRequest):
    """A tag filter names a value of one key twice."""

    slug = "duplicate-tag-value"


class InvalidResourceType(BadRequest):
    """A resource type other than endpoint_service and endpoint in a tag operation or a quota filter."""

    slug = "invalid-resource-type"


class InvalidTagAction(BadRequest):
    """A tag operation with an action that it does not have."""

    slug = "invalid-tag-action"


class IpNotAllowed(BadRequest):
    """`ip` was given for an interface service."""

    slug = "ip-not-allowed"


class IpNotChangeable(BadRequest):
    """A change of a service with `ip`, which interface services do not have."""

    slug = "ip-not-changeable"


class IpWithPortId(BadRequest):
    """A change of a service with `ip` and `port_id`."""

    slug = "ip-with-port-id"


class IpWithVipPortId(BadRequest):
    """A change of a service with `ip` and `vip_port_id`."""

    slug = "ip-with-vip-port-id"


class InvalidLimit(BadRequest):
    """A page limit out of range."""

    slug = "invalid-limit"


class InvalidOffset(BadRequest):
    """A page offset that is no number or negative."""

    slug = "invalid-offset"


class InvalidSortKey(BadRequest):
    """An unknown sort_key."""

    slug = "invalid-sort-key"


class InvalidSortDirection(BadRequest):
    """A sort_dir other than asc and desc."""

    slug = "invalid-sort-dir"


class InvalidStatusFilter(BadRequest):
    """An unknown status in a filter."""

    slug = "invalid-status"


class InvalidNetType(BadRequest):
    """A net_type in a filter that is no kind of backend."""

    slug = "invalid-net-type"


class InvalidMarker(BadRequest):
    """A marker_id that is no number."""

    slug = "invalid-marker"


class InvalidConnectionAction(BadRequest):
    """An action other than receive and reject."""

    slug = "invalid-connection-action"


class EmptyEndpointList(BadRequest):
    """No endpoint id in a connection action."""

    slug = "empty-endpoint-list"


class TooManyEndpoints(BadRequest):
    """More than one endpoint id in a connection action."""

    slug = "too-many-endpoints"


class InvalidPermissionAction(BadRequest):
    """An action other than add and remove."""

    slug = "invalid-permission-action"


class EmptyPermissionList(BadRequest):
    """No permission entry."""

    slug = "empty-permission-list"


class InvalidPermission(BadRequest):
    """An entry that is no permission."""

    slug = "invalid-permission"


class BatchTooLong(BadRequest):
    """More connections or permissions in one request than allowed."""

    slug = "batch-too-long"


class MissingServiceId(BadRequest):
    """An endpoint without endpoint_service_id."""

    slug = "missing-service-id"


class InvalidServiceId(BadRequest):
    """An endpoint_service_id that is no UUID."""

    slug = "invalid-service-id"


class MissingSubnetId(BadRequest):
    """An endpoint without subnet_id."""

    slug = "missing-subnet-id"


class InvalidRouteTableId(BadRequest):
    """An id of a route table is no UUID."""

    slug = "invalid-route-table-id"


class InvalidNetworks(BadRequest):
    """The networks of a gateway service are none that it can have."""

    slug = "invalid-networks"


class NetworksNotAllowed(BadRequest):
    """An interface service has no networks."""

    slug = "networks-not-allowed"


class PortIdNotAllowed(BadRequest):
    """A gateway service has no port_id."""

    slug = "port-id-not-allowed"


class InvalidSubnetId(BadRequest):
    """A subnet_id that is no UUID."""

    slug = "invalid-subnet-id"


class InvalidEndpointAddress(BadRequest):
    """A port_ip that is no IPv4 address."""

    slug = "invalid-endpoint-address"


class InvalidEnableDns(BadRequest):
    """An enable_dns that is no boolean."""

    slug = "invalid-enable-dns"


class InvalidCutOff(BadRequest):
    """A choice of how connections end that is not offered, or whose deadline does not fit it."""

    slug = "invalid-cut-off"


class InvalidWhitelist(BadRequest):
    """A whitelist entry that is no address or CIDR, or that means everybody."""

    slug = "invalid-whitelist"


class TooManyWhitelistEntries(BadRequest):
    """More whitelist entries than allowed."""

    slug = "too-many-whitelist-entries"


class InvalidSpecification(BadRequest):
    """A specification_name other than default."""

    slug = "invalid-specification"


class InvalidPolicy(BadRequest):
    """An endpoint policy that is no JSON object, too large or too deep."""

    slug = "invalid-policy"


class InvalidEndpointId(BadRequest):
    """The endpoint id in the path is no UUID."""

    slug = "invalid-endpoint-id"


class MethodNotAllowed(BadRequest):
    """The path exists, the method does not."""

    slug = "method-not-allowed"


class BodyTooLarge(BadRequest):
    """The body is longer than 1 MiB."""

    slug = "body-too-large"


# What is not there


class ServiceNotFound(NotFound):
    """No such endpoint service in this project."""

    slug = "service-not-found"


class RouteTableNotFound(NotFound):
    """The VPC has no such route table."""

    slug = "route-table-not-found"


class PermissionNotFound(NotFound):
    """The service has no permission entry with this id."""

    slug = "permission-not-found"


class EndpointNotFound(NotFound):
    """No such endpoint."""

    slug = "endpoint-not-found"


class RouteNotFound(NotFound):
    """No such path."""

    slug = "route-not-found"


class TargetServiceNotFound(NotFound):
    """The endpoint service to connect to does not exist."""

    slug = "target-service-not-found"


class VpcNotFound(NotFound):
    """No such VPC in this project."""

    slug = "vpc-not-found"


class SubnetNotFound(NotFound):
    """No such subnet in this project."""

    slug = "subnet-not-found"


class PortNotFound(NotFound):
    """No such port_id in this project."""

    slug = "port-not-found"


# What the state of the world forbids


class PortNotInVpc(Conflict):
    """The port_id is in another VPC."""

    slug = "port-not-in-vpc"


class SubnetNotInVpc(Conflict):
    """The subnet is in another VPC."""

    slug = "subnet-not-in-vpc"


class PortsConflict(Conflict):
    """Another living service on the same port_id has this server port."""

    slug = "ports-conflict"


class TransitRangeOverlap(Conflict):
    """A subnet or custom route of the VPC overlaps 198.19.128.0/17."""

    slug = "transit-range-overlap"


class ServiceInUse(Conflict):
    """Endpoints are connected to the service."""

    slug = "service-in-use"


class ServiceNotChangeable(Conflict):
    """The service is being created or deleted, or has failed."""

    slug = "service-not-changeable"


class BackendNotChangeable(Conflict):
    """A service of this server_type keeps its port_id or vip_port_id."""

    slug = "backend-not-changeable"


class ServiceNotAvailable(Conflict):
    """The endpoint service to connect to is not available."""

    slug = "service-not-available"


class NotPermitted(Conflict):
    """The caller's domain may not connect to the service."""

    slug = "not-permitted"


class AddressTaken(Conflict):
    """The wanted port_ip is in use."""

    slug = "address-taken"


class AddressOutsideSubnet(Conflict):
    """The wanted port_ip is outside the subnet."""

    slug = "address-outside-subnet"


class SubnetFull(Conflict):
    """The subnet has no free address."""

    slug = "subnet-full"


class PoolFull(Conflict):
    """The pool has no free transit address."""

    slug = "pool-full"


class ConnectionsFull(Conflict):
    """An edge that would track the connections of the endpoint has nearly as many as it may."""

    slug = "connections-full"


class OtherServicesEndpoint(Conflict):
    """The endpoint belongs to another service."""

    slug = "other-services-endpoint"


class EndpointDeleting(Conflict):
    """The endpoint is being deleted."""

    slug = "endpoint-deleting"


class EndpointCreating(Conflict):
    """The endpoint is being created and cannot be changed yet."""

    slug = "endpoint-creating"


class EndpointFailed(Conflict):
    """The endpoint has failed and cannot be changed."""

    slug = "endpoint-failed"


class PolicyNotTaken(Conflict):
    """The endpoint's service takes no endpoint policy."""

    slug = "policy-not-taken"


class NoPolicy(Conflict):
    """The endpoint has no policy that could be removed."""

    slug = "no-policy"


class NotAGatewayEndpoint(Conflict):
    """Only gateway endpoints have route tables."""

    slug = "not-a-gateway-endpoint"


class WhitelistNotTaken(Conflict):
    """A gateway endpoint has no whitelist."""

    slug = "whitelist-not-taken"


class AddressNotTaken(Conflict):
    """A gateway endpoint has no address."""

    slug = "address-not-taken"


class NoRouteTable(Conflict):
    """A gateway endpoint needs a route table."""

    slug = "no-route-table"


class RouteTableTaken(Conflict):
    """Another endpoint leads to the same networks from this route table."""

    slug = "route-table-taken"


class RoutesNotAdded(Conflict):
    """A custom route of the table leads to a part of the service's networks already."""

    slug = "routes-not-added"


class NetworksInVpc(Conflict):
    """The service's networks overlap the VPC's own range, or are reached from the very VPC."""

    slug = "networks-in-vpc"


class PublicNameTaken(Conflict):
    """Another public service has the name."""

    slug = "public-name-taken"


class NetworksConflict(Conflict):
    """Another public service has some of the networks."""

    slug = "networks-conflict"


class QuotaExceeded(Conflict):
    """The project has as many services or endpoints as it may have."""

    slug = "quota-exceeded"


class TooManyPermissions(Conflict):
    """The service's permission list is full."""

    slug = "too-many-permissions"


class NotCarried(Conflict):
    """This installation cannot carry what was asked for; shown in a failed resource."""

    slug = "not-carried"


class DataPlaneFailure(Conflict):
    """The data plane refused; shown in a failed resource."""

    slug = "data-plane-failure"


class CutOverdue(Conflict):
    """A rejection or deletion has not been confirmed by the data plane in time."""

    slug = "cut-overdue"
