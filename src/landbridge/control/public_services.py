"""Publish the services that are offered to everybody (contract 3.8), as the lab file lists them.

The list is the whole truth: what is new is published, what differs is changed, what is not in it any more ends. It is
brought about at the start, in the transaction that also replaces the networks, and before these: so a backend may move
in the same file. Nobody is cut by it who still has something to connect to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from landbridge.control.protocols import WriteTransaction
from landbridge.domain.errors import OperatorError, PortsConflict
from landbridge.domain.ids import DomainId, PoolId, ProjectId, ServiceId, VpcId
from landbridge.domain.resources import Backend, EndpointService, Nic, PortMapping, ServerType, TcpProxy


@dataclass(frozen=True, slots=True)
class PublicOffer:
    """A public service as it should be; it belongs to the project that has its backend."""

    id: ServiceId
    name: str
    """The full name; not made by a rule, and not ending in an id."""
    owner: str
    project_id: ProjectId
    domain_id: DomainId
    vpc_id: VpcId
    nic: Nic
    ports: tuple[PortMapping, ...]


def publish(tx: WriteTransaction, offers: Sequence[PublicOffer], pool_id: PoolId, now: datetime) -> None:
    """Make the public services be these.

    Raises:
        OperatorError: one that is gone has connections, or a tenant's service has a server port that one needs.
    """
    wanted = {offer.id for offer in offers}
    present = {service.id: service for service in tx.all_public_services()}
    for id_, service in present.items():
        # All ports first: one may pass from one service to another in the same file.
        tx.release_server_ports(id_)
        if id_ not in wanted:
            _end(tx, service, now)
    for offer in offers:
        try:
            _bring_about(tx, offer, present.get(offer.id), pool_id, now)
        except PortsConflict as error:
            raise OperatorError(f"public service {offer.name} cannot be published: {error.message}") from error


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


def _bring_about(
    tx: WriteTransaction, offer: PublicOffer, present: EndpointService | None, pool_id: PoolId, now: datetime
) -> None:
    transit = tx.claim_target_address(pool_id, offer.vpc_id, offer.nic.address)
    backend = Backend(ServerType.VM, offer.nic.id, None, offer.nic.subnet_id, offer.nic.address, transit)
    service = EndpointService(
        id=offer.id,
        project_id=offer.project_id,
        domain_id=offer.domain_id,
        pool_id=pool_id,
        name=offer.name,
        vpc_id=offer.vpc_id,
        backend=backend,
        ports=offer.ports,
        approval_enabled=False,
        tcp_proxy=TcpProxy.CLOSE,
        description="",
        tags=(),
        created_at=now,
        updated_at=now,
        public_owner=offer.owner,
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
        backend=backend,
        ports=service.ports,
        public_owner=service.public_owner,
        delete_requested_at=None,
    )
    tx.claim_server_ports(changed)
    if changed != present:
        tx.update_service(replace(changed, updated_at=now, generation=present.generation + 1, last_error=None))
