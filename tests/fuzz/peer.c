/* peer.c -- what another coordinator says to libraft: what raft/message.c lets through says the same when it is encoded
 * again, and libraft's own decoder of a membership reads it without a step outside.
 *
 * libraft is not instrumented: a membership is laid out up to the end of a page behind which nothing is mapped, so
 * that a step outside ends the process. */
#include <raft.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "fuzz.h"
#include "raft/message.h"

enum { ROOM = 8192, PAGE = 4096 };

/* Of libraft.a, hidden in the shared object. */
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

/* What libraft does as soon as such an entry is stored. */
static void memberships(const struct raft_append_entries *a)
{
	for (unsigned i = 0; i < a->n_entries; i++) {
		const struct raft_buffer *b = &a->entries[i].buf;
		struct raft_configuration conf = { 0 };
		FUZZ_CHECK(b->len % 8 == 0 && b->len > 0 && a->entries[i].batch == a->entries[0].batch);
		if (a->entries[i].type != RAFT_CHANGE)
			continue;
		struct raft_buffer alone = { at_the_edge(b->base, b->len), b->len };
		FUZZ_CHECK(configurationDecode(&alone, &conf) == 0); /* its ends after an error are worse than the errors */
		configurationClose(&conf);
	}
}

void fuzz_peer(const uint8_t *p, size_t n)
{
	struct raft_message m;
	struct dr_error e = { 0 };
	struct dr_buf b;
	uint64_t to = 0, from;
	enum dr_err rv = dr_message_decode(&m, &to, p, n, &e);
	if (rv != DR_OK) {
		fuzz_refused(rv, &e);
		return;
	}
	if (m.type == RAFT_APPEND_ENTRIES)
		memberships(&m.append_entries);
	/* Sent back the other way: who it is from stands where the encoder wants whom it is to. */
	from = m.server_id;
	m.server_id = to;
	dr_buf_init(&b, DR_MESSAGE_MAX);
	FUZZ_CHECK(dr_message_encode(&b, from, &m));
	FUZZ_CHECK(b.len == n && memcmp(b.data, p, n) == 0);
	dr_buf_close(&b);
	dr_message_drop(&m);
}
