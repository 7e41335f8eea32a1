/* text.h -- the texts that PostgreSQL and this adapter exchange: names, settings, error messages.
 *
 * Pure functions over the caller's memory; input from a server is hostile and only ever refused. */
#ifndef DR_ADAPTERS_POSTGRES_TEXT_H
#define DR_ADAPTERS_POSTGRES_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "adapters/adapter.h"
#include "base/buf.h"
#include "base/error.h"

enum {
	PG_SECRET_MAX = 256,   /* bytes of a password with its NUL */
	PG_SETTING_MAX = 1024, /* bytes of a setting that we read or write, with its NUL */
	PG_SLOT_NAME_MAX = 64  /* NAMEDATALEN */
};

/* The physical replication slot that a member streams from: "drcoord_" and its name with '_' for '-'.  No
 * two members share one, as names hold no '_'. */
void pg_slot_name(const struct dr_name *member, char out[PG_SLOT_NAME_MAX]);

/* The value of synchronous_standby_names for ANY k of the members; "" for none.  INVALID: k does not fit
 * the number of members, or a member has no name. */
DR_MUST_USE enum dr_err pg_sync_names(const struct dr_name *member, uint32_t n, uint32_t k,
				      char out[PG_SETTING_MAX], struct dr_error *e);

/* What a server waits for. */
struct pg_sync {
	uint32_t k;     /* 0: nobody */
	uint32_t names; /* how many of: */
	struct dr_name name[DR_OP_PEERS_MAX];
	bool others; /* it names more, or ones that are no members' names ("*") */
};

/* Read synchronous_standby_names in every form that PostgreSQL takes: "", a list, "k (list)",
 * "ANY k (list)", "FIRST k (list)".  false: not such a text (*out is then empty). */
bool pg_parse_sync(const char *s, struct pg_sync *out);

/* Append " key=value" as libpq reads it back, whatever bytes the value holds. */
void pg_put_conninfo(struct dr_buf *b, const char *key, const char *value);

/* "pg_lsn - 0/0" and other numbers, decimal; 0 for NULL or anything else. */
uint64_t pg_u64(const char *s);

/* Overwrite each occurrence of the secret in the text by '*'; a secret shorter than 1 byte is none. */
void pg_redact(char *text, const char *secret);

/* The code for an SQLSTATE of five characters (NULL or unknown: FAILED). */
enum dr_err pg_sqlstate_err(const char *sqlstate);
/* The same for a server's error and the source file that it names (NULL: none).  A read-only file system has the
 * SQLSTATE of a missing privilege, and its text is in the server's language; only where the server met it tells:
 * while it opened a file.  Then REFUSED, as for every other server that takes no writes. */
enum dr_err pg_server_err(const char *sqlstate, const char *source);

/* Why libpq could not connect: its error message (verbosity VERBOSE) to a code and one plain line, the
 * same for every server language where PostgreSQL gives an SQLSTATE. */
enum dr_err pg_connect_err(const char *message, char *line, size_t cap);

#endif
