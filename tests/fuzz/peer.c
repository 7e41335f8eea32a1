/* peer.c -- what another coordinator writes to libraft: whatever raft/wire.c lets through, libraft's own decoders read
 * without a step outside of it, and expect as many bytes as were counted.
 *
 * libraft is not instrumented: a message's header is laid out up to the end of a page behind which nothing is mapped, so
 * that a step outside ends the process. */
#include <raft.h>
#include <string.h>
#include <sys/mman.h>
#include <uv.h>

#include "base/mem.h"
#include "fuzz.h"
#include "raft/wire.h"

enum { ROOM = 8192, PAGE = 4096 };

/* Of libraft.a, hidden in the shared object. */
int uvDecodeMessage(uint8_t type, uint8_t version, const uv_buf_t *header, struct raft_message *message, size_t *payload);
void uvDecodeEntriesBatch(uint8_t *batch, size_t offset, struct raft_entry *entries, unsigned n);
int configurationDecode(const struct raft_buffer *buf, struct raft_configuration *c);
void configurationClose(struct raft_configuration *c);

/* A copy that ends where the mapped memory does. */
static uint8_t *at_the_edge(const uint8_t *p, size_t n)
{
	static uint8_t *map;
	if (map == NULL) {
		map = mmap(NULL, ROOM + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		FUZZ_CHECK(map != MAP_FAILED && mprotect(map + ROOM, PAGE, PROT_NONE) == 0);
	}
	FUZZ_CHECK(n <= ROOM);
	memcpy(map + ROOM - n, p, n);
	return map + ROOM - n;
}

static uint64_t le(const uint8_t *p)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < 8; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

/* What libraft does with entries that came whole. */
static void entries(struct raft_append_entries *a, const uint8_t *p, size_t n)
{
	struct raft_configuration conf = { 0 };
	uint8_t *payload = at_the_edge(p, n);
	uvDecodeEntriesBatch(payload, 0, a->entries, a->n_entries);
	for (unsigned i = 0; i < a->n_entries; i++) {
		const struct raft_buffer *b = &a->entries[i].buf;
		FUZZ_CHECK((uint8_t *)b->base >= payload && (uint8_t *)b->base + b->len <= payload + n);
		if (a->entries[i].type != RAFT_CHANGE)
			continue;
		struct raft_buffer alone = { at_the_edge(b->base, b->len), b->len };
		FUZZ_CHECK(configurationDecode(&alone, &conf) == 0);
		configurationClose(&conf);
		payload = at_the_edge(p, n);
	}
}

/* One whole header, and what is there of the payload; how many bytes the message has. */
static size_t message(const uint8_t *p, size_t n)
{
	struct raft_message m = { 0 };
	size_t payload = 0, header = (size_t)le(p + 8);
	const uint8_t *behind = p + DR_WIRE_PREAMBLE + header;
	uv_buf_t b = { (char *)at_the_edge(p + DR_WIRE_PREAMBLE, header), header };
	int rv = uvDecodeMessage(p[0], p[2], &b, &m, &payload);
	size_t all = DR_WIRE_PREAMBLE + header + payload;
	FUZZ_CHECK(rv == 0); /* its ends after an error are worse than the errors */
	if (p[0] == RAFT_APPEND_ENTRIES) {
		FUZZ_CHECK((m.append_entries.n_entries > 0) == (payload > 0));
		if (all <= n && payload > 0)
			entries(&m.append_entries, behind, payload);
		raft_free(m.append_entries.entries);
	} else if (p[0] == RAFT_INSTALL_SNAPSHOT) {
		FUZZ_CHECK(payload > 0);
		configurationClose(&m.install_snapshot.conf);
	}
	return all;
}

static enum dr_err in_pieces(const uint8_t *p, size_t n, size_t piece)
{
	struct dr_wire w;
	struct dr_error e = { 0 };
	enum dr_err rv = DR_OK;
	dr_wire_init(&w);
	for (size_t at = 0; at < n && rv == DR_OK; at += piece)
		rv = dr_wire_take(&w, p + at, piece < n - at ? piece : n - at, &e);
	if (rv != DR_OK)
		fuzz_refused(rv, &e);
	dr_wire_close(&w);
	return rv;
}

void fuzz_peer(const uint8_t *p, size_t n)
{
	size_t piece = (size_t)fuzz_first(&p, &n) + 1;
	enum dr_err rv = in_pieces(p, n, n > 0 ? n : 1);
	FUZZ_CHECK(in_pieces(p, n, piece) == rv);
	while (rv == DR_OK && n >= DR_WIRE_PREAMBLE && n - DR_WIRE_PREAMBLE >= le(p + 8)) {
		size_t all = message(p, n);
		if (all >= n)
			break;
		p += all;
		n -= all;
	}
}
