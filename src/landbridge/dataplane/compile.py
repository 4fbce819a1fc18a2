"""Turn resources and directory facts into what should be wired.

Pure. Every living interface service becomes a target, every accepted endpoint of such a service a binding, of a gateway
service a gateway binding; everything else becomes nothing, with a failure to show where its owner must know why.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from landbridge.dataplane.bridging import NO_BRIDGES, Bridged, mtu_of
from landbridge.dataplane.driver import Capabilities
from landbridge.dataplane.model import (
    CONNECTIONS_PER_ENDPOINT,
    LINK_MTU,
    Attachment,
    Binding,
    GatewayBinding,
    Place,
    PortForward,
    Target,
    Wired,
)
from landbridge.domain.draining import is_carried, sources
from landbridge.domain.errors import DataPlaneFailure, NotCarried, TargetServiceNotFound
from landbridge.domain.ids import SubnetId
from landbridge.domain.resources import Backend, Endpoint, EndpointService, Failure, PortMapping, Subnet, WayOut

_NO_WAY_OUT = "the subnet through which its networks are reached is gone from the directory"


_BEFORE_ALL_DEADLINES = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Terms:
    """What counts for every binding, whatever resources and directory say."""

    now: datetime = _BEFORE_ALL_DEADLINES
    """Deadlines up to here have passed; by default none has."""
    connection_limit: int = CONNECTIONS_PER_ENDPOINT
    """How many connections an endpoint may have open at once."""


USUAL_TERMS = Terms()


@dataclass(frozen=True, slots=True)
class Compiled:
    """What should be wired for one resource; None: nothing, and `failure` says why if that is a fault."""

    wired: Wired | None = None
    failure: Failure | None = None


def attachment_of(subnet: Subnet, bridged: Bridged = NO_BRIDGES) -> Attachment:
    """Return how the data plane reaches a subnet of the directory: by its bridge, or as a segment of the lab's."""
    attachment = bridged.get(subnet.id)
    if attachment is None:
        return Attachment(subnet.vpc_id, subnet.id, subnet.cidr, subnet.gateway, subnet.mtu)
    mtu = mtu_of(subnet, attachment)
    return Attachment(subnet.vpc_id, subnet.id, subnet.cidr, subnet.gateway, mtu, attachment.bridge)


def compile_service(
    service: EndpointService, attachments: Mapping[SubnetId, Attachment], capabilities: Capabilities
) -> Compiled:
    """Return the target that publishes the service's backend; a gateway service has none."""
    if service.delete_requested_at is not None:
        return Compiled()
    if isinstance(service.backend, WayOut):
        return Compiled() if service.backend.subnet_id in attachments else _failed(DataPlaneFailure, _NO_WAY_OUT)
    refusal = capabilities.refusal(service.tcp_proxy)
    if refusal is not None:
        return _failed(NotCarried, refusal)
    attachment = attachments.get(service.backend.subnet_id)
    if attachment is None:
        return _failed(DataPlaneFailure, f"the backend's subnet {service.backend.subnet_id} is gone from the directory")
    return Compiled(
        Target(
            id=service.id,
            attachment=attachment,
            address=service.backend.address,
            transit_address=service.backend.transit_address,
            server_ports=tuple(sorted({mapping.server_port for mapping in service.ports})),
            former_places=tuple(
                Place(former.address, former.transit_address, _is_masqueraded(attachments[former.subnet_id]))
                for former in service.former_backends
                if former.subnet_id in attachments
            ),
        )
    )


def compile_endpoint(
    endpoint: Endpoint,
    service: EndpointService | None,
    attachments: Mapping[SubnetId, Attachment],
    capabilities: Capabilities,
    entries: Collection[SubnetId] = (),
    terms: Terms = USUAL_TERMS,
) -> Compiled:
    """Return the binding that carries the endpoint, if its provider has accepted it, or what is open goes on.

    `entries` are the subnets from which a gateway endpoint is reached. With its service, every connection ends.
    """
    if service is None or service.delete_requested_at is not None:
        if endpoint.delete_requested_at is not None:
            return Compiled()
        return _failed(
            TargetServiceNotFound,
            f"endpoint service {endpoint.service_id} has been deleted: delete the endpoint",
        )
    if not is_carried(endpoint, terms.now):
        return Compiled()
    published = compile_service(service, attachments, capabilities)
    if published.failure is not None:
        return _failed(NotCarried, f"endpoint service {service.id} has failed: its provider sees the reason")
    if isinstance(service.backend, WayOut):
        return _compile_gateway(endpoint, service.backend, attachments, entries, terms)
    return _compile_interface(endpoint, service, service.backend, attachments, terms)


def _compile_interface(
    endpoint: Endpoint,
    service: EndpointService,
    backend: Backend,
    attachments: Mapping[SubnetId, Attachment],
    terms: Terms,
) -> Compiled:
    consumer = None if endpoint.subnet_id is None else attachments.get(endpoint.subnet_id)
    if consumer is None or endpoint.address is None:
        return _failed(DataPlaneFailure, f"the subnet {endpoint.subnet_id} is gone from the directory")
    provider = attachments[backend.subnet_id]
    clients = sources(endpoint, terms.now)
    return Compiled(
        Binding(
            id=endpoint.id,
            consumer=consumer,
            provider=provider,
            address=endpoint.address,
            transit_address=endpoint.transit_address,
            target_transit_address=backend.transit_address,
            forwards=_forwards(service.ports),
            marker=endpoint.marker,
            mtu=min(consumer.mtu, provider.mtu, LINK_MTU),
            allowed_sources=clients.allowed,
            barred_sources=clients.barred,
            former_targets=tuple(
                former.transit_address for former in service.former_backends if former.subnet_id in attachments
            ),
            connection_limit=terms.connection_limit,
            tcp_proxy=service.tcp_proxy,
        )
    )


@lru_cache(maxsize=4096)
def _forwards(ports: tuple[PortMapping, ...]) -> tuple[PortForward, ...]:
    # Kept, as the endpoints of a service share them.
    forwards = (PortForward(mapping.client_port, mapping.server_port) for mapping in ports)
    return tuple(sorted(forwards, key=lambda forward: forward.client_port))


def _compile_gateway(
    endpoint: Endpoint,
    way_out: WayOut,
    attachments: Mapping[SubnetId, Attachment],
    entries: Collection[SubnetId],
    terms: Terms,
) -> Compiled:
    ways_in = tuple(attachments[id_] for id_ in sorted(entries) if id_ in attachments)
    if not ways_in:
        # No subnet has its route tables now. That is no fault: nobody is there who could use it.
        return Compiled()
    exit_ = attachments[way_out.subnet_id]
    return Compiled(
        GatewayBinding(
            id=endpoint.id,
            entries=ways_in,
            exit=exit_,
            networks=way_out.networks,
            transit_address=endpoint.transit_address,
            marker=endpoint.marker,
            mtu=min(exit_.mtu, LINK_MTU, *(entry.mtu for entry in ways_in)),
            barred_sources=sources(endpoint, terms.now).barred,
            connection_limit=terms.connection_limit,
        )
    )


def _is_masqueraded(attachment: Attachment) -> bool:
    return attachment.bridge is not None and attachment.bridge.masquerade


def _failed(kind: type[NotCarried | DataPlaneFailure | TargetServiceNotFound], message: str) -> Compiled:
    return Compiled(failure=Failure(kind.slug, message))
