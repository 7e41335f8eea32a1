/* wire.c -- what the coordinators say below the messages: frames, raft's greeting, entries, ledger. */
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "coord/shell/ledger.h"
#include "fuzz.h"
#include "net/frame.h"
#include "raft/entry.h"
#include "raft/hello.h"
#include "raft/internal.h"

/* ---- frames ---- */

/* What a stream came to: the frames as their own encoder writes them, and how it ended. */
struct stream {
	struct dr_buf frames;
	enum dr_err end;
	bool inside;
};

/* Read it in pieces of at most `piece` bytes. */
static void read_stream(struct stream *s, const uint8_t *p, size_t n, size_t piece)
{
	struct dr_frame_reader r;
	struct dr_error e = { 0 };
	dr_frame_reader_init(&r);
	dr_buf_init(&s->frames, 1 << 20);
	s->end = DR_OK;
	while (n > 0 && s->end == DR_OK) {
		size_t part = n < piece ? n : piece;
		const uint8_t *at = p;
		size_t left = part;
		for (bool have = true; have && s->end == DR_OK;) {
			struct dr_frame f = { 0 };
			uint8_t head[DR_FRAME_HEADER];
			s->end = dr_frame_next(&r, &at, &left, &f, &have, &e);
			if (s->end != DR_OK || !have)
				break;
			dr_frame_header(head, f.type, f.payload, f.len);
			dr_buf_put(&s->frames, head, sizeof(head));
			dr_buf_put(&s->frames, f.payload, f.len);
		}
		FUZZ_CHECK(s->end != DR_OK || left == 0);
		p += part;
		n -= part;
	}
	if (s->end != DR_OK)
		fuzz_refused(s->end, &e);
	s->inside = dr_frame_reader_inside(&r);
	FUZZ_CHECK(dr_buf_ok(&s->frames));
	dr_frame_reader_close(&r);
}

/* With an odd first byte the lengths that fit get their checksums, without which hardly a frame is whole. */
static uint8_t *mend_frames(const uint8_t *p, size_t n, bool mend)
{
	uint8_t *all = dr_xcalloc(n);
	if (n > 0)
		memcpy(all, p, n);
	for (size_t at = 0; mend && at + DR_FRAME_HEADER <= n;) {
		struct dr_view v = dr_view_of(all + at + 6, 6);
		uint16_t type = dr_view_u16be(&v);
		uint32_t len = dr_view_u32be(&v);
		if (len > n - at - DR_FRAME_HEADER)
			break;
		dr_frame_header(all + at, type, all + at + DR_FRAME_HEADER, len);
		at += DR_FRAME_HEADER + len;
	}
	return all;
}

void fuzz_frames(const uint8_t *p, size_t n)
{
	struct stream whole, pieces;
	uint8_t how = fuzz_first(&p, &n);
	uint8_t *all = mend_frames(p, n, how % 2 == 1);
	read_stream(&whole, all, n, n);
	read_stream(&pieces, all, n, (size_t)how / 2 + 1);
	FUZZ_CHECK(whole.end == pieces.end);
	FUZZ_CHECK(whole.frames.len == pieces.frames.len);
	FUZZ_CHECK(whole.frames.len == 0 ||
		   memcmp(whole.frames.data, pieces.frames.data, whole.frames.len) == 0);
	FUZZ_CHECK(whole.frames.len <= n &&
		   (whole.frames.len == 0 || memcmp(whole.frames.data, all, whole.frames.len) == 0));
	FUZZ_CHECK(whole.end != DR_OK ||
		   (whole.inside == (whole.frames.len < n) && pieces.inside == whole.inside));
	dr_buf_close(&whole.frames);
	dr_buf_close(&pieces.frames);
	dr_free(all);
}

/* ---- raft ---- */

static enum dr_err get_hello(void *v, const uint8_t *p, size_t n, struct dr_error *e)
{
	return dr_raft_hello_decode(p, n, v, e);
}

static void put_hello(struct dr_buf *out, const void *v)
{
	dr_raft_hello_encode(v, out);
}

static bool same_hello(const void *a, const void *b)
{
	const struct dr_raft_hello *x = a, *y = b;
	return x->from == y->from && x->to == y->to && dr_name_eq(&x->name, &y->name) &&
	       strcmp(x->address.host, y->address.host) == 0 && x->address.port == y->address.port;
}

