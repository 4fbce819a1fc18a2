// Write the client's address into a TCP option, on the ingress of a subnet's interface in the consumer's edge: before
// connection tracking, so the address and the port are still the client's own.
//
// The option is kind 254, length 8: port and IPv4 address in network order. It stands first, directly behind the
// fixed header: readers take the first one. It is in each SYN and in each packet that begins where the data begin:
// the ACK that ends the handshake and the first payload, also when they are repeated.
//
// Readers trust the option, so nothing that a client writes itself may look like it, in any packet to such an
// endpoint: kinds 253 and 254 and whatever follows a broken option become NOPs. What hides the options from us
// (fragments, IP options, a second VLAN tag) is dropped.
#include "tcp_options.h"

char _source[] SEC("source") = SOURCE_SHA256;
char _counters[] SEC("counters") = "written forged hidden malformed header_full packet_full super_packet failed";
char _license[] SEC("license") = "Apache-2.0";

enum { OPTION_EXPERIMENT = 253, OPTION_CLIENT = 254 };
// In the order of `_counters`.
enum { WRITTEN, FORGED, HIDDEN, MALFORMED, HEADER_FULL, PACKET_FULL, SUPER_PACKET, FAILED, COUNTS };

struct target {
	__u32 mtu; // of the narrowest interface on the way to the backend
};

struct client_option {
	__u8 kind, length;
	__be16 port;
	__be32 address;
};

TABLE(listeners, BPF_MAP_TYPE_HASH, struct listener, struct target, 65536, BPF_F_NO_PREALLOC);
// By connection, the sequence number of its SYN. Losing an entry loses the option in later packets, nothing else.
TABLE(openings, BPF_MAP_TYPE_LRU_HASH, struct flow, __u32, 16384, 0);
TABLE(counts, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, COUNTS, 0);

static __always_inline void count(__u32 what)
{
	__u64 *so_far = bpf_map_lookup_elem(&counts, &what);

	if (so_far)
		*so_far += 1;
}

static __always_inline bool is_like_ours(__u8 kind)
{
	return kind == OPTION_EXPERIMENT || kind == OPTION_CLIENT;
}

// Say whether the option belongs into this packet, and remember what tells so of the next ones.
static __always_inline bool is_opening(const struct flow *flow, const struct tcphdr *tcp)
{
	__u32 sequence = bpf_ntohl(tcp->seq);

	if (tcp->syn) {
		if (tcp->ack || tcp->rst || tcp->fin)
			return false;
		bpf_map_update_elem(&openings, flow, &sequence, BPF_ANY);
		return true;
	}

	__u32 *first = bpf_map_lookup_elem(&openings, flow);
	if (!first)
		return false;
	bool begins_here = sequence == *first + 1;
	if (tcp->rst || tcp->fin)
		bpf_map_delete_elem(&openings, flow);
	return begins_here && !tcp->rst;
}

SEC("ingress") int write_client(struct __sk_buff *skb)
{
	struct packet packet;

	switch (take_in(skb, &listeners, true, &packet)) {
	case NOT_OURS:
		return TC_ACT_UNSPEC;
	case HIDING:
		count(HIDDEN);
		return TC_ACT_SHOT;
	case BROKEN:
		count(MALFORMED);
		return TC_ACT_SHOT;
	case OURS:
		break;
	}

	int wiped = clean(skb, packet.header - sizeof(packet.tcp), is_like_ours);
	if (wiped)
		count(wiped > 0 ? FORGED : FAILED);
	if (wiped < 0)
		return TC_ACT_SHOT;
	if (!is_opening(&packet.flow, &packet.tcp))
		return TC_ACT_UNSPEC;

	struct client_option option = {OPTION_CLIENT, sizeof(option), packet.flow.client_port, packet.flow.client};
	struct target *target = packet.target;
	__be16 *words = (__be16 *)&packet.tcp, flags_before = words[6];
	__u32 total = packet.total;
	if (packet.header + sizeof(option) > MOST_TCP_HEADER) {
		count(HEADER_FULL);
		return TC_ACT_UNSPEC;
	}
	if (skb->gso_size) {
		count(SUPER_PACKET);
		return TC_ACT_UNSPEC;
	}
	if (total + sizeof(option) > target->mtu) {
		count(PACKET_FULL);
		return TC_ACT_UNSPEC;
	}
	int problem = make_room(skb, OPTIONS, total - (OPTIONS - L3), sizeof(option));
	if (problem) {
		count(FAILED);
		return problem == -1 ? TC_ACT_UNSPEC : TC_ACT_SHOT;
	}
	packet.tcp.doff += sizeof(option) / 4;
	bpf_skb_store_bytes(skb, OPTIONS, &option, sizeof(option), 0);
	bpf_skb_store_bytes(skb, L4 + 12, &words[6], sizeof(words[6]), 0);
	set_length(skb, total, total + sizeof(option));
	bpf_l4_csum_replace(skb, L4 + offsetof(struct tcphdr, check), flags_before, words[6], sizeof(words[6]));
	sum(skb, NULL, 0, &option, sizeof(option));
	count(WRITTEN);
	return TC_ACT_UNSPEC;
}
