// Put a PROXY protocol header in front of what a client sends, on the subnet's interface in the consumer's edge: before
// connection tracking on the way in, behind it on the way out. No proxy ends the connection.
//
// The header takes the first HEADER_SIZE sequence numbers of the client's data, as the backend counts them; all that
// the client sends is HEADER_SIZE later, and all that the backend acknowledges is HEADER_SIZE earlier. The size is the
// same for all listeners and for ever: living connections depend on it.
//
// A connection is known from the backend's SYN-ACK on. It is *opening* until the backend has acknowledged the header.
// In that time each packet that begins where the data begin brings the header, so whatever is lost is sent again by
// somebody: the header shares its fate with the ACK that ends the handshake, and later with the client's first bytes.
// Only in that time bytes before the data could be taken for the header, so what reaches over from before is dropped.
// Packets of unknown connections are dropped: a forgotten connection stops, it never goes on wrong.
#include "connections.h"
#include "tcp_options.h"

char _source[] SEC("source") = SOURCE_SHA256;
// In the order of the enumeration below.
char _counters[] SEC("counters") = "refused unknown hidden malformed early repeated failed";
char _license[] SEC("license") = "Apache-2.0";

enum { REFUSED, UNKNOWN, HIDDEN, MALFORMED, EARLY, REPEATED, FAILED, COUNTS };
enum { OPTION_SACK = 5, OPTION_FAST_OPEN = 34 };
#define MOST_BLOCKS 4

#define HEADER_SIZE 128
#define HEADER_CLIENT 16      // where in a header the client's address stands
#define HEADER_CLIENT_PORT 24 // and its port
#define LABEL_SIZE 64

struct target {
	__u32 mtu; // of the narrowest interface on the way to the backend
	__u8 header[HEADER_SIZE];
	__u8 label[LABEL_SIZE]; // for the loader alone
};

TABLE(listeners, BPF_MAP_TYPE_HASH, struct listener, struct target, 65536, BPF_F_NO_PREALLOC);
TABLE(counts, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, COUNTS, 0);

static __always_inline void count(__u32 what)
{
	__u64 *so_far = bpf_map_lookup_elem(&counts, &what);

	if (so_far)
		*so_far += 1;
}

static __always_inline int drop(__u32 because)
{
	count(because);
	return TC_ACT_SHOT;
}

static __always_inline bool is_unwanted(__u8 kind)
{
	return kind == OPTION_FAST_OPEN;
}

// Write another number into the TCP header, at an offset in it.
static __always_inline int renumber(struct __sk_buff *skb, __u32 offset, __be32 from, __u32 number)
{
	__be32 to = bpf_htonl(number);

	bpf_skb_store_bytes(skb, L4 + offset, &to, sizeof(to), 0);
	bpf_l4_csum_replace(skb, L4 + offsetof(struct tcphdr, check), from, to, sizeof(to));
	return TC_ACT_UNSPEC;
}

static __always_inline int move_behind_header(struct __sk_buff *skb, const struct packet *packet)
{
	return renumber(skb, offsetof(struct tcphdr, seq), packet->tcp.seq, bpf_ntohl(packet->tcp.seq) + HEADER_SIZE);
}

// Move what the backend says it has beside the acknowledged bytes (SACK, RFC 2018). A block that tells of the header, as
// one does that came twice, becomes empty or reaches to before the data; clients skip such blocks.
static __always_inline int move_blocks(struct __sk_buff *skb, const struct packet *packet)
{
	struct options options = {};
	__be32 before[2 * MOST_BLOCKS] = {}, blocks[2 * MOST_BLOCKS] = {};
	__u32 length = packet->header - sizeof(packet->tcp), size;

	if (length == 0 || length > MOST_OPTIONS)
		return 0;
	if (bpf_skb_load_bytes(skb, OPTIONS, options.bytes, length))
		return -1;
	if (are_timestamps(options.bytes, length))
		return 0;
	__u32 at = find_option(&options, length, OPTION_SACK, &size);
	if (!size || size < 2 + 8 || size > 2 + sizeof(blocks))
		return 0;

	size = (size - 2) & 0x38;
	at += OPTIONS + 2;
	if (!size || bpf_skb_load_bytes(skb, at, blocks, size))
		return -1;
	__builtin_memcpy(before, blocks, sizeof(blocks));
	for (int i = 0; i < 2 * MOST_BLOCKS; i++)
		blocks[i] = bpf_htonl(bpf_ntohl(blocks[i]) - HEADER_SIZE);
	if (bpf_skb_store_bytes(skb, at, blocks, size, 0))
		return -1;
	__s64 difference = bpf_csum_diff(before, size, blocks, size, 0);
	difference = (difference & 0xffff) + (difference >> 16 & 0xffff);
	difference = (difference & 0xffff) + (difference >> 16);
	// Each byte counts in the other half of a word than it stands in here, if the blocks begin at an odd byte.
	if (at & 1)
		difference = __builtin_bswap16(difference);
	bpf_l4_csum_replace(skb, L4 + offsetof(struct tcphdr, check), 0, difference, 0);
	return 0;
}

