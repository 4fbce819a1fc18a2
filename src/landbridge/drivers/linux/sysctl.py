"""Set network settings of the kernel for the namespace that the calling thread is in."""

from collections.abc import Collection, Mapping
from pathlib import Path

WITHOUT_IPV6 = {"ipv6/conf/all/disable_ipv6": "1", "ipv6/conf/default/disable_ipv6": "1"}


def write(settings: Mapping[str, str]) -> None:
    """Write settings, by their names below `net`; what this kernel does not have is left out."""
    for name, value in settings.items():
        path = Path("/proc/sys/net", name)
        if path.exists():
            path.write_text(value)


def read(names: Collection[str]) -> dict[str, str]:
    """Return settings by their names below `net`, with single blanks; what this kernel does not have is left out."""
    paths = {name: Path("/proc/sys/net", name) for name in names}
    return {name: " ".join(path.read_text().split()) for name, path in paths.items() if path.exists()}
