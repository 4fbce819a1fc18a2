"""Name what can go wrong with networks: the rules of the VPC API (`vpcs`, `subnets`, `ports`, `routetables`).

The tree, and what a slug is, are in `errors`.
"""

from landbridge.domain.errors import BadRequest, Conflict, NotFound, UserError


class InvalidVpc(BadRequest):
    """A field of a VPC is wrong."""

    slug = "invalid-vpc"


class InvalidVpcRange(BadRequest):
    """A VPC's cidr is no range that a VPC can have."""

    slug = "invalid-vpc-range"


class VpcRangeTooSmall(BadRequest):
    """A VPC's new cidr leaves out one of its subnets."""

    slug = "vpc-range-too-small"


class InvalidSubnet(BadRequest):
    """A field of a subnet is wrong."""

    slug = "invalid-subnet"


class InvalidSubnetRange(BadRequest):
    """A subnet's cidr is no range that a subnet can have."""

    slug = "invalid-subnet-range"


class SubnetOutsideVpc(BadRequest):
    """A subnet's cidr is not inside its VPC's."""

    slug = "subnet-outside-vpc"


class SubnetOverlap(BadRequest):
    """A subnet's cidr overlaps another subnet's of the VPC."""

    slug = "subnet-overlap"


class SubnetOfAnotherVpc(BadRequest):
    """The path names another VPC than the subnet's."""

    slug = "subnet-of-another-vpc"


class InvalidPort(BadRequest):
    """A field of a port is wrong."""

    slug = "invalid-port"


class PortAddressOutsideSubnet(BadRequest):
    """The address wanted for a port is no host address of its subnet."""

    slug = "port-address-outside-subnet"


class InvalidRouteTable(BadRequest):
    """A field of a route table or of a route is wrong."""

    slug = "invalid-route-table"


class NoSuchVpc(NotFound):
    """No such VPC in this project, asked of the VPC API; `VpcNotFound` is for endpoints and services."""

    slug = "no-such-vpc"


class NoSuchSubnet(NotFound):
    """No such subnet in this project, asked of the VPC API."""

    slug = "no-such-subnet"


class NoSuchPort(NotFound):
    """No such port in this project, asked of the VPC API."""

    slug = "no-such-port"


class NoSuchRouteTable(NotFound):
    """No such route table in this project."""

    slug = "no-such-route-table"


class VpcHasSubnets(Conflict):
    """A VPC with subnets cannot be deleted."""

    slug = "vpc-has-subnets"


class VpcHasRouteTables(Conflict):
    """A VPC with route tables beside the default one cannot be deleted."""

    slug = "vpc-has-route-tables"


class SubnetHasPorts(Conflict):
    """A subnet with ports cannot be deleted."""

    slug = "subnet-has-ports"


class SubnetInUse(Conflict):
    """Services or endpoints use the subnet."""

    slug = "subnet-in-use"


class PortInUse(Conflict):
    """Services use the port."""

    slug = "port-in-use"


class PortAddressTaken(Conflict):
    """The address wanted for a port is in use."""

    slug = "port-address-taken"


class NoFreePortAddress(Conflict):
    """The subnet has no free address for a port."""

    slug = "no-free-port-address"


class RouteTableInUse(Conflict):
    """Subnets are associated with the route table."""

    slug = "route-table-in-use"


class DefaultRouteTableStays(Conflict):
    """A VPC's default route table lives as long as the VPC."""

    slug = "default-route-table-stays"


class ReservedRange(Conflict):
    """A subnet or route would overlap 198.19.128.0/17 in a VPC that has services or endpoints."""

    slug = "reserved-range"


class RouteOfEndpoint(Conflict):
    """A gateway endpoint has put the route into the table; it goes with the endpoint."""

    slug = "route-of-endpoint"


class RangeLeadsOut(Conflict):
    """A VPC's new range would overlap networks to which one of its gateway endpoints leads."""

    slug = "range-leads-out"


class VpcInUse(Conflict):
    """Services or endpoints use the VPC."""

    slug = "vpc-in-use"


class TooManyNetworks(Conflict):
    """A project or VPC has as many VPCs, subnets, ports, route tables or routes as it may have."""

    slug = "too-many-networks"


class FromLabFile(Conflict):
    """What the lab file describes is changed in the lab file."""

    slug = "from-lab-file"


class WiringFailed(UserError):
    """The lab could not wire a network; what was asked for has not been made."""

    slug = "wiring-failed"