static void hello(const uint8_t *p, size_t n)
{
	static const struct fuzz_codec codec = { .size = sizeof(struct dr_raft_hello),
						 .decode = get_hello,
						 .encode = put_hello,
						 .same = same_hello };
	fuzz_round_trip(&codec, p, n);
}

static void address(const uint8_t *p, size_t n)
{
	struct dr_name name, again_name;
	struct dr_address at, again_at;
	char text[DR_RAFT_ADDRESS_MAX];
	struct dr_error e = { 0 };
	char *s = fuzz_text(p, n);
	enum dr_err rv = dr_raft_address_parse(s, &name, &at, &e);
	if (rv == DR_OK) {
		dr_raft_address_format(&name, &at, text);
		FUZZ_CHECK(dr_raft_address_parse(text, &again_name, &again_at, &e) == DR_OK);
		FUZZ_CHECK(dr_name_eq(&name, &again_name) && at.port == again_at.port &&
			   strcmp(at.host, again_at.host) == 0);
	} else {
		fuzz_refused(rv, &e);
	}
	dr_free(s);
}

enum { ENTRY_CMDS = 64 };

static void entry(const uint8_t *p, size_t n)
{
	struct dr_entry e;
	struct dr_entry_cmd one, all[ENTRY_CMDS];
	const uint8_t *cmd;
	size_t k = 0;
	if (!dr_entry_open(&e, p, n))
		return;
	while (dr_entry_next(&e, &cmd, &one.len)) {
		one.data = cmd;
		FUZZ_CHECK(cmd >= p + DR_ENTRY_HEADER && one.len <= (size_t)(p + n - cmd));
		(void)dr_entry_durable(cmd, one.len);
		if (k < ENTRY_CMDS)
			all[k] = one;
		k++;
	}
	if (k == 0 || k > ENTRY_CMDS || (k == 1 && p[3] != '1')) /* of several there are two at least */
		return;
	FUZZ_CHECK(dr_entry_size(all, k) == n);
	uint8_t *again = dr_xcalloc(n);
	dr_entry_wrap(again, e.term, all, k);
	size_t body = (size_t)p[4] << 24 | (size_t)p[5] << 16 | (size_t)p[6] << 8 | p[7];
	FUZZ_CHECK(memcmp(again, p, DR_ENTRY_HEADER + body) == 0); /* the zeros behind it nobody reads */
	dr_free(again);
}

static void member_file(const uint8_t *p, size_t n)
{
	struct dr_name name;
	struct dr_error e = { 0 };
	uint64_t id = 0;
	fuzz_write("id", p, n);
	enum dr_err rv = dr_raft_read_id(fuzz_path(""), &id, &name, &e);
	if (rv == DR_OK)
		FUZZ_CHECK(id != 0 && name.s[0] != '\0');
	else
		fuzz_refused(rv, &e);
}

void fuzz_raft(const uint8_t *p, size_t n)
{
	static fuzz_target *const parts[] = { hello, address, entry, member_file };
	parts[fuzz_first(&p, &n) % (sizeof(parts) / sizeof(parts[0]))](p, n);
}

/* ---- ledger ---- */

void fuzz_ledger(const uint8_t *p, size_t n)
{
	struct dr_ledger ours = { 0 };
	struct dr_ledger_told told;
	struct dr_error e = { 0 };
	enum dr_err rv = dr_ledger_decode(&told, p, n, &e);
	if (rv != DR_OK) {
		fuzz_refused(rv, &e);
		return;
	}
	struct dr_buf b;
	dr_buf_init(&b, DR_LEDGER_MESSAGE_MAX);
	dr_buf_put_u8(&b, (uint8_t)told.marks);
	for (uint32_t i = 0; i < told.marks; i++) {
		dr_buf_put_u64be(&b, told.mark[i].index);
		dr_buf_put(&b, told.mark[i].head, DR_LEDGER_HEAD);
	}
	FUZZ_CHECK(dr_buf_ok(&b) && b.len == n && memcmp(b.data, p, n) == 0);
	dr_buf_close(&b);
	/* Against one who had the same history, and one who had another from the newest event on. */
	for (uint32_t i = told.marks; i > 0; i--)
		dr_ledger_note(&ours, told.mark[i - 1].index, told.mark[i - 1].head);
	FUZZ_CHECK(dr_ledger_compare(&ours, &told).verdict == DR_LEDGER_SAME);
	told.mark[0].head[0] ^= 1;
	FUZZ_CHECK(dr_ledger_compare(&ours, &told).verdict == DR_LEDGER_DIFFERS);
}
