/* state.c -- see state.h. */
#include "adapters/haproxy/state.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

enum { COLUMNS_MAX = 48, FIELD_MAX = 128, ADMIN_FORCED_MAINT = 0x01, ADMIN_FORCED_DRAIN = 0x08 };

bool dr_haproxy_is_word(const char *s)
{
	size_t n = 0;
	for (; s[n] != '\0'; n++) {
		if (!isalnum((unsigned char)s[n]) && strchr("._-:", s[n]) == NULL)
			return false;
	}
	return n > 0;
}

struct line {
	const char *at;
	size_t len;
};

/* The next line of *text; false: there is none. */
static bool next_line(const char **text, struct line *l)
{
	if (**text == '\0')
		return false;
	l->at = *text;
	l->len = strcspn(*text, "\n");
	*text += l->len + ((*text)[l->len] == '\n' ? 1 : 0);
	return true;
}

/* Word n of a line into out; false: it has not so many. */
static bool word_of(const struct line *l, unsigned n, char out[FIELD_MAX])
{
	size_t i = 0;
	for (unsigned k = 0;; k++) {
		while (i < l->len && l->at[i] == ' ')
			i++;
		size_t from = i;
		while (i < l->len && l->at[i] != ' ')
			i++;
		if (i == from)
			return false;
		if (k < n)
			continue;
		size_t len = i - from < FIELD_MAX - 1 ? i - from : FIELD_MAX - 1;
		memcpy(out, l->at + from, len);
		out[len] = '\0';
		return true;
	}
}

/* Which column has this title; the head line begins with "#". */
static bool column_of(const struct line *head, const char *title, unsigned *n)
{
	char word[FIELD_MAX];
	for (unsigned i = 1; i < COLUMNS_MAX && word_of(head, i, word); i++) {
		if (strcmp(word, title) == 0) {
			*n = i - 1;
			return true;
		}
	}
	return false;
}

static uint64_t epoch_of(const struct line *l)
{
	static const char mark[] = "type=sint value=<";
	char text[256];
	uint64_t v = 0;
	size_t len = l->len < sizeof(text) - 1 ? l->len : sizeof(text) - 1;
	memcpy(text, l->at, len);
	text[len] = '\0';
	char *at = strstr(text, mark);
	if (at == NULL)
		return 0;
	at += sizeof(mark) - 1;
	at[strcspn(at, ">")] = '\0';
	return dr_parse_u64(at, 0, INT64_MAX, &v) == DR_OK ? v : 0;
}

static enum dr_err read_row(const struct line *head, const struct line *l, struct dr_haproxy_state *out, struct dr_error *e)
{
	unsigned addr = 0, port = 0, admin = 0;
	char text[3][FIELD_MAX];
	uint64_t p = 0, a = 0;
	if (!column_of(head, "srv_addr", &addr) || !column_of(head, "srv_port", &port) ||
	    !column_of(head, "srv_admin_state", &admin) || !word_of(l, addr, text[0]) || !word_of(l, port, text[1]) ||
	    !word_of(l, admin, text[2]) || dr_parse_u64(text[1], 0, 65535, &p) != DR_OK ||
	    dr_parse_u64(text[2], 0, UINT32_MAX, &a) != DR_OK)
		return dr_fail(e, DR_E_PROTOCOL, "\"show servers state\" answers in no known form");
	(void)dr_copy_text(out->at.host, sizeof(out->at.host), text[0]);
	out->at.port = (uint16_t)p;
	out->ready = (a & (ADMIN_FORCED_MAINT | ADMIN_FORCED_DRAIN)) == 0;
	return DR_OK;
}

enum dr_err dr_haproxy_state_read(const char *text, const char *backend, const char *server, struct dr_haproxy_state *out,
				  struct dr_error *e)
{
	struct line l, head = { NULL, 0 };
	unsigned be = 0, srv = 0;
	char b[FIELD_MAX], s[FIELD_MAX];
	memset(out, 0, sizeof(*out));
	while (next_line(&text, &l)) {
		uint64_t epoch = epoch_of(&l);
		if (head.at == NULL && epoch > 0)
			out->epoch = epoch;
		if (l.len > 0 && l.at[0] == '#')
			head = l;
		else if (head.at != NULL && column_of(&head, "be_name", &be) && column_of(&head, "srv_name", &srv) &&
			 word_of(&l, be, b) && word_of(&l, srv, s) && strcmp(b, backend) == 0 && strcmp(s, server) == 0)
			return read_row(&head, &l, out, e);
	}
	if (head.at != NULL)
		return dr_fail(e, DR_E_NOT_FOUND, "backend %s has no server %s", backend, server);
	return dr_fail(e, DR_E_NOT_FOUND, "shows no backend %s", backend);
}
