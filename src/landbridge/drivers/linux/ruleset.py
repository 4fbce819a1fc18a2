"""Write the nftables rules of an edge, and elements as transactions; read elements back.

Pure. The rules are the same in every edge and never change while elements come and go. Between VPCs nothing
passes but mapped ports of accepted endpoints, checked for every packet, so that taking an element out cuts live
connections. Loading the rules again keeps all elements and their counts.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any, cast

from landbridge.domain.ids import VpcId
from landbridge.drivers.linux.elements import LABELS, OUTSIDE_NFT, Element, Kind, join

TABLE = "inet landbridge"

# What the conntrack entry says of a carried connection, in the order of the `accepted` set: endpoint's mark,
# client port, target transit address, server port, endpoint's transit address.
_CARRIED = (
    "meta l4proto tcp ct mark . ct original proto-dst . ct reply ip saddr . ct reply proto-src . ct reply ip daddr"
)


# The same of a connection that ends at the proxy, and of the connection that the proxy opens for it.
_TERMINATED = "meta l4proto tcp ct mark . ct original proto-dst"
_TO_BACKEND = "ip saddr . ip daddr . tcp dport"
_MASQUERADED_ANSWER = "ct status snat ct direction reply"
_FROM_BACKEND = (
    "meta l4proto tcp ct direction reply ct original ip saddr . ct original ip daddr . ct original proto-dst"
)

RULES = f"""\
table {TABLE} {{
	map listeners {{ type ipv4_addr . inet_service : ipv4_addr . inet_service; }}
	map exits {{ type mark : ipv4_addr; }}
	set accepted {{ type mark . inet_service . ipv4_addr . inet_service . ipv4_addr; }}
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
	set public {{ type ipv4_addr; flags interval; }}
	set targets {{ type mark . mark . ipv4_addr . inet_service; }}
	set routed {{ type ifname; }}
	chain enter {{ type filter hook prerouting priority raw; policy accept; }}
	chain answer {{ }}
	chain listen {{ type nat hook prerouting priority dstnat; policy accept; }}
	chain arrive {{ type filter hook prerouting priority dstnat + 10; policy accept; }}
	chain open {{ }}
	chain pass {{ type filter hook forward priority filter; policy drop; }}
	chain carry {{ }}
	chain cut {{ }}
	chain translate {{ type nat hook postrouting priority srcnat; policy accept; }}
	chain leave {{ type filter hook postrouting priority srcnat + 1; policy accept; }}
	chain local {{ type filter hook input priority filter; policy drop; }}
	chain take {{ }}
	chain emit {{ type filter hook output priority filter; policy accept; }}
	chain to_client {{ }}
	chain to_backend {{ }}
}}
flush table {TABLE}
table {TABLE} {{
	# Every packet, before connection tracking. The mark says what the stateless stage did with this packet; it is
	# cleared first, because a link from an edge to itself would carry it over.
	chain enter {{
		meta nfproto != ipv4 drop
		meta mark set 0
		# What the edge sends to itself: resets for the proxy's own sockets.
		iifname "lo" accept
		fib saddr . iif oif missing drop
		iifname "link-*" ip daddr set ip daddr . tcp dport map @backends meta mark set 1 notrack accept
		iifname "link-*" ip daddr set ip daddr . tcp dport map @masqueraded meta mark set 3 accept
		iifname "sub-*" ip daddr 198.19.128.0/17 goto answer
	}}
	# From a subnet to a transit address: only answers of published backends and of public networks, never a
	# connection of their own.
	chain answer {{
		tcp flags & (syn | ack) == syn drop
		ip saddr set ip saddr . tcp sport map @replies meta mark set 2 notrack accept
		ip saddr @public accept
		drop
	}}
	chain listen {{
		iifname "sub-*" ct mark set iifname . ip daddr map @gateways accept
		iifname "sub-*" ct mark set ip daddr map @marks dnat ip to ip daddr . tcp dport map @listeners
	}}
	# Every packet of a carried connection, either way. It is answered here, before routing: once an endpoint is gone
	# there is no route any more, and its clients should hear that at once.
	chain arrive {{
		meta mark != 0 accept
		ct state new goto open
		ct mark 0 accept
		# Dropped, not reset: while an interval set is committed there is a moment in which it misses what both the
		# old and the new whitelist allow. A dropped packet comes again, a reset connection does not.
		ct original ip daddr @restricted ct original ip daddr . ct original ip saddr != @allowed drop
		ct status dnat {_CARRIED} != @accepted goto cut
		iifname "sub-*" ct status ! dnat iifname . ct mark != @departures {_TERMINATED} != @terminated goto cut
		ct direction original ct mark @sent accept
		ct direction reply ct mark @received accept
	}}
	chain open {{
		ct mark 0 accept
		ct original ip daddr @restricted ct original ip daddr . ct original ip saddr != @allowed drop
		ct mark . ip saddr @barred drop
		ct mark @budgets drop
		ct mark @sent accept
	}}
	chain cut {{
		meta l4proto tcp reject with tcp reset
		drop
	}}
	chain pass {{
		meta mark 1 iifname "link-*" oifname "sub-*" accept
		meta mark 2 iifname "sub-*" oifname "link-*" accept
		ct status dnat goto carry
		iifname "sub-*" oifname @routed ip saddr != 198.19.128.0/17 ip daddr != 198.19.128.0/17 accept
		# The stage that remembers, for backends that have no way back to transit addresses.
		meta mark 3 iifname "link-*" oifname "sub-*" accept
		iifname "sub-*" oifname "link-*" {_MASQUERADED_ANSWER} ip saddr set ip saddr . tcp sport map @replies accept
		# Gateway endpoints, in the consumer's edge and in the public one.
		tcp flags & (syn | rst) == syn tcp option maxseg size set ct mark map @segment_sizes
		oifname "link-*" ct direction original iifname . ct mark @departures accept
		iifname "link-*" ct direction reply oifname . ct mark @departures accept
		iifname "link-*" oifname "sub-*" ip saddr 198.19.128.0/17 ip daddr @public accept
		iifname "sub-*" oifname "link-*" ip saddr @public ip daddr 198.19.128.0/17 ct direction reply accept
	}}
	# The kernel only ever lowers a segment size.
	chain carry {{
		meta l4proto != tcp drop
		tcp flags & (syn | rst) == syn tcp option maxseg size set ct mark map @segment_sizes
		iifname "sub-*" oifname "link-*" ct direction original accept
		iifname "link-*" oifname "sub-*" ct direction reply accept
	}}
	chain translate {{
		oifname "link-*" snat ip to ct mark map @exits
		oifname "sub-*" meta mark 3 masquerade
	}}
	# A first packet gets its source only in `translate`, so it is checked here.
	chain leave {{
		ct state new ct status dnat {_CARRIED} != @accepted drop
		ct state new ct mark @opened accept
	}}
	chain local {{
		iifname "lo" accept
		iifname "sub-*" {_TERMINATED} @terminated goto take
		iifname "link-*" {_FROM_BACKEND} @upstreams accept
		iifname "link-*" ct state established goto cut
		iifname "sub-*" ip daddr @endpoints icmp type echo-request accept
	}}
	chain take {{
		ct state new ct mark @opened accept
		accept
	}}
	# What the proxy sends. Resets pass: they end what was cut.
	chain emit {{
		oifname "sub-*" meta l4proto tcp tcp flags & rst == 0 goto to_client
		oifname "link-*" meta l4proto tcp tcp flags & rst == 0 goto to_backend
	}}
	chain to_client {{
		{_TERMINATED} != @terminated drop
		ct mark @received accept
	}}
	chain to_backend {{
		ct state new ct mark set ip saddr map @marks
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
    """Return a transaction that lets packets of the VPC's other subnets leave by an interface; twice is once."""
    return f"add element {TABLE} routed {{ {interface} }}\n"


def _by_kind(changed: Iterable[Element], *, is_short: bool) -> dict[Kind, list[str]]:
    texts: dict[Kind, list[str]] = {}
    for element in sorted(changed, key=lambda element: (element.kind, element.key)):
        assert element.kind not in OUTSIDE_NFT, f"{element.kind} is no nftables set"  # noqa: S101 - our own mistake
        texts.setdefault(element.kind, []).append(_text(element, is_short=is_short))
    return texts


def _text(element: Element, *, is_short: bool) -> str:
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
