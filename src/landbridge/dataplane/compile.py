"""Turn resources and directory facts into what should be wired.

Pure. Every living service becomes a target, every accepted endpoint of such a service a binding; everything else
becomes nothing, with a failure to show where its owner must know why.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import collapse_addresses

from landbridge.dataplane.driver import Capabilities
from landbridge.dataplane.model import LINK_MTU, Attachment, Binding, PortForward, Target, Wired
from landbridge.domain.errors import DataPlaneFailure, NotCarried, TargetServiceNotFound
from landbridge.domain.ids import SubnetId
from landbridge.domain.resources import Admission, Endpoint, EndpointService, Failure, Subnet


@dataclass(frozen=True, slots=True)
class Compiled:
    """What should be wired for one resource; None: nothing, and `failure` says why if that is a fault."""

    wired: Wired | None = None
    failure: Failure | None = None


def attachment_of(subnet: Subnet) -> Attachment:
    """Return how the data plane reaches a subnet of the directory."""
    return Attachment(subnet.vpc_id, subnet.id, subnet.cidr, subnet.gateway, subnet.mtu)


def compile_service(
    service: EndpointService, attachments: Mapping[SubnetId, Attachment], capabilities: Capabilities
) -> Compiled:
    """Return the target that publishes the service's backend."""
    if service.delete_requested_at is not None:
        return Compiled()
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
        )
    )


def compile_endpoint(
    endpoint: Endpoint,
    service: EndpointService | None,
    attachments: Mapping[SubnetId, Attachment],
    capabilities: Capabilities,
) -> Compiled:
    """Return the binding that carries the endpoint, if its provider has accepted it."""
    if endpoint.delete_requested_at is not None:
        return Compiled()
    if service is None or service.delete_requested_at is not None:
        return _failed(
            TargetServiceNotFound,
            f"endpoint service {endpoint.service_id} has been deleted: delete the endpoint",
        )
    if endpoint.admission is not Admission.ACCEPTED:
        return Compiled()
    published = compile_service(service, attachments, capabilities)
    if published.failure is not None:
        return _failed(NotCarried, f"endpoint service {service.id} has failed: its provider sees the reason")
    consumer = attachments.get(endpoint.subnet_id)
    if consumer is None:
        return _failed(DataPlaneFailure, f"the subnet {endpoint.subnet_id} is gone from the directory")
    provider = attachments[service.backend.subnet_id]
    forwards = sorted(
        (PortForward(mapping.client_port, mapping.server_port) for mapping in service.ports),
        key=lambda forward: forward.client_port,
    )
    allowed = tuple(sorted(collapse_addresses(endpoint.whitelist))) if endpoint.enable_whitelist else None
    return Compiled(
        Binding(
            id=endpoint.id,
            consumer=consumer,
            provider=provider,
            address=endpoint.address,
            transit_address=endpoint.transit_address,
            target_transit_address=service.backend.transit_address,
            forwards=tuple(forwards),
            marker=endpoint.marker,
            mtu=min(consumer.mtu, provider.mtu, LINK_MTU),
            allowed_sources=allowed,
        )
    )


def _failed(kind: type[NotCarried | DataPlaneFailure | TargetServiceNotFound], message: str) -> Compiled:
    return Compiled(failure=Failure(kind.slug, message))
