"""Take down a lab: its hosts, its switch, its edges and what they carry.

A server that is ended in order does this itself; `landbridge lab down` does it for one that was killed.
"""

from pathlib import Path

from landbridge.bootstrap.engines import stop_proxy
from landbridge.drivers.linux import user_namespace
from landbridge.drivers.linux.attaching import remove_ports
from landbridge.drivers.linux.lab_network import LabNetwork
from landbridge.drivers.linux.namespaces import Namespaces
from landbridge.state import StateDirectory, forget_instance, open_state


def take_down_lab(state: StateDirectory, namespaces: Namespaces) -> None:
    """Remove every network of the state directory's lab, the edges and what they carry included."""
    # First: a proxy would keep the edges alive that it listens in.
    stop_proxy(state.path)
    if user_namespace.is_privileged():
        remove_ports(namespaces, state.instance())
    LabNetwork(namespaces, state.instance()).remove_all()
    state.forget_lab()
    if user_namespace.is_privileged():
        forget_instance(state.instance())
    else:
        user_namespace.release(state.path)


def lab_down(state_path: Path) -> bool:
    """Take down the lab of a server that was killed; return whether there was one.

    Raises:
        OperatorError: its server lives: ending that one takes the lab down.
    """
    state = open_state(state_path)
    state.lock()
    if state.read_lab() is None:
        return False
    try:
        namespaces = user_namespace.join(state.path)
    except user_namespace.NoHolder:
        state.forget_lab()  # the networks went with the process that held them
        user_namespace.release(state.path)
        return True
    take_down_lab(state, namespaces)
    return True
