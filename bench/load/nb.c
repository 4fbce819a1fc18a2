// nb loads a TCP path and says how it did. Build: gcc -O2 -pthread nb.c -o nb
//
//   nb serve PORT CONGESTION_CONTROL CPU
//       PORT answers each request with the same bytes, PORT+1 swallows a stream and confirms each full chunk with
//       one byte. A PROXY protocol header, version 1 or 2, in front is skipped. Ends with its standard input.
//   nb client CONGESTION_CONTROL CPU
//       Reads one order a line on standard input and answers each with one line of JSON:
//         rr IP PORT SECONDS               requests and answers on one connection
//         connect IP PORT SECONDS CLIENTS  connect, one request, one answer, close; several clients at once
//         stream IP PORT SECONDS STREAMS   bytes confirmed by the far end per second; PORT is the one that swallows
//         probe IP PORT SECONDS            tries to connect until it can; "errors" is 1 if it never could
//
// Both print "ready" first. CPU pins the process to one processor, -1 leaves it to the kernel. Times are in
// microseconds. Connections are ended with a reset, so that neither end keeps ports in TIME_WAIT for the next round.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	MESSAGE_BYTES = 64,
	CHUNK_BYTES = 1 << 16,
	BUFFER_BYTES = 1 << 18,
	LARGEST_CLIENTS = 64,
	MOST_SAMPLES = 4000000,
	SERVER_THREADS = 2,
	SERVER_EVENTS = 64,
	SMALLEST_HEADER = 16,
	PATIENCE_SECONDS = 5,
};

static const char *congestion_control;
static const unsigned char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static void die(const char *format, ...) {
	va_list arguments;
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, ": %s\n", strerror(errno));
	exit(1);
}

static double now(void) {
	struct timespec moment;
	clock_gettime(CLOCK_MONOTONIC, &moment);
	return moment.tv_sec + moment.tv_nsec / 1e9;
}

static void pin(int cpu) {
	if (cpu < 0) return;
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof set, &set)) die("cannot run on processor %d", cpu);
}

static void prepare_socket(int fd) {
	int one = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion_control, strlen(congestion_control)))
		die("congestion control %s", congestion_control);
}

static void reset(int fd) {
	struct linger at_once = {1, 0};
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(fd);
}

// --- the far end ---

struct connection {
	int fd;
	int swallows;
	int is_listener;
	int header_left;  // -1: nothing has come yet, else bytes of a PROXY header that still have to
	long swallowed;
};

static int open_listener(int port) {
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	prepare_socket(fd);  // accepted sockets inherit it
	if (bind(fd, (void *)&address, sizeof address) || listen(fd, 4096)) die("port %d", port);
	return fd;
}

static void watch(int epoll, struct connection *connection, unsigned events) {
	struct epoll_event event = {.events = events, .data.ptr = connection};
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event)) die("epoll");
}

static void accept_some(int epoll, const struct connection *listener) {
	for (int i = 0; i < 16; i++) {
		int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) return;
		struct connection *accepted = calloc(1, sizeof *accepted);
		*accepted = (struct connection){.fd = fd, .swallows = listener->swallows, .header_left = -1};
		watch(epoll, accepted, EPOLLIN);
	}
}

static int header_length(const unsigned char *bytes, long count) {
	if (count >= SMALLEST_HEADER && !memcmp(bytes, signature, sizeof signature))
		return SMALLEST_HEADER + (bytes[14] << 8 | bytes[15]);
	const unsigned char *end = count > 6 && !memcmp(bytes, "PROXY ", 6) ? memchr(bytes, '\n', count) : NULL;
	return end ? end + 1 - bytes : 0;
}

// Says how many of the bytes are of a PROXY header. It comes first, and enough of it at once to know its length.
static long header_bytes(struct connection *connection, const unsigned char *bytes, long count) {
	if (connection->header_left < 0) connection->header_left = header_length(bytes, count);
	long skipped = count < connection->header_left ? count : connection->header_left;
	connection->header_left -= skipped;
	return skipped;
}