// Take the payload away, and what the flags said of it. It is summed up from its beginning, so that each block begins
// at an even byte.
static __always_inline int cut_payload(struct __sk_buff *skb, struct packet *packet)
{
	__u8 block[BLOCK];
	__u32 from = L4 + packet->header, at = from, left = packet->payload;
	__s64 difference = 0;

	if (left > MOST_MOVED)
		return -1;
	for (int i = 0; i < MOST_MOVED / BLOCK; i++) {
		if (left < BLOCK)
			break;
		if (bpf_skb_load_bytes(skb, at, block, BLOCK))
			return -1;
		difference = bpf_csum_diff((__be32 *)block, BLOCK, NULL, 0, difference);
		left -= BLOCK;
		at += BLOCK;
	}
	left &= BLOCK - 1;
	if (left) {
		__builtin_memset(block, 0, sizeof(block));
		if (bpf_skb_load_bytes(skb, at, block, left))
			return -1;
		difference = bpf_csum_diff((__be32 *)block, BLOCK, NULL, 0, difference);
	}
	if (bpf_skb_change_tail(skb, from, 0))
		return -1;
	bpf_l4_csum_replace(skb, L4 + offsetof(struct tcphdr, check), 0, difference, 0);

	__be16 *words = (__be16 *)&packet->tcp, before = words[6];
	packet->tcp.fin = packet->tcp.psh = packet->tcp.urg = 0;
	bpf_skb_store_bytes(skb, L4 + 12, &words[6], sizeof(words[6]), 0);
	bpf_l4_csum_replace(skb, L4 + offsetof(struct tcphdr, check), before, words[6], sizeof(words[6]));
	set_length(skb, packet->total, packet->total - packet->payload);
	packet->total -= packet->payload;
	packet->payload = 0;
	return 0;
}

static __always_inline int put_header(struct __sk_buff *skb, const struct packet *packet)
{
	struct target *target = packet->target;
	__be32 client[] = {packet->flow.client, packet->flow.client_port};
	__u32 at = L4 + packet->header;

	if (make_room(skb, at, packet->payload, HEADER_SIZE) ||
	    bpf_skb_store_bytes(skb, at, target->header, HEADER_SIZE, 0) ||
	    bpf_skb_store_bytes(skb, at + HEADER_CLIENT, &client[0], sizeof(__be32), 0) ||
	    bpf_skb_store_bytes(skb, at + HEADER_CLIENT_PORT, &client[1], sizeof(__be16), 0))
		return -1;
	set_length(skb, packet->total, packet->total + HEADER_SIZE);
	// In the table both fields are zero.
	sum(skb, NULL, 0, target->header, HEADER_SIZE);
	sum(skb, NULL, 0, client, sizeof(client));
	if (packet->tcp.urg) {
		__be16 from = packet->tcp.urg_ptr, to = bpf_htons(bpf_ntohs(from) + HEADER_SIZE);

		bpf_skb_store_bytes(skb, L4 + offsetof(struct tcphdr, urg_ptr), &to, sizeof(to), 0);
		bpf_l4_csum_replace(skb, L4 + offsetof(struct tcphdr, check), from, to, sizeof(to));
	}
	return 0;
}

// A packet that begins where the client's data begin, while the backend has not said that it has the header.
static __always_inline int begin(struct __sk_buff *skb, struct packet *packet, struct connection *connection)
{
	const struct target *target = packet->target;
	bool has_room = !packet->payload || (!skb->gso_size && packet->total + HEADER_SIZE <= target->mtu);

	if (!has_room) {
		// The header has probably arrived. If not, these bytes come again.
		if ((connection->state & (SENT | OVERTAKEN)) == SENT) {
			note(connection, OVERTAKEN);
			return move_behind_header(skb, packet);
		}
		count(REPEATED);
		forget(connection, OVERTAKEN);
		if (cut_payload(skb, packet))
			return drop(FAILED);
	}
	note(connection, SENT);
	return put_header(skb, packet) ? drop(FAILED) : TC_ACT_UNSPEC;
}

// A reset must carry the number that the backend expects next. If the header was sent and lost, that is the one without
// it; the backend then asks, and gets the other answer.
static __always_inline int reset(struct __sk_buff *skb, const struct packet *packet, struct connection *connection)
{
	__s32 position = bpf_ntohl(packet->tcp.seq) - connection->first;

	if (position < 0 || (position == 0 && !(connection->state & SENT)))
		return TC_ACT_UNSPEC;
	if (position == 0 && (connection->state & RESET_MOVED)) {
		forget(connection, RESET_MOVED);
		return TC_ACT_UNSPEC;
	}
	note(connection, RESET_MOVED);
	return move_behind_header(skb, packet);
}

