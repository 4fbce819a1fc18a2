"""How processes that run for long use memory."""

import subprocess
import sys


def test_a_server_looks_for_garbage_though_commands_do_not():
    # In a process of its own: both the collector and the heap are the whole process's.
    program = (
        "import gc; gc.disable()\n"
        "from landbridge.bootstrap.memory import settle_memory\n"
        "settle_memory()\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 1000)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)

    assert done.stdout.split() == ["True", "True"]
