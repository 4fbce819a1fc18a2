"""Say in the audit log who runs a command on the server's machine."""

import os
import pwd

import click

from landbridge.control.actors import Actor, operator


def this_operator() -> Actor:
    """Return whoever runs this command: the user of the machine, or who became root by sudo."""
    name = os.environ.get("SUDO_USER", "")
    if not name:
        try:
            name = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            name = str(os.getuid())
    context = click.get_current_context(silent=True)
    words = [] if context is None else context.command_path.split()[1:]
    return operator(" ".join(["landbridge", *words]), name)
