/* gtid.c -- see gtid.h. */
#include "adapters/mysql/gtid.h"

#include <ctype.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A decimal number at *at, which moves behind it. */
static bool number(const char **at, uint64_t *out)
{
	const char *p = *at;
	uint64_t n = 0;

	if (!isdigit((unsigned char)*p))
		return false;
	for (; isdigit((unsigned char)*p); p++) {
		if (n > (UINT64_MAX - 9) / 10)
			return false;
		n = n * 10 + (uint64_t)(*p - '0');
	}
	*at = p;
	*out = n;
	return true;
}

static void spaces(const char **at)
{
	while (**at == ' ' || **at == '\n' || **at == '\r')
		(*at)++;
}

/* ---- MariaDB ---- */

static bool one_gtid(const char **at, struct my_gtid *g)
{
	uint64_t part[3];

	spaces(at);
	for (int i = 0; i < 3; i++) {
		if (!number(at, &part[i]) || (i < 2 && *(*at)++ != '-'))
			return false;
	}
	if (part[0] > UINT32_MAX || part[1] > UINT32_MAX)
		return false;
	*g = (struct my_gtid){ .domain = (uint32_t)part[0], .server = (uint32_t)part[1], .sequence = part[2] };
	spaces(at);
	return **at == ',' || **at == '\0';
}

bool my_gtid_next(const char **list, struct my_gtid *out)
{
	if (!one_gtid(list, out))
		return false;
	*list += **list == ',' ? 1 : 0;
	return true;
}

bool my_gtid_newest(const char *list, uint32_t domain, bool any, uint32_t server, struct my_gtid *out)
{
	struct my_gtid g;
	bool found = false;

	*out = (struct my_gtid){ .domain = domain };
	while (one_gtid(&list, &g)) {
		if (g.domain == domain && (any || g.server == server) && (!found || g.sequence > out->sequence)) {
			*out = g;
			found = true;
		}
		if (*list++ == '\0')
			break;
	}
	return found;
}

/* The newest of a domain must be known by its server too: what stands before it there was taken over with it, since strict
 * ids of a domain grow. */
static bool source_has(const struct my_gtid *g, bool newest, const char *state, const char *at)
{
	struct my_gtid theirs;

	if (my_gtid_newest(state, g->domain, false, g->server, &theirs) && theirs.sequence >= g->sequence)
		return true;
	return my_gtid_newest(at, g->domain, !newest, g->server, &theirs) && theirs.sequence >= g->sequence;
}

bool my_gtid_has_all(const char *at, const char *own_at, uint32_t server, const char *of)
{
	struct my_gtid g, have;

	while (my_gtid_next(&of, &g)) {
		bool has = my_gtid_newest(at, g.domain, true, 0, &have) && have.sequence >= g.sequence;
		if (!has && g.server == server)
			has = my_gtid_newest(own_at, g.domain, false, server, &have) && have.sequence >= g.sequence;
		if (!has)
			return false;
	}
	return *of == '\0';
}

bool my_gtid_other(const char *list, uint32_t domain, struct my_gtid *out)
{
	while (my_gtid_next(&list, out)) {
		if (out->domain != domain)
			return true;
	}
	return false;
}

uint32_t my_gtid_errant(const char *mine, const char *state, const char *at, uint32_t server, char *dst, size_t cap)
{
	struct my_gtid g, last;
	const char *list = mine;
	uint32_t errant = 0;
	size_t n = 0;

	dst[0] = '\0';
	while (my_gtid_next(&list, &g)) {
		bool newest = my_gtid_newest(mine, g.domain, true, 0, &last) && last.sequence == g.sequence;
		if (g.server == server || source_has(&g, newest, state, at))
			continue;
		int len = snprintf(dst + n, cap - n, "%s%" PRIu32 "-%" PRIu32 "-%" PRIu64, n > 0 ? "," : "", g.domain, g.server,
				   g.sequence);
		if (len > 0 && (size_t)len < cap - n)
			n += (size_t)len;
		else
			dst[n] = '\0';
		errant++;
	}
	return errant;
}

