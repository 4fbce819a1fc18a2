// Find options in a TCP header, and take them out by writing NOPs over them.
#include "packet.h"

enum { OPTION_END = 0, OPTION_NOP = 1, OPTION_TIMESTAMPS = 8 };

struct options {
	union {
		__u8 bytes[OPTIONS_ROOM + 8];
		__u64 words[OPTIONS_ROOM / 8 + 1];
	};
};

// Say which bytes of the options must become NOPs, and which zeros: one bit for each byte.
static __always_inline void judge(const __u8 *options, __u32 length, bool (*is_unwanted)(__u8 kind), __u64 *nops,
				  __u64 *zeros)
{
	__u32 at = 0;

	for (int option = 0; option < MOST_OPTIONS; option++) {
		// All ways through this loop look alike to the verifier, so it follows one of them.
		asm volatile("" : "+r"(at));
		at &= OPTIONS_ROOM - 1;
		if (at >= length)
			return;
		__u8 kind = options[at], size = options[at + 1];
		if (kind == OPTION_NOP) {
			at += 1;
			continue;
		}
		if (kind == OPTION_END) {
			*zeros = ~0ULL << at;
			return;
		}
		if (size < 2 || size > length - at) {
			*nops |= ~0ULL << at;
			return;
		}
		if (is_unwanted(kind))
			*nops |= ((1ULL << size) - 1) << at;
		at += size;
	}
}

// Return where an option stands, and its size, 0 if it is not there.
static __always_inline __u32 find_option(const struct options *options, __u32 length, __u8 wanted, __u32 *its_size)
{
	__u32 at = 0;

	*its_size = 0;
	for (int option = 0; option < MOST_OPTIONS; option++) {
		asm volatile("" : "+r"(at));
		at &= OPTIONS_ROOM - 1;
		if (at >= length)
			break;
		__u8 kind = options->bytes[at], size = options->bytes[at + 1];
		if (kind == OPTION_NOP) {
			at += 1;
			continue;
		}
		if (kind == OPTION_END || size < 2 || size > length - at)
			break;
		if (kind == wanted) {
			*its_size = size;
			return at;
		}
		at += size;
	}
	return 0;
}

// Return eight bytes, of value 1 for each bit that is set and 0 for the others, the first byte for the lowest bit.
static __always_inline __u64 bytes_of(__u64 bits)
{
	__u64 apart = (bits & 0xff) * 0x0101010101010101ULL & 0x8040201008040201ULL;

	return ((apart + 0x7f7f7f7f7f7f7f7fULL) & 0x8080808080808080ULL) >> 7;
}

// Wipe unwanted options; say whether there was anything. What follows the end of the options is zeroed, what follows a
// broken one becomes NOPs: some readers go on there.
static __always_inline bool wipe(struct options *options, __u32 length, bool (*is_unwanted)(__u8 kind))
{
	__u64 nops = 0, zeros = 0, difference = 0;

	judge(options->bytes, length, is_unwanted, &nops, &zeros);
	if (!(nops | zeros))
		return false;
	nops &= (1ULL << length) - 1;
	for (int i = 0; i < MOST_OPTIONS / 8; i++) {
		__u64 ones = bytes_of(nops >> 8 * i), none = bytes_of(zeros >> 8 * i);
		__u64 now = (options->words[i] & ~((ones | none) * 0xff)) | ones;

		difference |= options->words[i] ^ now;
		options->words[i] = now;
	}
	return difference;
}

// What nearly all packets have, and never anything unwanted.
static __always_inline bool are_timestamps(const __u8 *options, __u32 length)
{
	return length == 12 && options[0] == OPTION_NOP && options[1] == OPTION_NOP && options[2] == OPTION_TIMESTAMPS &&
	       options[3] == 10;
}

// Wipe unwanted options of a packet, whose options are `length` bytes, 0 to 40. Return whether there were any, negative
// if the packet cannot be read or written.
static __always_inline int clean(struct __sk_buff *skb, __u32 length, bool (*is_unwanted)(__u8 kind))
{
	__u8 before[MOST_OPTIONS] = {};
	struct options options = {};

	if (length == 0 || length > MOST_OPTIONS)
		return 0;
	if (bpf_skb_load_bytes(skb, OPTIONS, options.bytes, length))
		return -1;
	if (are_timestamps(options.bytes, length))
		return 0;
	__builtin_memcpy(before, options.bytes, sizeof(before));
	if (!wipe(&options, length, is_unwanted))
		return 0;
	if (bpf_skb_store_bytes(skb, OPTIONS, options.bytes, length, 0))
		return -1;
	sum(skb, before, sizeof(before), options.bytes, MOST_OPTIONS);
	return 1;
}
