"""Say what was lost in a network namespace, and how many connections it tracks: one line of JSON for each line read.

Orders: `read` for everything, `count` for the tracked connections alone. Ends with its standard input. Standard
library only.
"""

import json
import sys
from pathlib import Path

PROC = Path("/proc/thread-self/net")
CONNTRACK = Path("/proc/sys/net/netfilter")


def main() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        found = {"conntrack_count": number(CONNTRACK / "nf_conntrack_count")}
        if line.strip() == "read":
            found |= {
                "conntrack_max": number(CONNTRACK / "nf_conntrack_max"),
                "conntrack_drops": conntrack_drops(),
                "interface_drops": interface_drops(),
                "retransmitted_segments": tcp_counter("snmp", "Tcp", "RetransSegs"),
                "segments_that_came_twice": tcp_counter("netstat", "TcpExt", "TCPDSACKRecvSegs"),
            }
        print(json.dumps(found), flush=True)


def number(path: Path) -> int:
    return int(path.read_text()) if path.exists() else 0


def interface_drops() -> int:
    lines = (PROC / "dev").read_text().splitlines()[2:]
    columns = (line.partition(":")[2].split() for line in lines)
    return sum(int(fields[3]) + int(fields[11]) for fields in columns)


def conntrack_drops() -> int:
    path = PROC / "stat" / "nf_conntrack"
    if not path.exists():
        return 0
    header, *lines = (line.split() for line in path.read_text().splitlines())
    wanted = [header.index(name) for name in ("insert_failed", "drop", "early_drop")]
    return sum(int(fields[column], 16) for fields in lines for column in wanted)


def tcp_counter(file: str, group: str, name: str) -> int:
    """Return a counter of /proc/net, in which names and values of a group are two lines."""
    lines = (PROC / file).read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith(f"{group}:"))
    return int(values[names.index(name)])


if __name__ == "__main__":
    main()
