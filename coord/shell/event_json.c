/* event_json.c -- see event_json.h.
 *
 * Every coordinator writes one for each entry, so the bytes are put where they belong, without a tree of values. */
#include "coord/shell/event_json.h"

#include <string.h>

#include "base/error.h"
#include "model/plan.h"

static void put_chars(struct dr_buf *out, const char *s)
{
	dr_buf_put(out, s, strlen(s));
}

static void put_key(struct dr_buf *out, const char *key)
{
	if (out->len > 0 && out->data[out->len - 1] != '{')
		dr_buf_put_u8(out, ',');
	dr_buf_put_u8(out, '"');
	put_chars(out, key);
	dr_buf_put(out, "\":", 2);
}

/* Signed, as JSON readers have them. */
static void put_number(struct dr_buf *out, const char *key, uint64_t v)
{
	char digits[24], *at = digits + sizeof(digits);
	bool below = v > INT64_MAX;
	if (below)
		v = -v;
	do {
		*--at = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	if (below)
		*--at = '-';
	put_key(out, key);
	dr_buf_put(out, at, (size_t)(digits + sizeof(digits) - at));
}

/* How many bytes the character at s has; 0: it is none (RFC 3629). */
static unsigned char_bytes(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	unsigned n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
	for (unsigned i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	bool too_long = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
	bool none = (p[0] == 0xed && p[1] >= 0xa0) || (p[0] == 0xf4 && p[1] >= 0x90);
	return too_long || none ? 0 : n;
}

static bool is_text(const char *s)
{
	while (*s != '\0') {
		unsigned n = char_bytes(s);
		if (n == 0)
			return false;
		s += n;
	}
	return true;
}

static bool is_plain(char c)
{
	return (unsigned char)c >= 0x20 && c != '"' && c != '\\';
}

static void put_escaped(struct dr_buf *out, char c)
{
	static const char short_ones[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* each with what stands for it */
	for (size_t i = 0; short_ones[i] != '\0'; i += 2) {
		if (short_ones[i] == c) {
			dr_buf_put_u8(out, '\\');
			dr_buf_put_u8(out, (uint8_t)short_ones[i + 1]);
			return;
		}
	}
	dr_buf_printf(out, "\\u%04X", (unsigned)c);
}

static void put_text(struct dr_buf *out, const char *key, const char *s)
{
	put_key(out, key);
	dr_buf_put_u8(out, '"');
	for (s = is_text(s) ? s : "?"; *s != '\0'; s++) {
		size_t n = 0;
		while (is_plain(s[n]))
			n++;
		dr_buf_put(out, s, n);
		s += n;
		if (*s == '\0')
			break;
		put_escaped(out, *s);
	}
	dr_buf_put_u8(out, '"');
}

static void put_text_unless_empty(struct dr_buf *out, const char *key, const char *s)
{
	if (s[0] != '\0')
		put_text(out, key, s);
}

static void put_number_unless_0(struct dr_buf *out, const char *key, uint64_t v)
{
	if (v != 0)
		put_number(out, key, v);
}

static void put_formatted(struct dr_buf *out, const char *key, const char *text, uint64_t a, uint64_t b)
{
	char filled[DR_ERROR_MSG_MAX];
	dr_reason_format(filled, sizeof(filled), text, a, b);
	put_text(out, key, filled);
}

static void put_reason(struct dr_buf *out, const struct dr_event_record *e)
{
	if (e->reason == DR_REASON_NONE)
		return;
	put_text(out, "reason", dr_reason_name(e->reason));
	put_formatted(out, "why", dr_reason_text(e->reason), e->a, e->b);
	if (dr_reason_override(e->reason)[0] != '\0')
		put_formatted(out, "override", dr_reason_override(e->reason), e->a, e->b);
}

/* Raft ids use all 64 bits, so they are text. */
static void put_id(struct dr_buf *out, uint64_t id)
{
	put_key(out, "id");
	dr_buf_printf(out, "\"%llu\"", (unsigned long long)id);
}

static void put_what(struct dr_buf *out, const struct dr_event_record *e)
{
	if (e->plan_kind != 0)
		put_text(out, "plan_kind", dr_plan_name((enum dr_plan_kind)e->plan_kind));
	if (e->step != 0)
		put_text(out, "step", dr_step_name((enum dr_step)e->step));
	if (e->kind == DR_EVENT_COORDINATOR)
		put_id(out, e->number);
	else
		put_number_unless_0(out, "number", e->number);
	if (e->order != DR_ORDER_NONE)
		put_text(out, "order", dr_order_name(e->order));
	if (e->outcome != DR_OUTCOME_NONE)
		put_text(out, "outcome", dr_outcome_name(e->outcome));
	if (e->proof != DR_PROOF_NONE)
		put_text(out, "proof", dr_proof_name(e->proof));
	put_reason(out, e);
	if (e->kind == DR_EVENT_MODE)
		put_text(out, "mode", e->a != 0 ? "managed" : "observe");
}

void dr_event_json(struct dr_buf *out, const struct dr_event_record *e)
{
	dr_buf_put_u8(out, '{');
	put_number(out, "index", e->index);
	put_number(out, "wall_ms", e->wall_ms);
	put_text(out, "event", dr_event_name(e->kind));
	put_text_unless_empty(out, "service", e->service.s);
	put_text_unless_empty(out, "member", e->member.s);
	put_text_unless_empty(out, "site", e->site.s);
	put_number_unless_0(out, "epoch", e->epoch);
	put_number_unless_0(out, "plan", e->plan);
	put_what(out, e);
	put_number_unless_0(out, "a", e->a);
	put_number_unless_0(out, "b", e->b);
	put_text_unless_empty(out, "actor", e->actor.s);
	put_text_unless_empty(out, "text", e->text);
	put_number(out, "log_index", e->log_index);
	uint8_t *end = dr_buf_reserve(out, 2);
	if (end != NULL) {
		memcpy(end, "}", 2);
		dr_buf_grow(out, 1);
	}
}
