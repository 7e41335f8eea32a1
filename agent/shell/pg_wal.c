/* pg_wal.c -- see pg_wal.h. */
#include "agent/shell/pg_wal.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"

/* Hexadecimal digits, at most max of them; how many there were. */
static size_t read_hex(const char *s, size_t max, uint64_t *out)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t n = 0;
	*out = 0;
	while (n < max && s[n] != '\0') {
		char c = s[n] >= 'a' && s[n] <= 'f' ? (char)(s[n] - 'a' + 'A') : s[n];
		const char *at = strchr(digits, c);
		if (at == NULL)
			break;
		*out = *out * 16 + (uint64_t)(at - digits);
		n++;
	}
	return n;
}

bool pg_lsn_parse(const char *s, uint64_t *out)
{
	uint64_t high = 0, low = 0;
	size_t n = read_hex(s, 8, &high);
	*out = 0;
	if (n == 0 || s[n] != '/' || read_hex(s + n + 1, 8, &low) == 0)
		return false;
	*out = high << 32 | low;
	return true;
}

const char *pg_lsn_text(uint64_t lsn, char buf[PG_LSN_TEXT])
{
	(void)snprintf(buf, PG_LSN_TEXT, "%X/%X", (unsigned)(lsn >> 32), (unsigned)(lsn & 0xffffffffu));
	return buf;
}

/* "3\t0/5000060\treason": one earlier timeline and where it was left. */
static bool read_line(const char *line, uint32_t *timeline, uint64_t *end)
{
	char number[16];
	uint64_t tli = 0;
	size_t at = strspn(line, " \t");
	size_t n = strspn(line + at, "0123456789");
	if (n == 0 || n >= sizeof(number))
		return false;
	memcpy(number, line + at, n);
	number[n] = '\0';
	at += n;
	at += strspn(line + at, " \t");
	*timeline = 0;
	if (dr_parse_u64(number, 1, UINT32_MAX, &tli) != DR_OK || !pg_lsn_parse(line + at, end))
		return false;
	*timeline = (uint32_t)tli;
	return true;
}

enum dr_err pg_history_parse(const char *text, uint32_t timeline, struct pg_history *out, struct dr_error *e)
{
	memset(out, 0, sizeof(*out));
	for (const char *line = text; line != NULL && *line != '\0';) {
		const char *nl = strchr(line, '\n');
		size_t blank = strspn(line, " \t\r");
		if (line[blank] != '\n' && line[blank] != '#' && line[blank] != '\0') {
			uint32_t tli = 0;
			uint64_t end = 0;
			bool ok = read_line(line, &tli, &end);
			bool rising = out->n == 0 || tli > out->at[out->n - 1].timeline;
			if (!ok || !rising || tli >= timeline)
				return dr_fail(e, DR_E_PROTOCOL, "the history of timeline %u cannot be read",
					       timeline);
			if (out->n + 1 >= PG_HISTORY_MAX)
				return dr_fail(e, DR_E_FULL, "the history of timeline %u is too long",
					       timeline);
			out->at[out->n].timeline = tli;
			out->at[out->n].end = end;
			out->n++;
		}
		line = nl != NULL ? nl + 1 : NULL;
	}
	out->at[out->n].timeline = timeline;
	out->at[out->n].end = UINT64_MAX;
	out->n++;
	return DR_OK;
}

bool pg_history_fork(const struct pg_history *a, const struct pg_history *b, uint32_t *timeline,
		     uint64_t *lsn)
{
	size_t n = a->n < b->n ? a->n : b->n;
	bool found = false;
	for (size_t i = 0; i < n && a->at[i].timeline == b->at[i].timeline; i++) {
		*timeline = a->at[i].timeline;
		*lsn = a->at[i].end < b->at[i].end ? a->at[i].end : b->at[i].end;
		found = true;
		/* Left at different points: what follows is not shared, even under the same number. */
		if (a->at[i].end != b->at[i].end)
			break;
	}
	return found;
}

bool pg_segment_parse(const char *name, uint32_t segment_bytes, uint32_t *timeline, uint64_t *number)
{
	uint64_t tli = 0, high = 0, low = 0;
	if (segment_bytes == 0 || read_hex(name, 8, &tli) != 8 || read_hex(name + 8, 8, &high) != 8 ||
	    read_hex(name + 16, 8, &low) != 8)
		return false;
	if (name[PG_SEGMENT_NAME] != '\0' && strcmp(name + PG_SEGMENT_NAME, ".partial") != 0)
		return false;
	*timeline = (uint32_t)tli;
	*number = high * (0x100000000u / segment_bytes) + low;
	return true;
}
