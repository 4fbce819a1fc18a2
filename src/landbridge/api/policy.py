"""Say who may do what: one table from action to roles, and nothing else.

The names of the actions are the cloud's (contract 11). Every route names its action where it is declared; a test fails
for a route without one. An action that is not in the table is allowed to nobody.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType

READER, MEMBER, ADMIN, OPERATOR = "reader", "member", "admin", "operator"

_LOOK = frozenset({READER, MEMBER, ADMIN, OPERATOR})
_CHANGE = frozenset({MEMBER, ADMIN, OPERATOR})
_OPERATE = frozenset({OPERATOR})

PUBLIC = "public"
"""What a route says that needs no role in a project: versions, sign-in, the API's own description."""
SIGNED_IN = "signed-in"
"""What a route says that answers anybody who proves who they are, about themselves: the rest of identity."""

POLICY: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "vpcep:epservices:create": _CHANGE,
        "vpcep:epservices:list": _LOOK,
        "vpcep:epservices:get": _LOOK,
        "vpcep:epservices:update": _CHANGE,
        "vpcep:epservices:delete": _CHANGE,
        "vpcep:pubEpservices:list": _LOOK,
        "vpcep:epserviceDesc:get": _LOOK,
        "vpcep:connections:list": _LOOK,
        "vpcep:connections:update": _CHANGE,
        "vpcep:permissions:list": _LOOK,
        "vpcep:permissions:update": _CHANGE,
        "vpcep:endpoints:create": _CHANGE,
        "vpcep:endpoints:list": _LOOK,
        "vpcep:endpoints:get": _LOOK,
        "vpcep:endpoints:update": _CHANGE,
        "vpcep:endpoints:delete": _CHANGE,
        "vpcep:quotas:get": _LOOK,
        "vpcep:tags:list": _LOOK,
        "vpcep:tags:update": _CHANGE,
        "vpcep:resource:list": _LOOK,
        "vpcep:ext:publicServices:create": _OPERATE,
        "vpcep:ext:publicServices:list": _OPERATE,
        "vpcep:ext:publicServices:delete": _OPERATE,
        "vpcep:ext:cutOffs:get": _LOOK,
        "vpcep:ext:cutOffs:update": _CHANGE,
        "vpcep:ext:traffic:get": _LOOK,
        "vpcep:ext:connections:list": _LOOK,
        "vpcep:ext:who:get": _LOOK,
        "vpcep:ext:health:get": _LOOK,
        "vpcep:ext:trace:get": _LOOK,
        "vpcep:ext:audit:list": _LOOK,
        "vpc:vpcs:create": _CHANGE,
        "vpc:vpcs:list": _LOOK,
        "vpc:vpcs:get": _LOOK,
        "vpc:vpcs:update": _CHANGE,
        "vpc:vpcs:delete": _CHANGE,
        "vpc:subnets:create": _CHANGE,
        "vpc:subnets:list": _LOOK,
        "vpc:subnets:get": _LOOK,
        "vpc:subnets:update": _CHANGE,
        "vpc:subnets:delete": _CHANGE,
        "vpc:ports:create": _CHANGE,
        "vpc:ports:list": _LOOK,
        "vpc:ports:get": _LOOK,
        "vpc:ports:update": _CHANGE,
        "vpc:ports:delete": _CHANGE,
        "vpc:routeTables:create": _CHANGE,
        "vpc:routeTables:list": _LOOK,
        "vpc:routeTables:get": _LOOK,
        "vpc:routeTables:update": _CHANGE,
        "vpc:routeTables:delete": _CHANGE,
    }
)


def least_role(action: str) -> str:
    """Return the role to ask for where none allows an action."""
    return next((role for role in (READER, MEMBER, OPERATOR) if allows(action, {role})), OPERATOR)


def allows(action: str, roles: Collection[str]) -> bool:
    """Say whether somebody with these roles in a project may do this there."""
    return not POLICY.get(action, frozenset()).isdisjoint(roles)
