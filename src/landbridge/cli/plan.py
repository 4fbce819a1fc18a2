"""Write a plan for people and for programs."""

from landbridge.dataplane.model import Binding, GatewayBinding, Target
from landbridge.dataplane.plan import Ensure, Plan, Step


def plan_steps(plan: Plan) -> list[dict[str, str]]:
    """Return the steps in order: `step` is remove, add or repair."""
    return [_step(step) for step in plan.steps]


def plan_lines(plan: Plan) -> list[str]:
    """Return one line for each step, or one that says there is none."""
    if not plan.steps:
        return ["nothing to do: the data plane equals the database"]
    return [" ".join(word for word in _step(step).values() if word) for step in plan.steps]


def _step(step: Step) -> dict[str, str]:
    if not isinstance(step, Ensure):
        return {"step": "remove", "kind": "", "id": step.id, "what": ""}
    wired = step.wired
    verb = "repair" if step.is_repair else "add"
    match wired:
        case Binding():
            forwards = ",".join(f"{forward.client_port}:{forward.server_port}" for forward in wired.forwards)
            what = f"{wired.address} ({forwards}) to {wired.target_transit_address} as {wired.transit_address}"
            return {"step": verb, "kind": "endpoint", "id": wired.id, "what": what}
        case GatewayBinding():
            networks = ",".join(map(str, wired.networks))
            return {"step": verb, "kind": "gateway", "id": wired.id, "what": f"{networks} as {wired.transit_address}"}
        case Target():
            ports = ",".join(str(port) for port in wired.server_ports)
            what = f"{wired.transit_address} to {wired.address} ({ports})"
            return {"step": verb, "kind": "service", "id": wired.id, "what": what}
