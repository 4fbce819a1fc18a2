"""Write the nftables rules of an edge, and elements as transactions; read elements back.

Pure. The rules are the same in every edge and never change while elements come and go. Between VPCs nothing
passes but mapped ports of accepted endpoints, checked for every packet, so that taking an element out cuts live
connections. Loading the rules again keeps all elements and their counts.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any, cast

from landbridge.domain.ids import VpcId
from landbridge.drivers.linux.elements import LABELS, OUTSIDE_NFT, Element, Kind, join, split

TABLE = "inet landbridge"

# What the conntrack entry says of a translated connection, in the order of the set: the endpoint's mark, client port,
# target transit address, server port. The source needs no word: the mark stands for an endpoint, which has one.
_TRANSLATED = "meta l4proto tcp ct mark . ct original proto-dst . ct reply ip saddr . ct reply proto-src"

# The same of a connection that ends at the proxy, and of the connection that the proxy opens for it.
_TERMINATED = "meta l4proto tcp ct mark . ct original proto-dst"
_TO_BACKEND = "ip saddr . ip daddr . tcp dport"
_FROM_BACKEND = (
    "meta l4proto tcp ct direction reply ct original ip saddr . ct original ip daddr . ct original proto-dst"
)
_AS_TARGET = "ip saddr set ip saddr . tcp sport map @replies"
_IS_DEPARTURE = "iifname . ct mark"
_WHITELIST = "ct original ip daddr @restricted ct original ip daddr . ct original ip saddr != @allowed drop"
_SEGMENT = "tcp flags & (syn | rst) == syn tcp option maxseg size set ct mark map @segment_sizes"

RULES = f"""\
table {TABLE} {{
	map listeners {{ type ipv4_addr . inet_service : ipv4_addr . inet_service; }}
	map exits {{ type mark : ipv4_addr; }}
	set accepted_ports {{ type mark . inet_service . ipv4_addr . inet_service; }}
	set terminated {{ type mark . inet_service; }}
	set upstreams {{ type ipv4_addr . ipv4_addr . inet_service; }}
	map gateways {{ type ifname . ipv4_addr : mark; flags interval; }}
	set departures {{ type ifname . mark; }}
	map marks {{ type ipv4_addr : mark; }}
	map segment_sizes {{ typeof ct mark : tcp option maxseg size; }}
	set restricted {{ type ipv4_addr; }}
	set allowed {{ type ipv4_addr . ipv4_addr; flags interval; }}
	set barred {{ type mark . ipv4_addr; flags interval; }}
	set budgets {{ type mark; ct count over 3000; }}
	set sent {{ type mark; counter; }}
	set received {{ type mark; counter; }}
	set opened {{ type mark; counter; }}
	set endpoints {{ type ipv4_addr; }}
	map backends {{ type ipv4_addr . inet_service : ipv4_addr; }}
	map masqueraded {{ type ipv4_addr . inet_service : ipv4_addr; }}
	map replies {{ type ipv4_addr . inet_service : ipv4_addr; }}
	set public {{ type ipv4_addr . ipv4_addr; flags interval; }}
	set targets {{ type mark . mark . ipv4_addr . inet_service; }}
	set routed {{ type ifname; }}
	set guests {{ type ifname; }}
	chain enter {{ type filter hook prerouting priority raw; policy accept; }}
	chain from_subnet {{ }}
	chain from_bridge {{ }}
	chain answer {{ }}
	chain listen {{ type nat hook prerouting priority dstnat; policy accept; }}
	chain arrive {{ type filter hook prerouting priority dstnat + 10; policy accept; }}
	chain open {{ }}
	chain carried {{ }}
	chain cut {{ }}
	chain pass {{ type filter hook forward priority filter; policy drop; }}
	chain carry {{ }}
	chain translate {{ type nat hook postrouting priority srcnat; policy accept; }}
	chain local {{ type filter hook input priority filter; policy drop; }}
	chain emit {{ type filter hook output priority filter; policy accept; }}
	chain to_client {{ }}
	chain to_backend {{ }}
}}
flush table {TABLE}
table {TABLE} {{
	# Every packet, before connection tracking. Its mark says where it comes from, and what the stateless stage did
	# with it: 1 renamed on its way to a backend, 2 on its way back, 3 renamed where the edge remembers connections,
	# 4 from a subnet, 5 from a link. It is set in any case: a link from an edge to itself would carry it over.
	chain enter {{
		meta nfproto != ipv4 drop
		meta mark set 5
		iifname "sub-*" goto from_subnet
		ip saddr 198.19.128.0/17 ip daddr set ip daddr . tcp dport map @backends meta mark set 1 notrack accept
		ip saddr 198.19.128.0/17 ip daddr set ip daddr . tcp dport map @masqueraded meta mark set 3 accept
	}}
	# The way back to a source must be the way the packet came.
	chain from_subnet {{
		meta mark set 4
		iifname @guests goto from_bridge
		fib saddr . iif oif missing drop
		ip daddr 198.19.128.0/17 goto answer
	}}
	# Where the edge is not the gateway, another router brings what comes from the VPC's other ranges, by a way of its
	# own choice. But nothing comes from there in the name of a transit address, of a public network, or of the edge.
	chain from_bridge {{
		ip saddr 198.19.128.0/17 drop
		fib saddr oifname != "sub-*" drop
		ip daddr 198.19.128.0/17 goto answer
	}}
	# From a subnet to a transit address: only answers of published backends and of public networks, never a
	# connection of their own.
	chain answer {{
		tcp flags & (syn | ack) == syn drop
		# First: a host of a public network may be the backend of a published service, too.
		ip daddr . ip saddr @public accept
		{_AS_TARGET} meta mark set 2 notrack accept
		drop
	}}
	chain listen {{
		meta mark 4 ct mark set iifname . ip daddr map @gateways accept
		meta mark 4 meta l4proto tcp ct mark set ip daddr map @marks dnat ip to ip daddr . tcp dport map @listeners
	}}
	# Every packet of a tracked connection, either way. It is answered here, before routing: once an endpoint is gone
	# there is no route any more, and its clients should hear that at once.
	chain arrive {{
		ct state untracked accept
		ct state new goto open
		ct status dnat goto carried
		ct mark 0 accept
		{_WHITELIST}
		meta mark 4 {_IS_DEPARTURE} != @departures {_TERMINATED} != @terminated goto cut
		ct direction original ct mark @sent accept
		ct mark @received accept
	}}
	# The first packet of a connection.
	chain open {{
		ct mark 0 accept
		ct status dnat {_TRANSLATED} != @accepted_ports drop
		ct status ! dnat {_IS_DEPARTURE} != @departures {_TERMINATED} != @terminated drop
		{_WHITELIST}
		ct mark . ip saddr @barred drop
		ct mark @budgets drop
		ct mark @opened
		ct mark @sent accept
	}}
	# All others of a connection that this edge translates. What a whitelist stops is dropped, not reset: while an
	# interval set is committed there is a moment in which it misses what both the old and the new whitelist allow. A
	# dropped packet comes again, a reset connection does not.
	chain carried {{
		{_WHITELIST}
		{_TRANSLATED} != @accepted_ports goto cut
		ct direction original ct mark @sent accept
		ct mark @received accept
	}}
	chain cut {{
		meta l4proto tcp reject with tcp reset
		drop
	}}
	chain pass {{
		ct status dnat goto carry
		meta mark 1 oifname "sub-*" accept
		meta mark 2 oifname "link-*" accept
		meta mark 4 iifname @routed oifname @routed ip saddr != 198.19.128.0/17 ip daddr != 198.19.128.0/17 accept
		# The stage that remembers, for backends that have no way back to transit addresses.
		meta mark 3 oifname "sub-*" accept
		meta mark 4 oifname "link-*" ct status snat ct direction reply {_AS_TARGET} accept
		# Gateway endpoints, in the consumer's edge and in the public one.
		{_SEGMENT}
		meta mark 4 oifname "link-*" ct direction original {_IS_DEPARTURE} @departures accept
		meta mark 5 ct direction reply oifname . ct mark @departures accept
		meta mark 5 oifname "sub-*" ct direction original ip saddr . ip daddr @public accept
		meta mark 4 oifname "link-*" ct direction reply ip daddr . ip saddr @public accept
	}}
	# The kernel only ever lowers a segment size.
	chain carry {{
		meta l4proto != tcp drop
		{_SEGMENT}
		meta mark 4 oifname "link-*" ct direction original accept
		meta mark 5 oifname "sub-*" ct direction reply accept
	}}
	# First packets only. What has no transit address to leave with must not leave with its own.
	chain translate {{
		oifname "link-*" snat ip to ct mark map @exits
		oifname "link-*" meta mark 4 drop
		oifname "sub-*" meta mark 3 masquerade
	}}
	chain local {{
		iif "lo" accept
		meta mark 4 {_TERMINATED} @terminated accept
		{_SEGMENT}
		meta mark 5 {_FROM_BACKEND} @upstreams accept
		meta mark 5 ct state established goto cut
		meta mark 4 ip daddr @endpoints icmp type echo-request accept
	}}
	# What the proxy sends. Resets pass: they end what was cut.
	chain emit {{
		oifname "sub-*" meta l4proto tcp tcp flags & rst == 0 goto to_client
		oifname "link-*" meta l4proto tcp tcp flags & rst == 0 goto to_backend
	}}
	# What belongs to no connection that is known: the rest of one that was forgotten when its client was cut.
	chain to_client {{
		ct state invalid drop
		{_TERMINATED} != @terminated drop
		{_WHITELIST}
		ct mark @received accept
	}}
	chain to_backend {{
		ct state new ct mark set ip saddr map @marks
		{_SEGMENT}
		{_TO_BACKEND} != @upstreams reject with tcp reset
	}}
}}
"""


def render(removals: Collection[Element], additions: Collection[Element]) -> str:
    """Return one transaction that takes elements out and puts others in, removals first.

    All must be of one edge. Empty when there is nothing to do.
    """
    return "".join(
        f"{verb} element {TABLE} {kind} {{ {', '.join(texts)} }}\n"
        for verb, changed in (("delete", removals), ("add", additions))
        for kind, texts in _by_kind(changed, is_short=verb == "delete").items()
    )


def render_forced_removal(element: Element) -> str:
    """Return a transaction that takes an element out, and succeeds also if it is not there."""
    return render((), (element,)) + render((element,), ())


def render_routed(interface: str) -> str:
    """Return a transaction that makes the edge the gateway behind an interface; twice is once."""
    return _place("routed", interface, instead_of="guests")


def render_guest(interface: str) -> str:
    """Return a transaction that makes the edge one host of many behind an interface; twice is once."""
    return _place("guests", interface, instead_of="routed")


def _place(name: str, interface: str, *, instead_of: str) -> str:
    # Added first, so that taking out what is not there is no error.
    return "".join(
        f"{verb} element {TABLE} {other} {{ {interface} }}\n"
        for verb, other in (("add", instead_of), ("delete", instead_of), ("add", name))
    )


def _by_kind(changed: Iterable[Element], *, is_short: bool) -> dict[Kind, list[str]]:
    texts: dict[Kind, list[str]] = {}
    for element in sorted(changed, key=lambda element: (element.kind, element.key)):
        assert element.kind not in OUTSIDE_NFT, f"{element.kind} is no nftables set"  # noqa: S101 - our own mistake
        texts.setdefault(element.kind, []).append(_text(element, is_short=is_short))
    return texts


def _text(element: Element, *, is_short: bool) -> str:
    if element.kind is Kind.BARRED and "/" not in element.key:
        # nft 1.0.6 turns the mark's bytes round for ranges only, and so never finds a single one that it shall delete.
        return f"{element.key}-{split(element.key)[1]}"
    if not element.value or is_short:
        return element.key
    if element.kind in LABELS:
        return f'{element.key} comment "{element.value}"'
    if element.kind is Kind.BUDGETS:
        return f"{element.key} ct count over {element.value}"
    return f"{element.key} : {element.value}"


def parse(vpc_id: VpcId, objects: Iterable[dict[str, Any]]) -> set[Element]:
    """Return the elements in what `nft -j list table` shows of the edge of a VPC."""
    found: set[Element] = set()
    names = frozenset(Kind) - OUTSIDE_NFT
    for item in objects:
        listed = cast("dict[str, Any] | None", item.get("set") or item.get("map"))
        if listed is not None and listed["name"] in names:
            kind = Kind(listed["name"])
            found.update(Element(vpc_id, kind, *pair) for pair in _pairs("map" in listed, listed.get("elem", ())))
    return found


def _pairs(is_map: bool, entries: Iterable[Any]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        if is_map:
            key, value = cast("list[object]", entry)
            yield _read(key), _read(value)
        elif isinstance(entry, dict) and "elem" in entry:
            element = cast("dict[str, Any]", entry["elem"])
            limit = cast("dict[str, Any] | None", element.get("ct count"))
            yield _read(element["val"]), str(element.get("comment", "") if limit is None else limit["val"])
        else:
            yield _read(cast("object", entry)), ""


def _read(value: object) -> str:
    if not isinstance(value, dict):
        return str(value)
    fields = cast("dict[str, Any]", value)
    if "concat" in fields:
        return join(*map(_read, fields["concat"]))
    if "prefix" in fields:
        return f"{fields['prefix']['addr']}/{fields['prefix']['len']}"
    return str(fields)
