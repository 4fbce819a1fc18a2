"""Measure what an endpoint costs the bytes, in each mode, beside plain routers and proxies.

- *routed-2*: two plain routers. *close* is compared with it.
- *close*, *toa_open*, *open*, *proxy_open*: endpoints between two VPCs of a real server. toa_open and open are compared
  with close, proxy_open with bare Envoy.
- *…, many*: the same on a server with many other endpoints, compared with the server that has none.
- *envoy*, *haproxy*, *nginx*, *socat*: on the first of two plain routers; compared with routed-2, without a goal.

A mode that a server does not carry is reported with its reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks import peers
from tests.benchmarks.control_plane import Side
from tests.benchmarks.deployment import CONSUMERS
from tests.benchmarks.failures import BenchmarkBroken, NotCarried
from tests.benchmarks.figures import Goal, Ratio, Row, median, ratio_of_rounds, rounds_at_least, rounds_at_most
from tests.benchmarks.load import CONNECT, MEASURES, RR_P50, RR_P99, STREAM_1, STREAM_8, Measure, Results, Way
from tests.benchmarks.processes import ON_HOST, PYTHON_ON_HOST, OnHost

CLOSE, TOA_OPEN, OPEN, PROXY_OPEN = "close", "toa_open", "open", "proxy_open"
MODES = (CLOSE, TOA_OPEN, OPEN, PROXY_OPEN)
CROWDED_MODES = (CLOSE, TOA_OPEN, PROXY_OPEN)
"""Those with a promise of what many endpoints may cost."""
_PORTS = {CLOSE: 9010, TOA_OPEN: 9020, OPEN: 9040, PROXY_OPEN: 9030}
"""Of the backend, for requests; streams go to the next one. A server port can be published only once."""
VPC_OF_MODE = {
    CLOSE: "globex-vpc",
    TOA_OPEN: "globex-options",
    OPEN: "globex-headers",
    PROXY_OPEN: "globex-vpc",
}
"""Who connects. What writes options or headers looks at every packet of its VPC, so other modes stay out of there."""
_WITHIN_5_PERCENT = {STREAM_1: 0.95, STREAM_8: 0.95, RR_P50: 1.05, RR_P99: 1.05, CONNECT: 0.95}
_GOALS: Mapping[str, tuple[str, Mapping[Measure, float]]] = {
    CLOSE: (peers.ROUTED, {STREAM_1: 0.90, STREAM_8: 0.90, RR_P50: 1.15, RR_P99: 1.30, CONNECT: 0.85}),
    TOA_OPEN: (CLOSE, _WITHIN_5_PERCENT | {CONNECT: 0.90}),
    OPEN: (CLOSE, {}),
    PROXY_OPEN: (peers.ENVOY, _WITHIN_5_PERCENT),
}
"""Mode → what it is compared with, and the worst ratio that is promised."""
_LOSSES = ("interface_drops", "conntrack_drops", "retransmitted_segments", "segments_that_came_twice")


def many(mode: str) -> str:
    """Return the name of the way beside many endpoints."""
    return f"{mode}, many"


@dataclass
class Endpoints:
    """The measured endpoints of one server."""

    ways: list[Way] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    """Why a mode is not carried."""
    services: dict[str, str] = field(default_factory=dict)
    """Mode → id of its service."""


def prepare(side: Side, program: Path, processors: tuple[int, int], *, is_crowded: bool) -> Endpoints:
    """Publish the measured ports in each mode, make an endpoint for each, and start the load's two ends."""
    world, made = side.world, Endpoints()
    clients = {
        vpc: [
            world.in_namespace(world.namespace(host), str(program), "client", world.congestion_control, str(processor))
            for processor in processors
        ]
        for vpc, host in CONSUMERS.items()
    }
    for mode in CROWDED_MODES if is_crowded else MODES:
        client, near_client = clients[VPC_OF_MODE[mode]]
        port = _PORTS[mode]
        try:
            ports = [(each, each) for each in (port, port + 1)]
            made.services[mode] = world.publish(side.provider, ports, "backend", mode=mode)
            # The hub may be there only now.
            world.set_everywhere(settings(world.congestion_control))
            address = world.connect(side.consumer, made.services[mode], VPC_OF_MODE[mode])
        except NotCarried as refusal:
            made.reasons[mode] = str(refusal)
            continue
        backend = (str(program), "serve", str(port), world.congestion_control, str(processors[1]))
        world.in_namespace(world.namespace("backend"), *backend)
        way = Way(many(mode) if is_crowded else mode, client, near_client, address, port, port + 1)
        if client.ask(f"probe {address} {port} 10")["errors"]:
            raise BenchmarkBroken(f"nothing passes through an endpoint of a service with tcp_proxy {mode}")
        made.ways.append(way)
    return made


def settings(congestion_control: str) -> dict[str, str]:
    """Return the kernel settings that all namespaces of all ways have in common.

    Proxies and their sockets use the namespace's congestion control. Bridges stand for the tenants' networks, on all
    ways: where br_netfilter is loaded, they would go through the firewall's hooks for nothing.
    """
    tables = ("arptables", "iptables", "ip6tables")
    bridge = {f"bridge/bridge-nf-call-{name}": "0" for name in tables}
    return {"ipv4/tcp_congestion_control": congestion_control, **bridge}


