"""Publish the services that are offered to everybody (contract 3.8), as the lab file lists them.

The list is the whole truth about what a lab file has published: what is new is published, what differs is changed,
what is not in it any more ends. It is brought about at the start, in the transaction that also replaces the networks,
and before these: so a backend may move in the same file. Nobody is cut by it who still has something to connect to.
What the operator has published through the API is left alone; see `publishing`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from landbridge.control.pools import pool_for
from landbridge.control.protocols import ReadTransaction, WriteTransaction
from landbridge.domain.errors import NetworksConflict, OperatorError, PortsConflict, PublicNameTaken
from landbridge.domain.gateways import overlap
from landbridge.domain.ids import DomainId, ProjectId, ServiceId, VpcId
from landbridge.domain.resources import (
    Backend,
    EndpointService,
    Nic,
    Origin,
    PortMapping,
    ServerType,
    TcpProxy,
    WayOut,
)


@dataclass(frozen=True, slots=True)
class PublicOffer:
    """A public service as it should be; it belongs to the project that has its backend, or its way out."""

    id: ServiceId
    name: str
    """The full name; not made by a rule, and not ending in an id."""
    owner: str
    project_id: ProjectId
    domain_id: DomainId
    vpc_id: VpcId
    place: Nic | WayOut
    """The NIC behind an interface service, the way out of a gateway service."""
    ports: tuple[PortMapping, ...] = ()
    """A gateway service has none."""


def publish(tx: WriteTransaction, offers: Sequence[PublicOffer], now: datetime) -> None:
    """Make the lab file's public services be these.

    Raises:
        OperatorError: one that is gone has connections, or another service has what one needs: a server port, a name
            or a network.
    """
    wanted = {offer.id for offer in offers}
    present = {service.id: service for service in tx.all_public_services() if service.origin is Origin.LAB}
    for id_, service in present.items():
        # All ports first: one may pass from one service to another in the same file.
        tx.release_server_ports(id_)
        if id_ not in wanted:
            _end(tx, service, now)
    for offer in offers:
        try:
            _check_is_free(tx, offer)
            _bring_about(tx, offer, present.get(offer.id), now)
        except (PortsConflict, PublicNameTaken, NetworksConflict) as error:
            raise OperatorError(f"public service {offer.name} cannot be published: {error.message}") from error


def check_name_is_free(services: Sequence[EndpointService], name: str) -> None:
    """Refuse a name that one of these public services has.

    Raises:
        PublicNameTaken: one that lives has it.
    """
    for service in services:
        if service.name == name and service.delete_requested_at is None:
            raise PublicNameTaken(f"there is a public service {name} already: choose another name")


def check_networks_are_free(services: Sequence[EndpointService], way_out: WayOut) -> None:
    """Refuse networks that another public service leads to: an address has one way out.

    Raises:
        NetworksConflict: one that lives has an address of them.
    """
    for service in services:
        if isinstance(service.backend, WayOut) and service.delete_requested_at is None:
            common = overlap(way_out.networks, service.backend.networks)
            if common is not None:
                raise NetworksConflict(f"public service {service.name} leads to a part of {common}: choose other cidrs")


def _check_is_free(tx: ReadTransaction, offer: PublicOffer) -> None:
    # Among themselves, the file's services have been checked as it was read.
    others = [service for service in tx.all_public_services() if service.origin is not Origin.LAB]
    check_name_is_free(others, offer.name)
    if isinstance(offer.place, WayOut):
        check_networks_are_free(others, offer.place)


def _end(tx: WriteTransaction, service: EndpointService, now: datetime) -> None:
    if service.delete_requested_at is not None:
        return
    connected = tx.connection_counts([service.id]).get(service.id, 0)
    if connected:
        raise OperatorError(
            f"public service {service.name} has connected endpoints ({connected}): "
            "put it back into the lab file, or have the endpoints deleted first"
        )
    tx.update_service(replace(service, delete_requested_at=now, updated_at=now, generation=service.generation + 1))


def _bring_about(tx: WriteTransaction, offer: PublicOffer, present: EndpointService | None, now: datetime) -> None:
    place: Backend | WayOut
    pool_id = pool_for(tx, offer.vpc_id) if present is None else present.pool_id
    if isinstance(offer.place, WayOut):
        place = offer.place
    else:
        transit = tx.claim_target_address(pool_id, offer.vpc_id, offer.place.address)
        place = Backend(ServerType.VM, offer.place.id, None, offer.place.subnet_id, offer.place.address, transit)
    service = EndpointService(
        id=offer.id,
        project_id=offer.project_id,
        domain_id=offer.domain_id,
        pool_id=pool_id,
        name=offer.name,
        vpc_id=offer.vpc_id,
        backend=place,
        ports=offer.ports,
        approval_enabled=False,
        tcp_proxy=TcpProxy.CLOSE,
        description="",
        tags=(),
        created_at=now,
        updated_at=now,
        public_owner=offer.owner,
        origin=Origin.LAB,
    )
    if present is None:
        tx.add_service(service)
        tx.claim_server_ports(service)
        return
    # One that was on its way out comes back to life.
    changed = replace(
        present,
        vpc_id=service.vpc_id,
        domain_id=service.domain_id,
        backend=place,
        ports=service.ports,
        public_owner=service.public_owner,
        delete_requested_at=None,
    )
    tx.claim_server_ports(changed)
    if changed != present:
        tx.update_service(replace(changed, updated_at=now, generation=present.generation + 1, last_error=None))
