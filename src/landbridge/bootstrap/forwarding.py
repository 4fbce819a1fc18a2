"""Hand requests of tenants to the agent that can answer them (`api.forwarding.Forwarding`).

The agent serves the same API on a socket of its own and checks who asks by itself, so a request is handed over as it
came: its path, query and headers are what a signature covers. Only the client's address is added.
"""

from collections.abc import Mapping, Sequence

import httpx
from fastapi import Request, Response

from landbridge.control.protocols import ReadTransaction, Store
from landbridge.dataplane.pools import Pool
from landbridge.domain.errors import TrafficUnavailable
from landbridge.domain.ids import EndpointId, PoolId, ServiceId, is_uuid

CLIENT_HEADER = "x-landbridge-client"
"""Who asked, in a request that an API process has handed over."""
REQUEST_HEADER = "x-landbridge-request"
"""The id that the API process gave the request."""
UNIX = "unix:"
_SECONDS = 20.0
_CONNECT_SECONDS = 2.0
_OWN_HEADERS = frozenset({CLIENT_HEADER, REQUEST_HEADER, "connection", "transfer-encoding", "content-length"})
"""What is said anew, or belongs to one connection."""
_KEPT_ANSWER_HEADERS = ("content-type", "retry-after", "location")


class AgentForwarding:
    """The agents of the installation, by what the `pools` rows say of them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._clients: dict[str, httpx.AsyncClient] = {}

    async def to_data_plane(self, request: Request) -> Response | None:
        """Have the agent of the pool answer that what the path names lives in.

        Raises:
            TrafficUnavailable: it does not answer.
        """
        ids = {name: str(value).lower() for name, value in request.path_params.items()}
        pools, pool_id = await self._store.read(lambda tx: (tx.pools(), _pool_of(tx, ids)))
        # What does not exist is refused in the same words by any of them.
        pool = next((pool for pool in pools if pool.id == pool_id), None) or (pools[0] if pools else None)
        return await self._answer_of(pool, request)

    async def to_networks(self, request: Request) -> Response | None:
        """Have the agent answer that wires networks as they are made.

        Raises:
            TrafficUnavailable: it does not answer.
        """
        pools: Sequence[Pool] = await self._store.read(lambda tx: tx.pools())
        return await self._answer_of(next((pool for pool in pools if pool.wires_networks), None), request)

    async def close(self) -> None:
        """Let go of the connections."""
        for client in self._clients.values():
            await client.aclose()

    async def _answer_of(self, pool: Pool | None, request: Request) -> Response | None:
        if pool is None or not pool.agent:
            return None
        client = self._clients.get(pool.agent) or self._connected(pool.agent)
        headers = [(name, value) for name, value in request.headers.raw if name.decode("latin-1") not in _OWN_HEADERS]
        headers.append((REQUEST_HEADER.encode(), str(request.scope["state"]["request_id"]).encode()))
        if request.client is not None:
            headers.append((CLIENT_HEADER.encode(), request.client.host.encode()))
        path, query = request.scope.get("raw_path", b""), request.scope.get("query_string", b"")
        sent_method = getattr(request.state, "sent_method", request.method)
        url = client.base_url.copy_with(raw_path=path + (b"?" + query if query else b""))
        try:
            answer = await client.send(httpx.Request(sent_method, url, headers=headers, content=await request.body()))
        except httpx.HTTPError as error:
            raise TrafficUnavailable("the agent that could tell does not answer: try again in some seconds") from error
        kept = {name: answer.headers[name] for name in _KEPT_ANSWER_HEADERS if name in answer.headers}
        return Response(answer.content, answer.status_code, kept)

    def _connected(self, agent: str) -> httpx.AsyncClient:
        timeout = httpx.Timeout(_SECONDS, connect=_CONNECT_SECONDS)
        if agent.startswith(UNIX):
            transport = httpx.AsyncHTTPTransport(uds=agent.removeprefix(UNIX))
            client = httpx.AsyncClient(transport=transport, base_url="http://agent", timeout=timeout)
        else:
            client = httpx.AsyncClient(base_url=agent, timeout=timeout, trust_env=False)
        self._clients[agent] = client
        return client


def _pool_of(tx: ReadTransaction, ids: Mapping[str, str]) -> PoolId | None:
    service_id, endpoint_id = ids.get("service_id", ""), ids.get("endpoint_id", "")
    if is_uuid(endpoint_id):
        endpoint = tx.endpoint(EndpointId(endpoint_id))
        return None if endpoint is None else endpoint.pool_id
    service = tx.service(ServiceId(service_id)) if is_uuid(service_id) else None
    return None if service is None else service.pool_id
