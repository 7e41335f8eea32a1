/* text.c -- see text.h. */
#include "adapters/postgres/text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"

void pg_slot_name(const struct dr_name *member, char out[PG_SLOT_NAME_MAX])
{
	(void)snprintf(out, PG_SLOT_NAME_MAX, "drcoord_%s", member->s);
	for (char *p = out; *p != '\0'; p++) {
		if (*p == '-')
			*p = '_';
	}
}

enum dr_err pg_sync_names(const struct dr_name *member, uint32_t n, uint32_t k, char out[PG_SETTING_MAX],
			  struct dr_error *e)
{
	struct dr_buf b;
	out[0] = '\0';
	if (n > DR_OP_PEERS_MAX || k > n || (n > 0 && k == 0))
		return dr_fail(e, DR_E_INVALID, "cannot wait for %u of %u standbys", k, n);
	if (n == 0)
		return DR_OK;
	dr_buf_init(&b, PG_SETTING_MAX - 1);
	dr_buf_printf(&b, "ANY %u (", k);
	for (uint32_t i = 0; i < n; i++) {
		if (!dr_is_name(member[i].s)) {
			dr_buf_close(&b);
			return dr_fail(e, DR_E_INVALID, "standby %u has no valid name", i);
		}
		dr_buf_printf(&b, "%s\"%s\"", i > 0 ? "," : "", member[i].s);
	}
	dr_buf_printf(&b, ")");
	memcpy(out, b.data, b.len);
	out[b.len] = '\0';
	dr_buf_close(&b);
	return DR_OK;
}

static const char *skip_space(const char *s)
{
	while (*s == ' ' || (*s >= '\t' && *s <= '\r'))
		s++;
	return s;
}

/* One standby name, quoted or bare, to word (cut at cap); NULL: none stands here. */
static const char *take_word(const char *s, char *word, size_t cap, bool *quoted)
{
	size_t n = 0;
	*quoted = *s == '"';
	if (*quoted) {
		for (s++; *s != '\0'; s++) {
			if (*s == '"' && s[1] != '"')
				break;
			if (*s == '"')
				s++;
			if (n + 1 < cap)
				word[n++] = *s;
		}
		if (*s != '"')
			return NULL;
		s++;
	} else {
		while (*s != '\0' && strchr(" \t\r\n\v\f,()\"", *s) == NULL) {
			if (n + 1 < cap)
				word[n++] = *s;
			s++;
		}
	}
	word[n] = '\0';
	return n > 0 ? s : NULL;
}

/* "name, name, ...": up to the end, or up to ')' where one is due. */
static bool take_list(const char *s, bool closed, struct pg_sync *out)
{
	for (;;) {
		char word[128];
		struct dr_name name;
		bool quoted = false;

		s = take_word(skip_space(s), word, sizeof(word), &quoted);
		if (s == NULL)
			return false;
		if (out->names < DR_OP_PEERS_MAX && dr_name_set(&name, word))
			out->name[out->names++] = name;
		else
			out->others = true;
		s = skip_space(s);
		if (*s != ',')
			break;
		s++;
	}
	if (closed && *s++ != ')')
		return false;
	return *skip_space(s) == '\0';
}

bool pg_parse_sync(const char *s, struct pg_sync *out)
{
	char word[128];
	bool quoted = false;
	uint64_t k = 1;
	const char *list = skip_space(s);
	const char *p = NULL;

	memset(out, 0, sizeof(*out));
	if (*list == '\0')
		return true;
	p = take_word(list, word, sizeof(word), &quoted);
	if (p != NULL && !quoted && (strcasecmp(word, "any") == 0 || strcasecmp(word, "first") == 0)) {
		const char *number = take_word(skip_space(p), word, sizeof(word), &quoted);
		if (number != NULL)
			p = number;
	}
	if (p != NULL)
		p = skip_space(p);
	if (p != NULL && *p == '(') {
		list = p + 1;
		if (quoted || dr_parse_u64(word, 1, 1000, &k) != DR_OK || !take_list(list, true, out))
			goto bad;
	} else if (!take_list(list, false, out)) {
		goto bad;
	}
	out->k = (uint32_t)k;
	return true;
bad:
	memset(out, 0, sizeof(*out));
	return false;
}

