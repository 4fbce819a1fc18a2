"""Decide which pool a service lives in, and what can be carried there."""

from landbridge.control.protocols import ReadTransaction
from landbridge.dataplane.pools import least_full
from landbridge.domain.errors import NoPool, NotCarried
from landbridge.domain.ids import PoolId, VpcId
from landbridge.domain.resources import TcpProxy


def pool_for(tx: ReadTransaction, vpc_id: VpcId) -> PoolId:
    """Return the pool of a VPC's services: that of those it has, else the least full one.

    Raises:
        NoPool: no agent has ever said what it carries.
    """
    settled = tx.pool_of_vpc(vpc_id)
    if settled is not None:
        return settled
    pools = tx.pools()
    if not pools:
        raise NoPool("no data plane has ever been started here: the operator starts `landbridge agent`")
    return pools[0].id if len(pools) == 1 else least_full(pools, tx.transit_addresses_in_use()).id


def check_is_carried(tx: ReadTransaction, pool_id: PoolId, mode: TcpProxy) -> None:
    """Refuse a mode that the pool's data plane does not carry.

    Raises:
        NotCarried: with the reason, and what is carried.
    """
    pool = next((pool for pool in tx.pools() if pool.id == pool_id), None)
    refusal = None if pool is None else pool.capabilities.refusal(mode)
    if refusal is not None:
        raise NotCarried(refusal)
