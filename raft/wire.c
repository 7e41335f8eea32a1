/* wire.c -- see wire.h.  The layout is libraft's (0.22), as of docs/stack.md. */
#include "raft/wire.h"

#include <inttypes.h>
#include <raft.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"

enum {
	APPEND_FIXED = 32,   /* before the number of entries */
	ENTRY_HEAD = 16,     /* u64 term, u8 type, 3 unused, u32 length */
	INSTALL_FIXED = 32,  /* before the configuration's length */
	FIXED_MAX = 1024     /* of a header whose length does not depend on what is in it */
};

/* The least that a decoder reads, whatever the version: 0 for no such message. */
static size_t least_of(uint8_t type)
{
	switch (type) {
	case RAFT_APPEND_ENTRIES: return APPEND_FIXED + 8;
	case RAFT_APPEND_ENTRIES_RESULT: return 28;
	case RAFT_REQUEST_VOTE: return 40;
	case RAFT_REQUEST_VOTE_RESULT: return 22;
	case RAFT_INSTALL_SNAPSHOT: return INSTALL_FIXED + 16;
	case RAFT_TIMEOUT_NOW: return 24;
	default: return 0;
	}
}

static uint64_t le(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

/* u64 id, address with its NUL, u8 role; at *at, which goes on behind it. */
static bool is_server(const uint8_t *p, size_t n, size_t *at)
{
	if (n - *at < 8 || le(p + *at, 8) == 0)
		return false;
	const uint8_t *nul = memchr(p + *at + 8, '\0', n - *at - 8);
	if (nul == NULL || nul + 1 == p + n)
		return false;
	*at = (size_t)(nul - p) + 2;
	return nul[1] == RAFT_STANDBY || nul[1] == RAFT_VOTER || nul[1] == RAFT_SPARE;
}

/* u8 1, u64 servers, and these.  One that libraft's decoder refuses, for two servers with one id as well, is freed
 * twice there. */
static bool is_configuration(const uint8_t *p, size_t n)
{
	size_t at = 9, from[DR_COORDINATORS_MAX];
	uint64_t servers = n < at ? 0 : le(p + 1, 8);
	if (servers == 0 || servers > DR_COORDINATORS_MAX || p[0] != 1)
		return false;
	for (unsigned i = 0; i < servers; i++) {
		from[i] = at;
		if (!is_server(p, n, &at))
			return false;
		for (unsigned k = 0; k < i; k++) {
			if (le(p + from[k], 8) == le(p + from[i], 8) ||
			    strcmp((const char *)p + from[k] + 8, (const char *)p + from[i] + 8) == 0)
				return false;
		}
	}
	return true;
}

static const uint8_t *entry_head(const struct dr_wire *w)
{
	return w->header.data + APPEND_FIXED + 8 + w->at * ENTRY_HEAD;
}

/* libraft steps over an entry by its length rounded up to 8, but has reserved the length; makes nothing of entries
 * that are all empty; and counts on with entries that it has freed after one of an unknown type. */
static enum dr_err check_append(struct dr_wire *w, struct dr_error *e)
{
	uint64_t n = le(w->header.data + APPEND_FIXED, 8), all = 0;
	if (n > (w->header.len - APPEND_FIXED - 8) / ENTRY_HEAD)
		return dr_fail(e, DR_E_PROTOCOL, "a raft message tells of %" PRIu64 " entries, more than it describes", n);
	w->entries = n;
	for (w->at = 0; w->at < n; w->at++) {
		uint8_t type = entry_head(w)[8];
		uint64_t len = le(entry_head(w) + 12, 4);
		bool known = type == RAFT_COMMAND || type == RAFT_BARRIER || type == RAFT_CHANGE;
		all += len;
		if (!known || len == 0 || len % 8 != 0 || len > DR_WIRE_ENTRY_MAX || all > DR_WIRE_PAYLOAD_MAX ||
		    (type == RAFT_CHANGE && len > DR_WIRE_CONFIGURATION_MAX))
			return dr_fail(e, DR_E_PROTOCOL, "a raft message has an entry of type %u and %" PRIu64 " bytes", type, len);
	}
	w->at = 0;
	w->left = n > 0 ? le(entry_head(w) + 12, 4) : 0;
	return DR_OK;
}

static enum dr_err check_install(struct dr_wire *w, struct dr_error *e)
{
	const uint8_t *p = w->header.data + INSTALL_FIXED;
	uint64_t room = w->header.len - INSTALL_FIXED - 16, conf = le(p, 8);
	if (conf > room || !is_configuration(p + 8, (size_t)conf))
		return dr_fail(e, DR_E_PROTOCOL, "a raft snapshot's membership is garbled");
	w->left = le(p + 8 + conf, 8);
	if (w->left == 0 || w->left > DR_WIRE_PAYLOAD_MAX)
		return dr_fail(e, DR_E_PROTOCOL, "a raft snapshot of %" PRIu64 " bytes", w->left);
	return DR_OK;
}

static void next_message(struct dr_wire *w)
{
	dr_buf_close(&w->header);
	dr_buf_close(&w->change);
	dr_wire_init(w);
}

static enum dr_err check_preamble(struct dr_wire *w, struct dr_error *e)
{
	uint8_t type = w->preamble[0];
	uint64_t len = le(w->preamble + 8, 8);
	size_t least = least_of(type);
	bool open_ended = type == RAFT_APPEND_ENTRIES || type == RAFT_INSTALL_SNAPSHOT;
	if (least == 0 || len < least || len > (open_ended ? DR_WIRE_HEADER_MAX : FIXED_MAX))
		return dr_fail(e, DR_E_PROTOCOL, "a raft message of type %u with a header of %" PRIu64 " bytes", type, len);
	w->header_len = (size_t)len;
	dr_buf_init(&w->header, w->header_len);
	return DR_OK;
}

static enum dr_err check_header(struct dr_wire *w, struct dr_error *e)
{
	enum dr_err rv = DR_OK;
	if (w->preamble[0] == RAFT_APPEND_ENTRIES)
		rv = check_append(w, e);
	else if (w->preamble[0] == RAFT_INSTALL_SNAPSHOT)
		rv = check_install(w, e);
	if (rv == DR_OK && w->left == 0)
		next_message(w);
	return rv;
}

/* A membership is decoded as soon as its entry is stored. */
static enum dr_err end_entry(struct dr_wire *w, struct dr_error *e)
{
	bool garbled = entry_head(w)[8] == RAFT_CHANGE && !is_configuration(w->change.data, w->change.len);
	if (garbled)
		return dr_fail(e, DR_E_PROTOCOL, "a raft message has an entry whose membership is garbled");
	dr_buf_clear(&w->change);
	w->at++;
	if (w->at < w->entries)
		w->left = le(entry_head(w) + 12, 4);
	else
		next_message(w);
	return DR_OK;
}

static enum dr_err take_payload(struct dr_wire *w, const uint8_t *data, size_t n, struct dr_error *e)
{
	w->left -= n;
	if (w->entries == 0) {
		if (w->left == 0)
			next_message(w);
		return DR_OK;
	}
	if (entry_head(w)[8] == RAFT_CHANGE)
		dr_buf_put(&w->change, data, n);
	return w->left == 0 ? end_entry(w, e) : DR_OK;
}

/* What the present part still wants. */
static size_t wanted(const struct dr_wire *w)
{
	if (w->header_len == 0)
		return sizeof(w->preamble) - w->have;
	return w->left > 0 ? (size_t)w->left : w->header_len - w->header.len;
}

static enum dr_err take_part(struct dr_wire *w, const uint8_t *data, size_t n, struct dr_error *e)
{
	if (w->left > 0)
		return take_payload(w, data, n, e);
	if (w->header_len == 0) {
		memcpy(w->preamble + w->have, data, n);
		w->have += n;
		return w->have == sizeof(w->preamble) ? check_preamble(w, e) : DR_OK;
	}
	dr_buf_put(&w->header, data, n);
	dr_assert(dr_buf_ok(&w->header));
	return w->header.len == w->header_len ? check_header(w, e) : DR_OK;
}

enum dr_err dr_wire_take(struct dr_wire *w, const uint8_t *data, size_t len, struct dr_error *e)
{
	enum dr_err rv = DR_OK;
	while (len > 0 && rv == DR_OK) {
		size_t n = wanted(w) < len ? wanted(w) : len;
		dr_assert(n > 0);
		rv = take_part(w, data, n, e);
		data += n;
		len -= n;
	}
	return rv;
}

void dr_wire_init(struct dr_wire *w)
{
	memset(w, 0, sizeof(*w));
	dr_buf_init(&w->change, DR_WIRE_CONFIGURATION_MAX);
}

void dr_wire_close(struct dr_wire *w)
{
	dr_buf_close(&w->header);
	dr_buf_close(&w->change);
}