void pg_put_conninfo(struct dr_buf *b, const char *key, const char *value)
{
	dr_buf_printf(b, "%s%s='", b->len > 0 ? " " : "", key);
	for (const char *p = value; *p != '\0'; p++) {
		if (*p == '\'' || *p == '\\')
			dr_buf_put(b, "\\", 1);
		dr_buf_put(b, p, 1);
	}
	dr_buf_put(b, "'", 1);
}

uint64_t pg_u64(const char *s)
{
	uint64_t v = 0;
	if (s == NULL)
		return 0;
	/* system_identifier is a signed bigint whose sign is only its highest bit. */
	if (*s == '-')
		return dr_parse_u64(s + 1, 0, UINT64_C(1) << 63, &v) == DR_OK ? UINT64_C(0) - v : 0;
	return dr_parse_u64(s, 0, UINT64_MAX, &v) == DR_OK ? v : 0;
}

void pg_redact(char *text, const char *secret)
{
	size_t n = strlen(secret);
	if (n == 0)
		return;
	for (char *p = strstr(text, secret); p != NULL; p = strstr(p + n, secret))
		memset(p, '*', n);
}

enum dr_err pg_sqlstate_err(const char *sqlstate)
{
	/* The first row whose code begins the SQLSTATE counts. */
	static const struct {
		const char *code;
		enum dr_err err;
	} rows[] = {
		{ "57P03", DR_E_BUSY },      /* starting up, shutting down, in recovery mode */
		{ "57P", DR_E_CLOSED },      /* terminated by the administrator, crash of another backend */
		{ "57014", DR_E_TIMEOUT },   /* statement_timeout */
		{ "53300", DR_E_FULL },      /* too many connections */
		{ "53400", DR_E_FULL },      /* a configured limit: all slots in use */
		{ "53100", DR_E_NO_SPACE },  /* disk full */
		{ "28", DR_E_AUTH },         /* password or pg_hba.conf */
		{ "3D000", DR_E_NOT_FOUND }, /* no such database */
		{ "42501", DR_E_DENIED },    /* privilege missing */
		{ "25006", DR_E_REFUSED },   /* read only */
		{ "58030", DR_E_IO },        /* read or write failed */
		{ "XX001", DR_E_IO },        /* damaged page */
		{ "XX002", DR_E_IO },        /* damaged index */
		{ "55006", DR_E_BUSY },      /* object in use */
		{ "08P01", DR_E_PROTOCOL },  { "08", DR_E_CLOSED },
	};
	if (sqlstate == NULL || strlen(sqlstate) != 5)
		return DR_E_FAILED;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strncmp(sqlstate, rows[i].code, strlen(rows[i].code)) == 0)
			return rows[i].err;
	}
	return DR_E_FAILED;
}

enum dr_err pg_server_err(const char *sqlstate, const char *source)
{
	/* PostgreSQL opens, extends and writes files of data and log here, and asks for no privilege of a role. */
	static const char *const storage[] = { "md.c", "fd.c", "slru.c", "xlog.c", "relmapper.c", "copydir.c", "dsm_impl.c",
					       "snapmgr.c" };
	if (sqlstate == NULL || source == NULL || strcmp(sqlstate, "42501") != 0)
		return pg_sqlstate_err(sqlstate);
	for (size_t i = 0; i < sizeof(storage) / sizeof(storage[0]); i++) {
		if (strcmp(source, storage[i]) == 0)
			return DR_E_REFUSED;
	}
	return pg_sqlstate_err(sqlstate);
}

/* The file of the last "LOCATION:  function, file:line" of libpq's message; "" when there is none. */
static void take_source(const char *message, char *source, size_t cap)
{
	static const char head[] = "\nLOCATION:  ";
	const char *at = NULL;
	size_t n = 0;

	for (const char *p = strstr(message, head); p != NULL; p = strstr(p + 1, head))
		at = p + sizeof(head) - 1;
	if (at != NULL) {
		const char *comma = strstr(at, ", ");
		at = comma != NULL ? comma + 2 : at;
		n = strcspn(at, ":\n");
	}
	n = n < cap ? n : 0;
	memcpy(source, n > 0 ? at : "", n);
	source[n] = '\0';
}

