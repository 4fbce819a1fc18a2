"""Say what a pool is, and which of several a new service should live in. Pure.

A pool is one transit domain with a data plane of its own. All services of a provider's VPC live in one pool, since the
VPC has one edge; an endpoint lives in the pool of its service.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from landbridge.dataplane.driver import Capabilities
from landbridge.domain.ids import PoolId


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool, as the agent that led it last described it."""

    id: PoolId
    name: str
    capabilities: Capabilities
    """What its data plane carries."""
    agent: str = ""
    """Where API processes reach that agent: `unix:PATH`, or an URL; empty: it is in the API's process."""
    wires_networks: bool = False
    """Whether networks made through the API are made real by that agent: it runs a lab, or attaches subnets."""


def least_full(pools: Sequence[Pool], in_use: Mapping[PoolId, int]) -> Pool:
    """Return the pool with the fewest transit addresses in use; of equals, the first. There must be one."""
    return min(pools, key=lambda pool: (in_use.get(pool.id, 0), pool.name))
