/* event.c -- see event.h. */
#include "model/event.h"

#include <string.h>

enum { INFO, WARN };

struct event_row {
	const char *word;
	const char *text;
	int level;
};
static const struct event_row events[DR_EVENT_KIND_MAX] = {
#define EVENT(id, name, word, level, text) [id] = { word, text, level },
#include "model/events.def"
#undef EVENT
};

struct reason_row {
	const char *word;
	const char *text;
	const char *override;
};
static const struct reason_row reasons[DR_REASON_KIND_MAX] = {
#define REASON(id, name, word, text, override) [id] = { word, text, override },
#include "model/reasons.def"
#undef REASON
};

static const struct event_row *event_of(enum dr_event_kind k)
{
	static const struct event_row none = { "none", "nothing", INFO };
	return (unsigned)k < DR_EVENT_KIND_MAX && events[k].word != NULL ? &events[k] : &none;
}

static const struct reason_row *reason_of(enum dr_reason r)
{
	static const struct reason_row none = { "none", "", "" };
	return (unsigned)r < DR_REASON_KIND_MAX && reasons[r].word != NULL ? &reasons[r] : &none;
}

const char *dr_event_name(enum dr_event_kind k)
{
	return event_of(k)->word;
}

const char *dr_event_text(enum dr_event_kind k)
{
	return event_of(k)->text;
}

bool dr_event_warns(enum dr_event_kind k)
{
	return event_of(k)->level == WARN;
}

const char *dr_reason_name(enum dr_reason r)
{
	return reason_of(r)->word;
}

const char *dr_reason_text(enum dr_reason r)
{
	return reason_of(r)->text;
}

const char *dr_reason_override(enum dr_reason r)
{
	return reason_of(r)->override;
}

/* Append the decimal digits of v; pure, so no printf. */
static size_t put_u64(char *dst, size_t cap, size_t at, uint64_t v)
{
	char digits[20];
	size_t n = 0;
	do {
		digits[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	while (n > 0 && at + 1 < cap)
		dst[at++] = digits[--n];
	return at;
}

void dr_reason_format(char *dst, size_t cap, const char *text, uint64_t a, uint64_t b)
{
	size_t at = 0;
	if (cap == 0)
		return;
	while (*text != '\0' && at + 1 < cap) {
		if (strncmp(text, "{a}", 3) == 0 || strncmp(text, "{b}", 3) == 0) {
			at = put_u64(dst, cap, at, text[1] == 'a' ? a : b);
			text += 3;
		} else {
			dst[at++] = *text++;
		}
	}
	dst[at] = '\0';
}

const char *dr_proof_name(enum dr_proof p)
{
	static const char *const names[] = { "none", "agent-confirmed", "lease-expired", "external",
					     "operator-asserted" };
	return (unsigned)p < sizeof(names) / sizeof(names[0]) ? names[p] : "none";
}