def in_turns(routed: Sequence[Way], empty: Sequence[Way], full: Sequence[Way]) -> list[Way]:
    """Return all ways so that each stands beside the one that it is compared with."""
    by_name = {way.name: way for way in (*routed, *empty, *full)}
    order = [peers.ROUTED]
    order += [many(CLOSE), CLOSE, TOA_OPEN, many(TOA_OPEN), OPEN]
    order += [many(PROXY_OPEN), PROXY_OPEN, peers.ENVOY, peers.HAPROXY, peers.NGINX, peers.SOCAT]
    return [by_name[name] for name in order if name in by_name]


def rows(results: Results, reasons: Mapping[str, str], crowd: int) -> list[Row]:
    """Return a row for each measure and way; `reasons` says why ways are not carried."""
    found: list[Row] = []
    for each in MEASURES:
        by_way = results[each.name]
        routed = by_way[peers.ROUTED]
        what = f"{each.what}, {peers.ROUTED}"
        found.append(Row(what, each.unit, median(routed), sample_count=len(routed), name=f"data.routed_2.{each.name}"))
        for mode in MODES:
            peer, limits = _GOALS[mode]
            found.append(_row(each, mode, mode, peer, limits.get(each), by_way, reasons))
            if mode in CROWDED_MODES:
                limit = _WITHIN_5_PERCENT.get(each)
                title = f"{mode}, {crowd:,} present"
                found.append(_row(each, many(mode), title, mode, limit, by_way, reasons))
        proxies = (peers.ENVOY, peers.HAPROXY, peers.NGINX, peers.SOCAT)
        there = (name for name in proxies if name in by_way)
        found += [_row(each, name, name, peers.ROUTED, None, by_way, reasons) for name in there]
    return found


def _row(
    each: Measure,
    way: str,
    title: str,
    peer: str,
    limit: float | None,
    by_way: Mapping[str, Sequence[float]],
    reasons: Mapping[str, str],
) -> Row:
    name = f"data.{way.replace(', ', '_')}.{each.name}"
    what = f"{each.what}, {title}"
    if way not in by_way or peer not in by_way:
        lacking = way if way not in by_way else peer
        reason = reasons.get(lacking, "was not measured")
        return Row(what, each.unit, None, peer, name=name, note=reason)
    ours, theirs = by_way[way], by_way[peer]
    ratio = ratio_of_rounds(ours, theirs)
    return Row(
        what,
        each.unit,
        median(ours),
        peer,
        median(theirs),
        ratio.median,
        () if limit is None else (_goal(each, limit, ratio),),
        len(ours),
        name,
        ratio,
        ours,
        theirs,
    )


def _goal(each: Measure, limit: float, ratio: Ratio) -> Goal:
    return (rounds_at_most if each.less_is_better else rounds_at_least)(limit, ratio)


class Losses:
    """What got lost and how full the connection tables were, in all namespaces that packets pass."""

    def __init__(self, counters: Mapping[str, OnHost]) -> None:
        self._counters = counters
        self._before = {name: counter.ask("read") for name, counter in counters.items()}
        self._most_connections = dict.fromkeys(counters, 0)

    def look(self) -> None:
        """Note how many connections are tracked."""
        for name, counter in self._counters.items():
            count = counter.ask("count")["conntrack_count"]
            self._most_connections[name] = max(self._most_connections[name], count)

    def sentences(self) -> list[str]:
        """Return what to tell the reader."""
        after = {name: counter.ask("read") for name, counter in self._counters.items()}
        return loss_sentences(self._before, after, self._most_connections)


Counted = Mapping[str, Mapping[str, int]]
"""Place → what on_host/counters.py read there."""


def loss_sentences(before: Counted, after: Counted, most_connections: Mapping[str, int]) -> list[str]:
    """Return what was lost between two readings; places where nothing was are not named."""
    sentences = []
    for key in _LOSSES:
        grown = {place: counted[key] - before[place][key] for place, counted in after.items()}
        where = [f"{place} {count:,}" for place, count in grown.items() if count]
        sentences.append(f"{key.replace('_', ' ').capitalize()}: {', '.join(where) or 'none'}.")
    largest = max(counted["conntrack_max"] for counted in after.values())
    tracked = [f"{place} {count:,}" for place, count in most_connections.items() if count]
    sentences.append(f"Tracked connections at most, of {largest:,}: {', '.join(tracked) or 'none'}.")
    return sentences


def counters(sides: Mapping[str, Side], of_peers: Mapping[str, OnHost]) -> dict[str, OnHost]:
    """Start what reads the counters, wherever packets pass."""
    found = dict(of_peers)
    for title, side in sides.items():
        world = side.world
        names = {world.ids["vpcs"][name]["vpc_id"]: f"edge of {name}" for name in ("acme-vpc", *CONSUMERS)}
        places = {edge: names.get(edge.rpartition(".edge.")[2], "hub") for edge in world.edges()}
        places |= dict.fromkeys(world.switches(), "switch")
        places |= {world.namespace(host): host for host in (*CONSUMERS.values(), "backend")}
        for namespace, place in places.items():
            command = (*PYTHON_ON_HOST, str(ON_HOST / "counters.py"))
            found[f"{place}, {title}"] = world.in_namespace(namespace, *command)
    return found
