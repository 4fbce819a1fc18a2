"""One of everything that a project can have, and everything that a project can look at."""

from dataclasses import dataclass

from landbridge.api.app import routed_app
from landbridge.api.openapi import operations_of
from tests.integration.conftest import Tenant

IN_A_PROJECT = "/v1/{project_id}/"


@dataclass(frozen=True)
class Estate:
    """One of everything that a project can have."""

    tenant: Tenant
    ids: dict[str, str]
    """By the name that an id has in paths."""
    names: tuple[str, ...]

    @property
    def marks(self) -> set[str]:
        """What must never show in another project's answers."""
        return {*self.ids.values(), *self.names, self.tenant.project_id, self.tenant.domain_id}


async def estate(tenant: Tenant, name: str) -> Estate:
    """Make one of everything; the names all contain `name`."""
    vpc = (await tenant.post("vpcs", {"vpc": {"name": f"{name}-vpc", "cidr": "10.0.0.0/16"}}))["vpc"]["id"]
    subnet = {"vpc_id": vpc, "name": f"{name}-subnet", "cidr": "10.0.0.0/24"}
    subnet_id = (await tenant.post("subnets", {"subnet": subnet}))["subnet"]["id"]
    port = {"network_id": subnet_id, "name": f"{name}-port"}
    port_id = (await tenant.post("ports", {"port": port}))["port"]["id"]
    table = {"vpc_id": vpc, "name": f"{name}-table"}
    table_id = (await tenant.post("routetables", {"routetable": table}))["routetable"]["id"]
    tags = [{"key": f"{name}-key", "value": f"{name}-value"}]
    service = {
        "port_id": port_id,
        "vpc_id": vpc,
        "server_type": "LB",
        "ports": [{"client_port": 80, "server_port": 80}],
        "service_name": name,
        "description": f"{name}-service",
        "enable_policy": True,
        "tags": tags,
    }
    service_id = (await tenant.post("vpc-endpoint-services", service))["id"]
    path = f"vpc-endpoint-services/{service_id}"
    await tenant.until(path, "available")
    entries = [{"permission": f"iam:domain::{name}", "description": f"{name}-permission"}]
    permission = (await tenant.post(f"{path}/permissions/batch-create", {"permissions": entries}))["permissions"][0]
    endpoint = {"endpoint_service_id": service_id, "vpc_id": vpc, "subnet_id": subnet_id, "description": f"{name}-ep"}
    endpoint_id = (await tenant.post("vpc-endpoints", endpoint | {"tags": tags}))["id"]
    ids = {
        "vpc_id": vpc,
        "subnet_id": subnet_id,
        "port_id": port_id,
        "routetable_id": table_id,
        "service_id": service_id,
        "permission_id": permission["id"],
        "endpoint_id": endpoint_id,
        "resource_id": endpoint_id,
    }
    return Estate(tenant, ids, (name,))


LISTS = [
    path.removeprefix(IN_A_PROJECT)
    for method, path, _ in operations_of(routed_app())
    if method == "GET" and path.startswith(IN_A_PROJECT) and "_id}" not in path.removeprefix(IN_A_PROJECT)
]


async def everything(estate: Estate) -> dict[str, str]:
    """Return the body of everything that a project can look at without knowing a foreign id."""
    tenant, own = estate.tenant, estate.ids["service_id"]
    looks = [path for path in LISTS if "{" not in path and not path.endswith("/describe")]
    looks += [
        path.format(resource_type=kind) for path in LISTS if "{" in path for kind in ("endpoint", "endpoint_service")
    ]
    looks += [f"vpc-endpoint-services/{own}/connections", f"vpc-endpoint-services/{own}/permissions"]
    looks += [f"vpc-endpoint-services/{own}", f"vpc-endpoints/{estate.ids['endpoint_id']}"]
    shown = {path: (await tenant.call("GET", path)).text for path in looks}
    for kind in ("endpoint", "endpoint_service"):
        for body in ({"action": "filter"}, {"action": "count"}, {"action": "filter", "without_any_tag": True}):
            path = f"{kind}/resource_instances/action"
            shown[f"{path} {body}"] = (await tenant.call("POST", path, body)).text
    for path in ("auth/projects", "auth/domains", "auth/catalog", "projects", "users"):
        shown[path] = (await tenant.http.get(f"/v3/{path}", headers={"X-Auth-Token": tenant.token})).text
    return shown
