"""Say how many open files a process of ours may have."""

import resource
from pathlib import Path

_WANTED = 1_048_576
_CAP_SYS_RESOURCE = 24


def descriptor_limit() -> int:
    """Return how many open files a child of ours may have at most."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = _WANTED
    if not _may_raise_limits():
        return min(hard, _WANTED)
    most = int(Path("/proc/sys/fs/nr_open").read_text())
    return min(max(hard, _WANTED), most)


def _may_raise_limits() -> bool:
    """Say whether we have CAP_SYS_RESOURCE over the machine, not only in a user namespace."""
    if Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]:
        return False
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
    return False