static int serve_bytes(struct connection *connection, unsigned char *buffer) {
	long count = recv(connection->fd, buffer, BUFFER_BYTES, 0);
	if (count < 0 && errno == EAGAIN) return 1;
	if (count <= 0) return 0;
	long skipped = header_bytes(connection, buffer, count);
	count -= skipped;
	if (!count) return 1;
	if (!connection->swallows) return send(connection->fd, buffer + skipped, count, MSG_NOSIGNAL) == count;
	long before = connection->swallowed / CHUNK_BYTES;
	connection->swallowed += count;
	long confirmed = connection->swallowed / CHUNK_BYTES - before;
	memset(buffer, '+', confirmed);
	return !confirmed || send(connection->fd, buffer, confirmed, MSG_NOSIGNAL) == confirmed;
}

static void *serve(void *listeners) {
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	unsigned char *buffer = malloc(BUFFER_BYTES);
	struct epoll_event events[SERVER_EVENTS];
	for (int i = 0; i < 2; i++) watch(epoll, (struct connection *)listeners + i, EPOLLIN | EPOLLEXCLUSIVE);
	for (;;) {
		int count = epoll_wait(epoll, events, SERVER_EVENTS, -1);
		for (int i = 0; i < count; i++) {
			struct connection *connection = events[i].data.ptr;
			if (connection->is_listener) {
				accept_some(epoll, connection);
			} else if (!serve_bytes(connection, buffer)) {
				// With a reset: whoever closed first, a proxy perhaps, is spared the TIME_WAIT too.
				reset(connection->fd);
				free(connection);
			}
		}
	}
	return NULL;
}

static int run_server(int port) {
	static struct connection listeners[2];
	for (int i = 0; i < 2; i++)
		listeners[i] = (struct connection){.fd = open_listener(port + i), .swallows = i, .is_listener = 1};
	for (int i = 0; i < SERVER_THREADS; i++) {
		pthread_t thread;
		pthread_create(&thread, NULL, serve, listeners);
	}
	printf("ready\n");
	fflush(stdout);
	while (getchar() != EOF) {}
	return 0;
}

// --- the near end ---

static struct sockaddr_in destination;
static double began_at, deadline;

struct work {
	pthread_t thread;
	long count, errors;
	double bytes, first_at, last_at;
	float *samples;
};

static int connect_once(void) {
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
	prepare_socket(fd);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (!connect(fd, (void *)&destination, sizeof destination)) return fd;
	close(fd);
	return -1;
}

static int ask_once(int fd) {
	char message[MESSAGE_BYTES] = {0};
	return send(fd, message, sizeof message, MSG_NOSIGNAL) == sizeof message &&
	       recv(fd, message, sizeof message, MSG_WAITALL) == sizeof message;
}

static void *ask_again(void *argument) {
	struct work *work = argument;
	int fd = connect_once();
	if (fd < 0 || !ask_once(fd)) {
		work->errors++;
		if (fd >= 0) reset(fd);
		return NULL;
	}
	double began = now();
	while (began < deadline && work->count < MOST_SAMPLES) {
		if (!ask_once(fd)) {
			work->errors++;
			break;
		}
		double ended = now();
		work->samples[work->count++] = (ended - began) * 1e6;
		began = ended;
	}
	reset(fd);
	return NULL;
}

static void *connect_again(void *argument) {
	struct work *work = argument;
	for (double began; (began = now()) < deadline && work->count < MOST_SAMPLES;) {
		int fd = connect_once();
		if (fd >= 0 && ask_once(fd))
			work->samples[work->count++] = (now() - began) * 1e6;
		else
			work->errors++;
		if (fd >= 0) reset(fd);
	}
	return NULL;
}

struct sending {
	int fd;
	_Atomic int is_over;
};

static void *send_on(void *argument) {
	struct sending *sending = argument;
	char *bytes = calloc(1, BUFFER_BYTES);
	while (!sending->is_over && send(sending->fd, bytes, BUFFER_BYTES, MSG_NOSIGNAL) > 0) {}
	free(bytes);
	return NULL;
}

// What was confirmed counts, from the first confirmation on: not what waits in buffers, and not how it began.
static void *stream(void *argument) {
	struct work *work = argument;
	struct sending sending = {.fd = connect_once()};
	if (sending.fd < 0) {
		work->errors++;
		return NULL;
	}
	pthread_t sender;
	pthread_create(&sender, NULL, send_on, &sending);
	char confirmations[256];
	while (now() < deadline) {
		long count = recv(sending.fd, confirmations, sizeof confirmations, 0);
		if (count <= 0) {
			work->errors++;
			break;
		}
		work->last_at = now();
		if (work->first_at)
			work->bytes += (double)count * CHUNK_BYTES;
		else
			work->first_at = work->last_at;
	}
	sending.is_over = 1;
	shutdown(sending.fd, SHUT_RDWR);
	pthread_join(sender, NULL);
	reset(sending.fd);
	return NULL;
}