/* A server that starts anew after a crash on a full disk refuses every session with an internal error: each writes this
 * file of the catalog, which a start takes away.  Only the function says so in every language.  A newer one says by its SQLSTATE
 * what it was. */
static bool lacks_room_for_catalog(const char *sqlstate, const char *message)
{
	return strcmp(sqlstate, "XX000") == 0 && (strstr(message, "\nLOCATION:  write_item, relcache.c:") != NULL ||
						  strstr(message, "\nLOCATION:  write_relcache_init_file, relcache.c:") != NULL);
}

/* Where ": SQLSTATE: text" begins its five characters; the word in front of it is in the server's language,
 * and "FATAL" is five capitals too: every SQLSTATE has a digit. */
static const char *find_sqlstate(const char *message)
{
	for (const char *p = strstr(message, ": "); p != NULL; p = strstr(p + 1, ": ")) {
		const char *code = p + 1 + strspn(p + 1, " ");
		if (strspn(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 &&
		    strcspn(code, "0123456789") < 5 && strncmp(code + 5, ": ", 2) == 0)
			return code;
	}
	return NULL;
}

/* The first line of text, without what is in front of the reason. */
static void first_line(const char *text, char *line, size_t cap)
{
	const char *cause = strstr(text, " failed: ");
	const char *end = strchr(text, '\n');
	size_t n;

	if (cause != NULL && (end == NULL || cause < end))
		text = cause + strlen(" failed: ");
	end = strchr(text, '\n');
	n = end != NULL ? (size_t)(end - text) : strlen(text);
	if (n >= cap)
		n = cap - 1;
	memcpy(line, text, n);
	line[n] = '\0';
}

enum dr_err pg_connect_err(const char *message, char *line, size_t cap)
{
	/* libpq's own messages; no locale is ever set here, so they are English. */
	static const struct {
		const char *part;
		enum dr_err err;
		const char *plain;
	} rows[] = {
		/* What this process lacks says nothing of the server. */
		{ "could not create socket", DR_E_UNKNOWN, NULL },
		{ "Cannot assign requested address", DR_E_UNKNOWN, "no port left here" },
		{ "out of memory", DR_E_UNKNOWN, NULL },
		{ "Connection refused", DR_E_UNREACHABLE, "refused: nothing listens there" },
		{ "No such file or directory", DR_E_UNREACHABLE, "refused: no such socket" },
		{ "Resource temporarily unavailable", DR_E_UNREACHABLE, "the server's accept queue is full" },
		{ "timed out", DR_E_TIMEOUT, "no answer to the connection request" },
		{ "No route to host", DR_E_UNREACHABLE, "no route to the host" },
		{ "unreachable", DR_E_UNREACHABLE, "network unreachable" },
		{ "no password supplied", DR_E_AUTH, "the server wants a password and none is configured" },
		{ "authentication method", DR_E_AUTH, NULL },
		{ "SCRAM", DR_E_AUTH, NULL },
		{ "server closed the connection", DR_E_CLOSED, "the server closed the connection" },
		{ "Connection reset", DR_E_CLOSED, "the server closed the connection" },
		{ "Broken pipe", DR_E_CLOSED, "the server closed the connection" },
		{ "unexpected", DR_E_PROTOCOL, NULL },
		{ "invalid", DR_E_PROTOCOL, NULL },
		{ "expected authentication", DR_E_PROTOCOL, "what answers there is no PostgreSQL server" },
	};
	const char *state = find_sqlstate(message);

	if (state != NULL) {
		char code[6], source[32];
		memcpy(code, state, 5);
		code[5] = '\0';
		take_source(state, source, sizeof(source));
		(void)first_line(state + 7, line, cap);
		return lacks_room_for_catalog(code, state) ? DR_E_NO_SPACE : pg_server_err(code, source);
	}
	first_line(message, line, cap);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strstr(message, rows[i].part) == NULL)
			continue;
		if (rows[i].plain != NULL)
			(void)dr_copy_text(line, cap, rows[i].plain);
		return rows[i].err;
	}
	return DR_E_UNREACHABLE;
}
