"""Take everything of a server without a lab out of the machine: its ports in bridges, its edges, what they carry.

Its server leaves all of it when it ends, so that traffic goes on; this is for when nobody wants it any more.
"""

from pathlib import Path

from landbridge.bootstrap.lab_down import take_down_lab
from landbridge.domain.errors import OperatorError
from landbridge.drivers.linux import ownership, user_namespace
from landbridge.state import open_state


def detach(state_path: Path) -> bool:
    """Remove all networks of the state directory; return whether there were any.

    Raises:
        OperatorError: its server lives, or a lab runs from there.
    """
    state = open_state(state_path)
    state.lock()
    if state.read_lab() is not None:
        raise OperatorError(
            f"a lab runs from {state.path}: `landbridge lab down --state {state.path}` takes it down, "
            "its attachments included"
        )
    if not user_namespace.is_privileged():
        return False  # who is not root has never been in a bridge
    namespaces, instance = user_namespace.join(state.path), state.instance()
    prefix = ownership.edge_prefix(state.region(""))
    was_attached = bool(ownership.all_of(namespaces, instance, prefix))
    take_down_lab(state, namespaces)
    return was_attached
