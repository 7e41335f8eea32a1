/* probe_kind.c -- see probe_kind.h. */
#include "coord/shell/probe_kind.h"

#include <string.h>

enum {
	HUNG_ENOUGH = 2, /* so many in a row name what follows */
	APART_MAX_MS = 1000,
	PROBES_A_STALL = 5,
	OVER_MS = 100 /* a deadline is noticed so late without that the process stood still */
};

static bool is_hang(enum dr_failure kind)
{
	return kind == DR_FAILURE_SERVER_HUNG || kind == DR_FAILURE_STORAGE_HUNG;
}

enum dr_failure dr_probe_kind(const struct dr_evidence *seen, const struct dr_error *e)
{
	if (seen->wrote)
		return seen->in_spite ? DR_FAILURE_READ_ONLY_DEFAULT : DR_FAILURE_NONE;
	if (seen->too_few)
		return DR_FAILURE_TOO_FEW_STANDBYS;
	switch (e != NULL ? e->code : DR_E_FAILED) {
	case DR_E_CANCELLED:
	case DR_E_UNKNOWN: return DR_FAILURE_NONE;
	case DR_E_FULL: return DR_FAILURE_CONNECTIONS;
	case DR_E_NO_SPACE: return DR_FAILURE_DISK_FULL;
	case DR_E_IO: return DR_FAILURE_STORAGE_FAILING;
	case DR_E_REFUSED: return DR_FAILURE_READ_ONLY;
	case DR_E_AUTH:
	case DR_E_CERT:
	case DR_E_DENIED:
	case DR_E_NOT_FOUND: return DR_FAILURE_PROBES_REFUSED;
	case DR_E_TIMEOUT: return seen->reached ? DR_FAILURE_STORAGE_HUNG : DR_FAILURE_SERVER_HUNG;
	case DR_E_UNREACHABLE:
	case DR_E_CLOSED:
	case DR_E_BUSY: return DR_FAILURE_NOT_ACCEPTING;
	default: return seen->in_recovery ? DR_FAILURE_READ_ONLY : DR_FAILURE_WRITES_FAIL;
	}
}

uint64_t dr_probe_counts_from(uint64_t began_ms, uint64_t ended_ms, uint32_t deadline_ms)
{
	uint64_t most_ms = (uint64_t)deadline_ms + OVER_MS;
	return ended_ms > began_ms + most_ms ? ended_ms - most_ms : began_ms;
}

/* Whoever waits for a server that hangs keeps a connection, until all are taken: that is no kind of its own, about which
 * a person would have to be asked.  And behind writes that did not end nobody may be let in any more, since one who waits
 * for the disk holds a lock: twice, since one write may have been under way when the server itself stopped. */
static enum dr_failure counts_as(const struct dr_probe_streak *s, enum dr_failure kind)
{
	if (kind == DR_FAILURE_SERVER_HUNG && s->writes_hung >= HUNG_ENOUGH && is_hang(s->kind))
		return s->kind;
	bool behind = kind == DR_FAILURE_CONNECTIONS && s->hung >= HUNG_ENOUGH && is_hang(s->kind);
	return behind ? s->kind : kind;
}

bool dr_probe_streak_note(struct dr_probe_streak *s, enum dr_failure kind, uint64_t began_ms, uint64_t ended_ms)
{
	if (kind == DR_FAILURE_NONE) {
		memset(s, 0, sizeof(*s));
		return false;
	}
	bool begins = s->kind == DR_FAILURE_NONE;
	s->newest_ms = ended_ms;
	s->newest_began_ms = began_ms != 0 ? began_ms : ended_ms;
	s->hung += is_hang(kind) ? 1u : 0u;
	s->writes_hung += kind == DR_FAILURE_STORAGE_HUNG ? 1u : 0u;
	s->kind = counts_as(s, kind);
	enum dr_failure_policy policy = dr_failure_policy(s->kind);
	for (unsigned i = 0; i <= DR_FAILURE_MOVE; i++) {
		if (i > policy) {
			s->run[i].kind = DR_FAILURE_NONE;
			s->run[i].since_ms = 0;
			continue;
		}
		if (s->run[i].since_ms == 0)
			s->run[i].since_ms = began_ms != 0 ? began_ms : ended_ms;
		if (i == policy)
			s->run[i].kind = s->kind;
	}
	return begins;
}

static uint64_t lasted_ms(const struct dr_probe_streak *s, unsigned policy)
{
	uint64_t since_ms = s->run[policy].since_ms;
	return since_ms != 0 && s->newest_ms > since_ms ? s->newest_ms - since_ms : 0;
}

enum dr_failure dr_probe_streak_says(const struct dr_probe_streak *s, uint64_t stall_ms, uint64_t *ms)
{
	for (unsigned i = DR_FAILURE_MOVE + 1; i-- > 0;) {
		*ms = lasted_ms(s, i);
		if (s->run[i].kind != DR_FAILURE_NONE && *ms >= stall_ms)
			return s->run[i].kind;
	}
	*ms = lasted_ms(s, DR_FAILURE_TELL);
	return s->kind;
}

static uint64_t later(uint64_t at, uint64_t by, uint64_t now)
{
	if (at == 0)
		return 0;
	return at + by < now ? at + by : now;
}

void dr_probe_streak_later(struct dr_probe_streak *s, uint64_t stalled_ms, uint64_t now_ms)
{
	s->newest_ms = later(s->newest_ms, stalled_ms, now_ms);
	s->newest_began_ms = later(s->newest_began_ms, stalled_ms, now_ms);
	for (unsigned i = 0; i <= DR_FAILURE_MOVE; i++)
		s->run[i].since_ms = later(s->run[i].since_ms, stalled_ms, now_ms);
}

static uint64_t apart_ms(uint64_t stall_ms)
{
	uint64_t ms = stall_ms / PROBES_A_STALL;
	return stall_ms == 0 || ms > APART_MAX_MS ? APART_MAX_MS : ms;
}

bool dr_probe_streak_may(const struct dr_probe_streak *s, uint64_t stall_ms, uint64_t now_ms)
{
	return !is_hang(s->kind) || now_ms >= s->newest_began_ms + apart_ms(stall_ms);
}

uint32_t dr_probe_streak_deadline_ms(const struct dr_probe_streak *s, uint64_t stall_ms, uint32_t deadline_ms)
{
	uint32_t apart = (uint32_t)apart_ms(stall_ms);
	return is_hang(s->kind) && apart > deadline_ms ? apart : deadline_ms;
}
