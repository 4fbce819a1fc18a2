"""Fill the built-in directory from a lab file.

The file is the whole truth about what it made; what was made through the VPC API stays as it is. A file that would
pull something away from a service, an endpoint or a network made through the API, or that wants what such a network
has, is refused as a whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from landbridge.control.former_backends import forget_former_places
from landbridge.control.gateways import bound_tables
from landbridge.control.protocols import ReadTransaction, WriteTransaction
from landbridge.domain.errors import AddressTaken, OperatorError, TransitRangeOverlap, UserError
from landbridge.domain.ids import NicId, SubnetId, VpcId
from landbridge.domain.networking import default_route_table, destinations_of, with_lab_routes
from landbridge.domain.resources import Nic, Origin, ServerType, ServiceType, Subnet, Vpc, WayOut
from landbridge.domain.validation import check_transit_range_is_free


@dataclass(frozen=True, slots=True)
class _Networks:
    vpcs: Mapping[VpcId, Vpc]
    subnets: Mapping[SubnetId, Subnet]
    nics: Mapping[NicId, Nic]


def replace_contents(
    tx: WriteTransaction,
    vpcs: Sequence[Vpc],
    subnets: Sequence[Subnet],
    nics: Sequence[Nic],
    now: datetime | None = None,
) -> None:
    """Make the directory hold exactly these networks, and those that were made through the API.

    `now` becomes the moment of creation of what is new.

    Raises:
        OperatorError: something that is in use would vanish or change its address, or collides.
    """
    lab = _networks(vpcs, subnets, nics)
    everything = _networks(tx.vpcs(), tx.subnets(), tx.nics())
    before = _of(everything, Origin.LAB)
    made = _of(everything, Origin.API)
    _refuse_pulling_the_rug(tx, lab, made)
    _refuse_collisions(lab, made)
    for nic in before.nics.values():
        there = lab.nics.get(nic.id)
        if there is None or there.address != nic.address:
            forget_former_places(tx, nic, now)
        if there != nic:
            tx.remove_nic(nic.id)
    for subnet_id in before.subnets.keys() - lab.subnets.keys():
        tx.remove_subnet(subnet_id)
    for vpc_id in before.vpcs.keys() - lab.vpcs.keys():
        tx.remove_vpc(vpc_id)
    for vpc in vpcs:
        _put_vpc(tx, vpc, before.vpcs.get(vpc.id), now)
    for subnet in subnets:
        _put_subnet(tx, subnet, before.subnets.get(subnet.id), now)
    for nic in nics:
        _put_nic(tx, nic, made)
    _refuse_reserved_ranges(tx, vpcs)
    _refuse_hidden_gateways(tx)


def _networks(vpcs: Sequence[Vpc], subnets: Sequence[Subnet], nics: Sequence[Nic]) -> _Networks:
    return _Networks(
        {vpc.id: vpc for vpc in vpcs}, {subnet.id: subnet for subnet in subnets}, {nic.id: nic for nic in nics}
    )


def _of(networks: _Networks, origin: Origin) -> _Networks:
    return _networks(
        [vpc for vpc in networks.vpcs.values() if vpc.origin is origin],
        [subnet for subnet in networks.subnets.values() if subnet.origin is origin],
        [nic for nic in networks.nics.values() if nic.origin is origin],
    )


def _put_vpc(tx: WriteTransaction, vpc: Vpc, before: Vpc | None, now: datetime | None) -> None:
    dated = replace(vpc, created_at=before.created_at if before is not None else now)
    tables = list(tx.route_tables(vpc.id))
    if not any(table.is_default for table in tables):
        tables.insert(0, default_route_table(dated))
    # The default table comes first. Routes that were added through the API stay behind the file's.
    tables[0] = replace(tables[0], routes=with_lab_routes(tables[0], vpc.routes))
    tx.put_route_table(tables[0])
    whole = replace(dated, routes=destinations_of(tables))
    is_same = before is not None and replace(before, updated_at=None) == whole
    tx.put_vpc(replace(whole, updated_at=before.updated_at if is_same and before is not None else now))


def _put_subnet(tx: WriteTransaction, subnet: Subnet, before: Subnet | None, now: datetime | None) -> None:
    if before is None:
        tx.put_subnet(replace(subnet, created_at=now, updated_at=now))
        return
    # Which route table it has is no matter of the file.
    whole = replace(subnet, created_at=before.created_at, route_table_id=before.route_table_id)
    is_same = replace(before, updated_at=None) == whole
    tx.put_subnet(replace(whole, updated_at=before.updated_at if is_same else now))


def _put_nic(tx: WriteTransaction, nic: Nic, made: _Networks) -> None:
    try:
        tx.put_nic(nic)
    except AddressTaken as error:
        holder = next(
            (
                f"port {other.id} made through the API"
                for other in made.nics.values()
                if (other.subnet_id, other.address) == (nic.subnet_id, nic.address)
            ),
            "an endpoint",
        )
        raise OperatorError(
            f"{nic.name} cannot have {nic.address}, {holder} has it: "
            "give it another address in the lab file, or delete that first"
        ) from error


def _refuse_collisions(lab: _Networks, made: _Networks) -> None:
    for subnet in made.subnets.values():
        if subnet.vpc_id in made.vpcs:
            continue
        vpc = lab.vpcs.get(subnet.vpc_id)
        if vpc is None or not subnet.cidr.subnet_of(vpc.cidr):
            raise OperatorError(
                f"subnet {subnet.id} ({subnet.cidr}), made through the API, needs VPC {subnet.vpc_id} around it: "
                "put that back into the lab file, or delete the subnet first"
            )
        for other in lab.subnets.values():
            if other.vpc_id == vpc.id and other.cidr.overlaps(subnet.cidr):
                raise OperatorError(
                    f"subnet {other.name} of {vpc.name} ({other.cidr}) overlaps subnet {subnet.id} ({subnet.cidr}), "
                    "made through the API: give it another range in the lab file, or delete that first"
                )
    hosts = {nic.host: nic for nic in lab.nics.values() if nic.host is not None}
    for nic in made.nics.values():
        subnet = made.subnets.get(nic.subnet_id) or lab.subnets.get(nic.subnet_id)
        if subnet is None or nic.address not in subnet.cidr:
            raise OperatorError(
                f"port {nic.id}, made through the API, needs subnet {nic.subnet_id} with {nic.address}: "
                "put that back into the lab file, or delete the port first"
            )
        if nic.address == subnet.gateway:
            raise OperatorError(
                f"port {nic.id}, made through the API, has {nic.address}, which the lab file now gives to the gateway "
                f"of {subnet.name}: give the gateway another address, or delete the port first"
            )
        if nic.host in hosts:
            raise OperatorError(
                f"host {nic.host} of the lab file has the name of the host of port {nic.id}, made through the API: "
                "give it another name in the lab file, or delete the port first"
            )


def _refuse_pulling_the_rug(tx: ReadTransaction, lab: _Networks, made: _Networks) -> None:
    everything = tx.changes_since(0)
    vpc_ids = lab.vpcs.keys() | made.vpcs.keys()
    subnet_by_id = {**lab.subnets, **made.subnets}
    address_by_nic = {nic.id: nic.address for nic in (*lab.nics.values(), *made.nics.values())}
    for service in everything.services:
        if service.delete_requested_at is not None:
            # Taking it out of the data plane needs nothing of the directory.
            continue
        backend = service.backend
        if isinstance(backend, WayOut):
            if backend.subnet_id not in subnet_by_id:
                raise OperatorError(
                    f"endpoint service {service.name} leads through subnet {backend.subnet_id}: "
                    "put it back into the lab file, or delete the service first"
                )
            continue
        is_virtual = backend.server_type is ServerType.VIP and backend.vip_nic_id is not None
        target = backend.vip_nic_id if is_virtual else backend.nic_id
        if target is None or address_by_nic.get(target) != backend.address or service.vpc_id not in vpc_ids:
            raise OperatorError(
                f"endpoint service {service.name} needs port_id {target} at {backend.address}: "
                "put it back into the lab file, or delete the service first"
            )
    for endpoint in everything.endpoints:
        if endpoint.subnet_id is None or endpoint.address is None:
            if endpoint.vpc_id not in vpc_ids:
                raise OperatorError(
                    f"endpoint {endpoint.id} needs VPC {endpoint.vpc_id}: "
                    "put it back into the lab file, or delete the endpoint first"
                )
            continue
        subnet = subnet_by_id.get(endpoint.subnet_id)
        if subnet is None or endpoint.address not in subnet.cidr or endpoint.vpc_id not in vpc_ids:
            raise OperatorError(
                f"endpoint {endpoint.id} needs subnet {endpoint.subnet_id} with {endpoint.address}: "
                "put it back into the lab file, or delete the endpoint first"
            )
        if endpoint.address == subnet.gateway:
            raise OperatorError(
                f"endpoint {endpoint.id} has {endpoint.address}, which the lab file now gives to the gateway of its "
                "subnet: give the gateway another address, or delete the endpoint first"
            )


def _refuse_hidden_gateways(tx: ReadTransaction) -> None:
    """Refuse a VPC's range, a custom route or a service's networks if a gateway endpoint could not be made so now."""
    for endpoint in tx.changes_since(0).endpoints:
        if endpoint.service_type is not ServiceType.GATEWAY or endpoint.delete_requested_at is not None:
            continue
        vpc, service = tx.vpc(endpoint.vpc_id), tx.service(endpoint.service_id)
        if vpc is None or service is None:
            continue
        try:
            bound_tables(tx, vpc, service, endpoint.route_table_ids, endpoint.id)
        except UserError as error:
            raise OperatorError(
                f"gateway endpoint {endpoint.id} would lead nowhere: {error.message}. Change the lab file back, or "
                "delete the endpoint first"
            ) from error


def _refuse_reserved_ranges(tx: ReadTransaction, vpcs: Sequence[Vpc]) -> None:
    for vpc in vpcs:
        stored, uses = tx.vpc(vpc.id), tx.uses_of_vpc(vpc.id)
        if stored is None or not uses:
            continue
        try:
            check_transit_range_is_free(stored, tx.subnets(vpc.id))
        except TransitRangeOverlap as error:
            raise OperatorError(
                f"VPC {vpc.name} has {uses[0].kind} {uses[0].id}: {error.message}, or delete what uses it first"
            ) from error
