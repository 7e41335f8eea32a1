/* postgres.c -- texts that come from a PostgreSQL server or its tools, and its control file. */
#include <stdio.h>
#include <string.h>

#include <libpq-fe.h>

#include "adapters/postgres/text.h"
#include "agent/shell/pg_final.h"
#include "agent/shell/pg_jobs_own.h"
#include "base/mem.h"
#include "fuzz.h"

static void position(char *s, size_t n)
{
	char text[PG_LSN_TEXT];
	uint64_t lsn = 0, back = 0;
	(void)n;
	if (!pg_lsn_parse(s, &lsn))
		return;
	FUZZ_CHECK(pg_lsn_parse(pg_lsn_text(lsn, text), &back) && back == lsn);
}

static void segment_name(char *s, size_t n)
{
	uint32_t timeline = 0;
	uint64_t number = 0;
	(void)n;
	for (uint32_t bytes = 1u << 20; bytes != 0; bytes <<= 1) {
		char text[64];
		uint32_t timeline_back = 0;
		uint64_t number_back = 0, each = UINT64_C(0x100000000) / bytes;
		if (!pg_segment_parse(s, bytes, &timeline, &number))
			return;
		/* The last part of a name is a place within 4 GiB; what is above that has no name to go back to. */
		if (number / each > UINT32_MAX)
			continue;
		(void)snprintf(text, sizeof(text), "%08X%08X%08X", timeline, (unsigned)(number / each),
			       (unsigned)(number % each));
		FUZZ_CHECK(pg_segment_parse(text, bytes, &timeline_back, &number_back));
		FUZZ_CHECK(timeline_back == timeline && number_back == number);
	}
}

/* Two histories, the second behind a NUL. */
static void histories(char *s, size_t n)
{
	static struct pg_history a, b;
	struct dr_error e = { 0 };
	uint32_t timeline = 0;
	uint64_t lsn = 0;
	size_t len = strlen(s);
	enum dr_err rv = pg_history_parse(s, 9, &a, &e);
	if (rv != DR_OK) {
		fuzz_refused(rv, &e);
		return;
	}
	FUZZ_CHECK(a.n > 0 && a.n <= PG_HISTORY_MAX && a.at[a.n - 1].timeline == 9);
	for (size_t i = 1; i < a.n; i++)
		FUZZ_CHECK(a.at[i - 1].timeline < a.at[i].timeline);
	FUZZ_CHECK(pg_history_fork(&a, &a, &timeline, &lsn) && timeline == 9 && lsn == UINT64_MAX);
	if (len < n && pg_history_parse(s + len + 1, 12, &b, &e) == DR_OK) {
		uint32_t other = 0;
		uint64_t there = 0;
		bool forked = pg_history_fork(&a, &b, &timeline, &lsn);
		FUZZ_CHECK(forked == pg_history_fork(&b, &a, &other, &there));
		FUZZ_CHECK(!forked || (other == timeline && there == lsn));
	}
}

static void sync_names(char *s, size_t n)
{
	struct pg_sync seen, back;
	char text[PG_SETTING_MAX];
	(void)n;
	if (!pg_parse_sync(s, &seen))
		return;
	FUZZ_CHECK(seen.names <= DR_OP_PEERS_MAX);
	if (seen.others || seen.names == 0 || seen.k > seen.names)
		return;
	FUZZ_CHECK(pg_sync_names(seen.name, seen.names, seen.k, text, NULL) == DR_OK);
	FUZZ_CHECK(pg_parse_sync(text, &back) && back.k == seen.k && back.names == seen.names &&
		   !back.others);
	FUZZ_CHECK(memcmp(back.name, seen.name, seen.names * sizeof(seen.name[0])) == 0);
}

/* A message of libpq, a secret that may stand in it behind a NUL. */
static void message(char *s, size_t n)
{
	char line[200];
	size_t len = strlen(s);
	enum dr_err rv = pg_connect_err(s, line, sizeof(line));
	FUZZ_CHECK(rv != DR_OK && strlen(line) < sizeof(line) && strchr(line, '\n') == NULL);
	(void)pg_sqlstate_err(s);
	(void)pg_server_err("42501", s);
	(void)pg_u64(s);
	if (len < n) {
		pg_redact(line, s + len + 1);
		FUZZ_CHECK(s[len + 1] == '\0' || strspn(s + len + 1, "*") == strlen(s + len + 1) ||
			   strstr(line, s + len + 1) == NULL);
	}
}

/* libpq itself must read back the value that we wrote. */
static void conninfo(char *s, size_t n)
{
	struct dr_buf b;
	(void)n;
	dr_buf_init(&b, 1 << 20);
	pg_put_conninfo(&b, "host", "10.1.0.20");
	pg_put_conninfo(&b, "password", s);
	dr_buf_put_u8(&b, 0);
	FUZZ_CHECK(dr_buf_ok(&b));
	PQconninfoOption *all = PQconninfoParse((const char *)b.data, NULL);
	FUZZ_CHECK(all != NULL);
	for (const PQconninfoOption *o = all; o->keyword != NULL; o++) {
		if (strcmp(o->keyword, "password") == 0)
			FUZZ_CHECK(o->val != NULL && strcmp(o->val, s) == 0);
		else if (strcmp(o->keyword, "host") == 0)
			FUZZ_CHECK(o->val != NULL && strcmp(o->val, "10.1.0.20") == 0);
	}
	PQconninfoFree(all);
	dr_buf_close(&b);
}

static void control_words(char *s, size_t n)
{
	struct pg_control c;
	(void)n;
	memset(&c, 0, sizeof(c));
	for (char *line = s; line != NULL;) {
		char *nl = strchr(line, '\n');
		if (nl != NULL)
			*nl = '\0';
		pg_control_line(&c, line);
		line = nl != NULL ? nl + 1 : NULL;
	}
	FUZZ_CHECK(memchr(c.state, '\0', sizeof(c.state)) != NULL);
	(void)pg_control_is_clean(&c);
}

static void control_file(char *s, size_t n)
{
	struct dr_pg_final f;
	struct dr_error e = { 0 };
	fuzz_write("global/pg_control", (const uint8_t *)s, n);
	enum dr_err rv = dr_pg_final_read(fuzz_path(""), &f, &e);
	if (rv != DR_OK)
		fuzz_refused(rv, &e);
	else
		FUZZ_CHECK(n >= sizeof(f.system_id) && memcmp(&f.system_id, s, sizeof(f.system_id)) == 0);
}

void fuzz_postgres(const uint8_t *p, size_t n)
{
	static void (*const parts[])(char *s, size_t n) = { position,      segment_name, histories,
							    sync_names,    message,      conninfo,
							    control_words, control_file };
	uint8_t which = fuzz_first(&p, &n);
	char *s = fuzz_text(p, n);
	parts[which % (sizeof(parts) / sizeof(parts[0]))](s, n);
	dr_free(s);
}
