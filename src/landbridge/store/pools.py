"""Keep what is known of the pools: which there are, what they carry, and where their agents answer."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, func, insert, select, update

from landbridge.dataplane.driver import Capabilities
from landbridge.dataplane.pools import Pool
from landbridge.dataplane.tracking import FullEdges
from landbridge.domain.ids import PoolId, VpcId
from landbridge.domain.resources import TcpProxy
from landbridge.store.rows import AnyRow
from landbridge.store.tables import pools, services, transit_addresses

_ALL = select(pools).order_by(pools.c.name)
_OF_VPC = select(services.c.pool_id).where(services.c.vpc_id == bindparam("vpc_id")).limit(1)
_IN_USE = (
    select(transit_addresses.c.pool_id, func.count())
    .where(transit_addresses.c.owner_kind.is_not(None))
    .group_by(transit_addresses.c.pool_id)
)
_FULL_EDGES = select(pools.c.full_edges, pools.c.full_edges_seen_at).where(pools.c.id == bindparam("pool_id"))


class PoolReading:
    """The pools' part of a read transaction."""

    _connection: Connection

    def pools(self) -> Sequence[Pool]:
        """Return all pools, by name."""
        return [_pool_from_row(row) for row in self._connection.execute(_ALL)]

    def pool_of_vpc(self, vpc_id: VpcId) -> PoolId | None:
        """Return the pool in which a VPC has services, deleting ones included; None: it has none."""
        return self._connection.execute(_OF_VPC, {"vpc_id": vpc_id}).scalar_one_or_none()

    def transit_addresses_in_use(self) -> Mapping[PoolId, int]:
        """Return how many transit addresses of each pool have an owner; 0 may be absent."""
        return dict(self._connection.execute(_IN_USE).all())

    def full_edges(self, pool_id: PoolId) -> FullEdges | None:
        """Return which edges are nearly full, as a pool's agent last said; None: it has said nothing."""
        row = self._connection.execute(_FULL_EDGES, {"pool_id": pool_id}).one_or_none()
        if row is None or row.full_edges_seen_at is None:
            return None
        return FullEdges(frozenset(row.full_edges), row.full_edges_seen_at)


class PoolWriting:
    """The pools' part of a write transaction."""

    _connection: Connection

    def put_pool(self, pool: Pool) -> None:
        """Store a pool, or replace what is known of it. Its epoch and its full edges stay."""
        values = {
            "name": pool.name,
            "carries": sorted(pool.capabilities.tcp_proxy),
            "refusals": dict(pool.capabilities.refusals),
            "agent": pool.agent,
            "wires_networks": pool.wires_networks,
        }
        known = update(pools).where(pools.c.id == pool.id).values(values)
        if self._connection.execute(known).rowcount == 0:
            self._connection.execute(insert(pools), {"id": pool.id, "epoch": 0, **values})

    def put_full_edges(self, pool_id: PoolId, full: FullEdges) -> None:
        """Store which edges of a pool are nearly full; a pool that nobody knows stays unknown."""
        values = {"full_edges": sorted(full.edges), "full_edges_seen_at": full.looked_at}
        self._connection.execute(update(pools).where(pools.c.id == pool_id).values(values))


def _pool_from_row(row: AnyRow) -> Pool:
    return Pool(
        id=row.id,
        name=row.name,
        capabilities=Capabilities(
            frozenset(TcpProxy(mode) for mode in row.carries),
            {TcpProxy(mode): reason for mode, reason in row.refusals.items()},
        ),
        agent=row.agent,
        wires_networks=row.wires_networks,
    )
