"""Say where a service's older connections go on when its backend moves.

Pure. New connections go to the new place at once. Those that were opened at an older place stay there, until it is one
too many or its NIC is gone.
"""

from dataclasses import replace

from landbridge.domain.ids import NicId
from landbridge.domain.resources import Backend, EndpointService

FORMER_BACKENDS_LIMIT = 4
"""How many older places of a service are kept; the oldest goes for the next one, with its connections."""


def moved(service: EndpointService, backend: Backend) -> EndpointService:
    """Return the service with another backend, its own kept as a former one; the same place is not kept twice."""
    former = service.former_backends
    if isinstance(service.backend, Backend):
        former = (*former, service.backend)
    # A NIC of its own may stand for the same address as a virtual IP did: what counts is where packets go.
    elsewhere = {one.address: one for one in former if one.address != backend.address}
    kept = sorted(elsewhere.values(), key=former.index)
    return replace(service, backend=backend, former_backends=tuple(kept)[-FORMER_BACKENDS_LIMIT:])


def without_nic(service: EndpointService, nic_id: NicId) -> EndpointService:
    """Return the service without former places on a NIC; the same object if it has none there."""
    kept = tuple(one for one in service.former_backends if nic_id not in {one.nic_id, one.vip_nic_id})
    return service if kept == service.former_backends else replace(service, former_backends=kept)
