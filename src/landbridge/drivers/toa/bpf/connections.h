// Remember connections in a table that tidies itself up: each connection has a bucket of entries where it may stand, and
// an entry whose connection has ended or was never opened is free again. A living connection is never given up.
#include "packet.h"

// What is known of a connection.
enum {
	KNOWN = 1,	   // the entry is one
	ACKNOWLEDGED = 2,  // the backend has the header
	SENT = 4,	   // the header is on its way
	OVERTAKEN = 8,	   // the last packet at the beginning went without it
	RESET_MOVED = 16,  // the client's last reset was moved behind the header
	CLIENT_ENDED = 32, // FIN
	SERVER_ENDED = 64,
	RESET = 128,
	CLAIMED = 256, // somebody is writing the entry
};
#define ENDED (CLIENT_ENDED | SERVER_ENDED)

// Time is counted in units of 2^30 ns, about a second.
#define TICK 30
#define OPENING_TICKS 112   // 120 s: longer than a backend repeats its SYN-ACK
#define ENDED_TICKS 10	    // as connection tracking keeps TIME_WAIT here
#define SILENT_TICKS 402000 // 5 days: connection tracking forgets a connection then
#define BUCKETS 8192
#define SLOTS 16

struct connection {
	struct flow flow;
	__u32 first;   // sequence number of the client's first byte
	__u32 attempt; // the same of the client's last SYN, which may be that of another connection
	__u32 seen;    // when the last packet came
	__u32 state;
};

struct bucket {
	struct connection slots[SLOTS];
};

TABLE(connections, BPF_MAP_TYPE_ARRAY, __u32, struct bucket, BUCKETS, 0);

static __always_inline __u32 now(void)
{
	return (bpf_ktime_get_ns() >> TICK) + 1;
}

static __always_inline struct bucket *bucket_of(const struct flow *flow)
{
	__u64 hash = ((__u64)flow->client << 32 | flow->endpoint) * 0x9e3779b97f4a7c15ULL;

	hash = (hash ^ hash >> 29 ^ ((__u64)flow->client_port << 16 | flow->endpoint_port)) * 0xbf58476d1ce4e5b9ULL;
	__u32 index = hash >> 40 & (BUCKETS - 1);
	return bpf_map_lookup_elem(&connections, &index);
}

static __always_inline bool is_same(const struct flow *one, const struct flow *other)
{
	return one->client == other->client && one->endpoint == other->endpoint &&
	       one->client_port == other->client_port && one->endpoint_port == other->endpoint_port;
}

static __always_inline void note(struct connection *connection, __u32 bits)
{
	if ((connection->state & bits) != bits)
		__sync_fetch_and_or(&connection->state, bits);
}

static __always_inline void forget(struct connection *connection, __u32 bits)
{
	__sync_fetch_and_and(&connection->state, ~bits);
}

static __always_inline struct connection *find(const struct flow *flow)
{
	struct bucket *bucket = bucket_of(flow);
	__u32 time = now(), found = SLOTS;

	if (!bucket)
		return NULL;
	for (__u32 i = 0; i < SLOTS; i++) {
		struct connection *connection = &bucket->slots[i];

		if ((connection->state & (KNOWN | CLAIMED)) == KNOWN && is_same(&connection->flow, flow)) {
			found = i;
			break;
		}
	}
	if (found >= SLOTS)
		return NULL;
	// What follows is the same for every slot: without this the verifier goes through it once for each.
	asm volatile("%0 += %1\n%0 -= %1" : "+r"(found) : "r"(time));
	struct connection *connection = &bucket->slots[found & (SLOTS - 1)];
	if (connection->seen != time)
		connection->seen = time;
	return connection;
}

// Say whether an entry may be given to another connection; `needed`: all others in its bucket are taken.
static __always_inline bool is_free(__u32 state, __s32 age, bool needed)
{
	if (state & CLAIMED)
		return false;
	if (!(state & KNOWN))
		return true;
	if (state & RESET)
		return needed || age > ENDED_TICKS;
	if ((state & ENDED) == ENDED)
		return age > ENDED_TICKS;
	return age > (state & ACKNOWLEDGED ? SILENT_TICKS : OPENING_TICKS);
}

static __always_inline bool claim(struct connection *connection, __u32 state, const struct flow *flow, __u32 first)
{
	if (__sync_val_compare_and_swap(&connection->state, state, CLAIMED) != state)
		return false; // another CPU was quicker
	connection->flow = *flow;
	connection->first = first;
	connection->attempt = first;
	connection->seen = now();
	__sync_lock_test_and_set(&connection->state, KNOWN);
	return true;
}

// Know a connection from now on. False: there is no room.
static __always_inline bool open(const struct flow *flow, __u32 first)
{
	struct bucket *bucket = bucket_of(flow);
	struct connection *known = find(flow);
	__u32 time = now();

	// The same SYN-ACK once more, or a new connection between the same ports.
	if (known)
		return known->first == first || claim(known, known->state, flow, first);
	if (!bucket)
		return false;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < SLOTS; i++) {
			struct connection *connection = &bucket->slots[i];
			__u32 state = connection->state;

			if (is_free(state, time - connection->seen, round > 0) && claim(connection, state, flow, first))
				return true;
		}
	}
	return false;
}