static __always_inline int open_from_client(struct __sk_buff *skb, struct packet *packet)
{
	struct connection *connection = find(&packet->flow);

	if (packet->tcp.ack || packet->tcp.rst || packet->tcp.fin)
		return drop(MALFORMED);
	if (connection)
		connection->attempt = bpf_ntohl(packet->tcp.seq) + 1;
	// Data in a SYN (RFC 7413) would stand where the header belongs. They are sent again.
	if (packet->payload && cut_payload(skb, packet))
		return drop(FAILED);
	return clean(skb, packet->header - sizeof(packet->tcp), is_unwanted) < 0 ? drop(FAILED) : TC_ACT_UNSPEC;
}

SEC("ingress") int from_client(struct __sk_buff *skb)
{
	struct packet packet;

	switch (take_in(skb, &listeners, true, &packet)) {
	case NOT_OURS:
		return TC_ACT_UNSPEC;
	case HIDING:
		return drop(HIDDEN);
	case BROKEN:
		return drop(MALFORMED);
	case OURS:
		break;
	}
	if (packet.tcp.syn)
		return open_from_client(skb, &packet);

	struct connection *connection = find(&packet.flow);
	if (!connection)
		return packet.tcp.rst ? TC_ACT_UNSPEC : drop(UNKNOWN);
	if (packet.tcp.rst)
		note(connection, RESET);
	if (packet.tcp.fin)
		note(connection, CLIENT_ENDED);
	if (connection->state & ACKNOWLEDGED)
		return move_behind_header(skb, &packet);
	if (packet.tcp.rst)
		return reset(skb, &packet, connection);
	if (!packet.tcp.ack)
		return drop(MALFORMED);

	__s32 position = bpf_ntohl(packet.tcp.seq) - connection->first;
	if (position > 0)
		return move_behind_header(skb, &packet);
	if (position < 0)
		return position + (__s32)packet.payload + packet.tcp.fin > 0 ? drop(EARLY) : TC_ACT_UNSPEC;
	return begin(skb, &packet, connection);
}

// The backend may be sent its window's worth of bytes, of which the header takes some.
static __always_inline int open_from_backend(struct __sk_buff *skb, const struct packet *packet)
{
	__u16 window = bpf_ntohs(packet->tcp.window);

	if (!packet->tcp.ack)
		return TC_ACT_UNSPEC;
	if (!open(&packet->flow, bpf_ntohl(packet->tcp.ack_seq)))
		return drop(REFUSED);
	if (window > HEADER_SIZE) {
		__be16 less = bpf_htons(window - HEADER_SIZE);

		bpf_skb_store_bytes(skb, L4 + offsetof(struct tcphdr, window), &less, sizeof(less), 0);
		bpf_l4_csum_replace(skb, L4 + offsetof(struct tcphdr, check), packet->tcp.window, less, sizeof(less));
	}
	return TC_ACT_UNSPEC;
}

SEC("egress") int to_client(struct __sk_buff *skb)
{
	struct packet packet;

	switch (take_in(skb, &listeners, false, &packet)) {
	case NOT_OURS:
		return TC_ACT_UNSPEC;
	case HIDING:
		return drop(HIDDEN);
	case BROKEN:
		return drop(MALFORMED);
	case OURS:
		break;
	}
	if (packet.tcp.syn)
		return open_from_backend(skb, &packet);

	struct connection *connection = find(&packet.flow);
	if (!connection)
		return packet.tcp.rst ? TC_ACT_UNSPEC : drop(UNKNOWN);
	if (packet.tcp.rst)
		note(connection, RESET);
	if (packet.tcp.fin)
		note(connection, SERVER_ENDED);
	if (!packet.tcp.ack)
		return TC_ACT_UNSPEC;

	if (move_blocks(skb, &packet))
		return drop(FAILED);
	__u32 number = bpf_ntohl(packet.tcp.ack_seq);
	// The refusal of a new connection, not the end of the old one between the same ports.
	if (packet.tcp.rst && number == connection->attempt)
		return TC_ACT_UNSPEC;
	if (!(connection->state & ACKNOWLEDGED)) {
		__s32 position = number - connection->first;

		if (position <= 0)
			return TC_ACT_UNSPEC;
		if (position < HEADER_SIZE)
			return renumber(skb, offsetof(struct tcphdr, ack_seq), packet.tcp.ack_seq, connection->first);
		note(connection, ACKNOWLEDGED);
	}
	return renumber(skb, offsetof(struct tcphdr, ack_seq), packet.tcp.ack_seq, number - HEADER_SIZE);
}