static int compare(const void *one, const void *other) {
	float difference = *(const float *)one - *(const float *)other;
	return difference < 0 ? -1 : difference > 0;
}

static void print_samples(struct work *works, int count, double seconds) {
	long total = 0, errors = 0, filled = 0;
	for (int i = 0; i < count; i++) total += works[i].count, errors += works[i].errors;
	float *samples = malloc((total + 1) * sizeof *samples);
	for (int i = 0; i < count; i++) {
		memcpy(samples + filled, works[i].samples, works[i].count * sizeof *samples);
		filled += works[i].count;
	}
	qsort(samples, total, sizeof *samples, compare);
	samples[total] = 0;
	printf("{\"count\": %ld, \"errors\": %ld, \"per_second\": %.1f, \"p50\": %.2f, \"p99\": %.2f}\n", total, errors,
	       total / seconds, samples[total / 2], samples[(long)(total * 0.99)]);
	free(samples);
}

static void print_streams(const struct work *works, int count) {
	double rate = 0;
	long errors = 0;
	for (int i = 0; i < count; i++) {
		errors += works[i].errors;
		if (works[i].last_at > works[i].first_at) rate += works[i].bytes / (works[i].last_at - works[i].first_at);
	}
	printf("{\"errors\": %ld, \"gigabits_per_second\": %.4f}\n", errors, rate * 8 / 1e9);
}

static void run_workers(void *(*body)(void *), int count, double seconds) {
	struct work works[LARGEST_CLIENTS] = {0};
	if (count < 1 || count > LARGEST_CLIENTS) die("between 1 and %d clients", LARGEST_CLIENTS);
	for (int i = 0; i < count; i++)
		if (body != stream) works[i].samples = malloc(MOST_SAMPLES * sizeof(float));  // touched only as it fills
	began_at = now();
	deadline = began_at + seconds;
	for (int i = 0; i < count; i++) pthread_create(&works[i].thread, NULL, body, &works[i]);
	for (int i = 0; i < count; i++) pthread_join(works[i].thread, NULL);
	if (body == stream)
		print_streams(works, count);
	else
		print_samples(works, count, now() - began_at);
	for (int i = 0; i < count; i++) free(works[i].samples);
}

static void probe(double seconds) {
	struct timespec pause = {.tv_nsec = 5000000};
	double until = now() + seconds;
	int fd;
	while ((fd = connect_once()) < 0 && now() < until) nanosleep(&pause, NULL);
	printf("{\"errors\": %d}\n", fd < 0);
	if (fd >= 0) reset(fd);
}

static int run_client(void) {
	char line[256], order[16], address[64];
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		int port, clients = 1;
		double seconds;
		if (sscanf(line, "%15s %63s %d %lf %d", order, address, &port, &seconds, &clients) < 4) die("order %s", line);
		destination = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
		if (inet_pton(AF_INET, address, &destination.sin_addr) != 1) die("address %s", address);
		if (!strcmp(order, "rr"))
			run_workers(ask_again, clients, seconds);
		else if (!strcmp(order, "connect"))
			run_workers(connect_again, clients, seconds);
		else if (!strcmp(order, "stream"))
			run_workers(stream, clients, seconds);
		else if (!strcmp(order, "probe"))
			probe(seconds);
		else
			die("order %s", order);
		fflush(stdout);
	}
	return 0;
}

int main(int argument_count, char **arguments) {
	int is_server = argument_count == 5 && !strcmp(arguments[1], "serve");
	int is_client = argument_count == 4 && !strcmp(arguments[1], "client");
	if (!is_server && !is_client) {
		fprintf(stderr, "nb serve PORT CONGESTION_CONTROL CPU | nb client CONGESTION_CONTROL CPU\n");
		return 2;
	}
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGPIPE, SIG_IGN);
	congestion_control = arguments[argument_count - 2];
	pin(atoi(arguments[argument_count - 1]));
	return is_server ? run_server(atoi(arguments[2])) : run_client();
}