/* ---- MySQL ---- */

struct interval {
	const char *uuid; /* its 36 characters */
	const char *tag;
	size_t tag_length; /* 0: none */
	uint64_t first, last;
};

static bool is_uuid(const char *p)
{
	for (int i = 0; i < MY_UUID_MAX - 1; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? p[i] != '-' : !isxdigit((unsigned char)p[i]))
			return false;
	}
	return true;
}

/* FIRST[-LAST] at *at. */
static bool range(const char **at, struct interval *v)
{
	if (!number(at, &v->first))
		return false;
	v->last = v->first;
	if (**at == '-') {
		(*at)++;
		if (!number(at, &v->last))
			return false;
	}
	return v->first > 0 && v->last >= v->first;
}

/* The next interval; v keeps its origin from call to call. */
static bool next_interval(const char **at, struct interval *v)
{
	for (;;) {
		spaces(at);
		if (**at == ',') {
			(*at)++;
			spaces(at);
			v->uuid = NULL;
		}
		if (v->uuid == NULL) {
			if (!is_uuid(*at))
				return false;
			v->uuid = *at;
			v->tag_length = 0;
			*at += MY_UUID_MAX - 1;
		}
		if (**at != ':')
			return false;
		(*at)++;
		if (isdigit((unsigned char)**at))
			return range(at, v);
		/* a tag; its intervals follow */
		v->tag = *at;
		if (!isalpha((unsigned char)**at) && **at != '_')
			return false;
		while (isalnum((unsigned char)**at) || **at == '_')
			(*at)++;
		v->tag_length = (size_t)(*at - v->tag);
		if (**at != ':')
			return false;
	}
}

static bool is_of(const struct interval *v, const char *uuid)
{
	return v->tag_length == 0 && strncasecmp(v->uuid, uuid, MY_UUID_MAX - 1) == 0;
}

uint64_t my_set_until(const char *set, const char *uuid)
{
	struct interval v = { .uuid = NULL };
	uint64_t until = 0;

	/* Intervals of one origin stand in their order and do not touch. */
	while (next_interval(&set, &v)) {
		if (is_of(&v, uuid) && v.first <= until + 1 && v.last > until)
			until = v.last;
	}
	return until;
}

uint64_t my_set_newest(const char *set, const char *uuid)
{
	struct interval v = { .uuid = NULL };
	uint64_t newest = 0;

	while (next_interval(&set, &v)) {
		if (is_of(&v, uuid) && v.last > newest)
			newest = v.last;
	}
	return newest;
}

bool my_set_has(const char *set, const char *uuid, uint64_t one)
{
	struct interval v = { .uuid = NULL };

	while (next_interval(&set, &v)) {
		if (is_of(&v, uuid) && v.first <= one && one <= v.last)
			return true;
	}
	return false;
}

uint64_t my_set_count(const char *set)
{
	struct interval v = { .uuid = NULL };
	uint64_t n = 0;

	while (next_interval(&set, &v))
		n += v.last - v.first + 1;
	return n;
}

static bool has_interval(const char *set, const struct interval *one)
{
	struct interval v = { .uuid = NULL };

	while (next_interval(&set, &v)) {
		bool same = strncasecmp(v.uuid, one->uuid, MY_UUID_MAX - 1) == 0 && v.tag_length == one->tag_length &&
			    (v.tag_length == 0 || strncasecmp(v.tag, one->tag, v.tag_length) == 0);
		if (same && v.first <= one->first && one->last <= v.last)
			return true;
	}
	return false;
}

bool my_set_has_all(const char *set, const char *of)
{
	struct interval v = { .uuid = NULL };

	while (next_interval(&of, &v)) {
		if (!has_interval(set, &v))
			return false;
	}
	return *of == '\0';
}

bool my_set_tagged(const char *set)
{
	struct interval v = { .uuid = NULL };

	while (next_interval(&set, &v)) {
		if (v.tag_length > 0)
			return true;
	}
	return false;
}
