"""Remember whose endpoint is whose, also after it is gone: its last connections end later than it does.

Filled from the database by whoever follows it, and read by the thread that writes the flow log: the two share nothing
but whole values.
"""

from collections.abc import Callable

from landbridge.control.protocols import Store
from landbridge.control.queries import Changes
from landbridge.dataplane.flows import Parties, TrafficKey
from landbridge.domain.ids import PoolId, ServiceId
from landbridge.domain.resources import Endpoint, EndpointService

MOST = 100_000
"""Endpoints that are remembered; those that changed longest ago are given up first."""


class PartiesBook:
    """Which endpoint a data plane means by a key."""

    def __init__(self, key_of: Callable[[Endpoint], TrafficKey], most: int = MOST) -> None:
        self._key_of = key_of
        self._most = most
        self._known: dict[TrafficKey, Parties] = {}
        self._keys: dict[ServiceId, dict[TrafficKey, None]] = {}
        self._services: dict[ServiceId, EndpointService] = {}
        self._revision = 0

    def find(self, key: TrafficKey) -> Parties | None:
        """Return whose connections these are; None: unknown, or not known yet."""
        return self._known.get(key)

    async def refresh(self, store: Store, pool_id: PoolId) -> None:
        """Take in what has changed in a pool since the last time: another pool has the same transit addresses."""
        since = self._revision
        changes = await store.read(lambda tx: tx.changes_since(since, pool_id))
        self.update(changes)

    def update(self, changes: Changes) -> None:
        """Take in changes. What is not in the database any more is kept as it was."""
        self._revision = changes.revision
        for service in changes.services:
            self._services.pop(service.id, None)
            self._services[service.id] = service
            for key in self._keys.get(service.id, ()):
                known = self._known.get(key)
                if known is not None:
                    self._known[key] = _of_service(known, service)
        for endpoint in changes.endpoints:
            key = self._key_of(endpoint)
            parties = Parties(
                endpoint_id=endpoint.id,
                marker=endpoint.marker,
                service_id=endpoint.service_id,
                consumer_project=endpoint.project_id,
                consumer_domain=endpoint.domain_id,
            )
            service = self._services.get(endpoint.service_id)
            self._known.pop(key, None)
            self._known[key] = parties if service is None else _of_service(parties, service)
            self._keys.setdefault(endpoint.service_id, {})[key] = None
        while len(self._services) > self._most:
            del self._services[next(iter(self._services))]
        while len(self._known) > self._most:
            oldest = next(iter(self._known))
            service_id = ServiceId(self._known.pop(oldest).service_id)
            keys = self._keys.get(service_id, {})
            keys.pop(oldest, None)
            if not keys:
                self._keys.pop(service_id, None)


def _of_service(parties: Parties, service: EndpointService) -> Parties:
    return parties._replace(
        provider_project=service.project_id,
        provider_domain=service.domain_id,
        tcp_proxy=service.tcp_proxy.value,
    )
