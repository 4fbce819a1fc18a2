// What the tc programs share: which packets are theirs, where things stand in one, and how it gets room.
//
// Only structures of the kernel's stable interface are used, so an object runs on every kernel that has its helpers.
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define L3 ETH_HLEN
#define L4 (L3 + sizeof(struct iphdr))
#define OPTIONS (L4 + sizeof(struct tcphdr))
#define IP_FRAGMENT 0x3fff /* more fragments, or an offset; not "do not fragment" */
#define MOST_TCP_HEADER 60
#define MOST_OPTIONS 40
#define OPTIONS_ROOM 64 /* a power of two, so that a mask keeps an index inside */

// One table; the loader makes it from this record.
struct table {
	__u32 type, key_size, value_size, max_entries, flags;
};
#define TABLE(name, kind, key, value, entries, its_flags)                                                              \
	struct table name SEC("tables") = {kind, sizeof(key), sizeof(value), entries, its_flags}

// One port of an endpoint. Port 0 stands for the address itself, whatever the port.
struct listener {
	__be32 address;
	__be16 port, zero;
};

struct flow {
	__be32 client, endpoint;
	__be16 client_port, endpoint_port;
};

#define BLOCK 128
#define MOST_MOVED (72 * BLOCK) /* 9,216: a jumbo frame; the verifier goes through each block */

// Make `room` bytes of room at `from`, an even number of bytes; what stood there, `length` bytes, moves towards the
// tail. Room is made at the tail: the TCP header stays where it is, and with it the place where a card, or the
// kernel for it, will put the checksum (CHECKSUM_PARTIAL). What a frame had behind its IP packet is cut off.
static __always_inline int make_room(struct __sk_buff *skb, __u32 from, __u32 length, __u32 room)
{
	__u8 block[BLOCK];
	__u32 left = length;

	if (length > MOST_MOVED || bpf_skb_change_tail(skb, from + length + room, 0))
		return -1;
	for (int i = 0; i < MOST_MOVED / BLOCK; i++) {
		if (left < BLOCK)
			break;
		left -= BLOCK;
		if (bpf_skb_load_bytes(skb, from + left, block, BLOCK) ||
		    bpf_skb_store_bytes(skb, from + left + room, block, BLOCK, 0))
			return -2;
	}
	left &= BLOCK - 1;
	if (left && (bpf_skb_load_bytes(skb, from, block, left) ||
		     bpf_skb_store_bytes(skb, from + room, block, left, 0)))
		return -2;
	return 0;
}

// Tell both headers and their checksums that the packet has grown. The TCP checksum covers the length by its
// pseudo header, which is all there is of it while the rest is left to a card.
static __always_inline void set_length(struct __sk_buff *skb, __u32 before, __u32 after)
{
	__be16 from = bpf_htons(before), to = bpf_htons(after);

	bpf_skb_store_bytes(skb, L3 + offsetof(struct iphdr, tot_len), &to, sizeof(to), 0);
	bpf_l3_csum_replace(skb, L3 + offsetof(struct iphdr, check), from, to, sizeof(to));
	bpf_l4_csum_replace(skb, L4 + offsetof(struct tcphdr, check), bpf_htons(before - sizeof(struct iphdr)),
			    bpf_htons(after - sizeof(struct iphdr)), BPF_F_PSEUDO_HDR | sizeof(to));
}

// Count bytes into the TCP checksum (or out of it, as `from`); a card that computes it sees them by itself.
static __always_inline void sum(struct __sk_buff *skb, void *from, __u32 from_size, void *to, __u32 to_size)
{
	__s64 difference = bpf_csum_diff(from, from_size, to, to_size, 0);

	bpf_l4_csum_replace(skb, L4 + offsetof(struct tcphdr, check), 0, difference, 0);
}

// What a program does first with each packet.
enum intake { NOT_OURS, OURS, HIDING, BROKEN };

struct packet {
	struct iphdr ip;
	struct tcphdr tcp;
	struct listener listener;
	struct flow flow;
	__u32 header, total, payload; // bytes: of the TCP header, of the IP packet, behind both headers
	void *target;		      // what the table says of the listener
};

// Read the headers of a packet from or to a client of a listener. A packet to or from a listener's address whose TCP
// header is not where we look for it hides something.
static __always_inline enum intake take_in(struct __sk_buff *skb, void *listeners, bool is_from_client,
					   struct packet *packet)
{
	struct iphdr *ip = &packet->ip;
	struct tcphdr *tcp = &packet->tcp;

	// The kernel takes off two tags, and the second only behind tc.
	if (skb->protocol == bpf_htons(ETH_P_8021Q) || skb->protocol == bpf_htons(ETH_P_8021AD))
		return HIDING;
	if (skb->protocol != bpf_htons(ETH_P_IP) || bpf_skb_load_bytes(skb, L3, ip, sizeof(*ip)))
		return NOT_OURS;
	if (ip->protocol != IPPROTO_TCP)
		return NOT_OURS;

	packet->listener = (struct listener){.address = is_from_client ? ip->daddr : ip->saddr};
	if (ip->ihl != sizeof(*ip) / 4 || (ip->frag_off & bpf_htons(IP_FRAGMENT)))
		return bpf_map_lookup_elem(listeners, &packet->listener) ? HIDING : NOT_OURS;
	if (bpf_skb_load_bytes(skb, L4, tcp, sizeof(*tcp)))
		return NOT_OURS;
	packet->listener.port = is_from_client ? tcp->dest : tcp->source;
	packet->target = bpf_map_lookup_elem(listeners, &packet->listener);
	if (!packet->target)
		return NOT_OURS;

	packet->flow = is_from_client ? (struct flow){ip->saddr, ip->daddr, tcp->source, tcp->dest}
				      : (struct flow){ip->daddr, ip->saddr, tcp->dest, tcp->source};
	packet->header = tcp->doff * 4;
	packet->total = bpf_ntohs(ip->tot_len);
	// The length of a super packet of more than 64 KiB is 0.
	if (!packet->total && skb->gso_size)
		packet->total = skb->len - L3;
	if (packet->header < sizeof(*tcp) || sizeof(*ip) + packet->header > packet->total || L3 + packet->total > skb->len)
		return BROKEN;
	packet->payload = packet->total - sizeof(*ip) - packet->header;
	return OURS;
}
