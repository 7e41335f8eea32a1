/* gtid.h -- what MySQL and MariaDB write of global transaction ids.
 *
 * Pure functions over the caller's text; a server's text is hostile and only ever refused (0, false).
 * MariaDB: DOMAIN-SERVER-SEQUENCE, the newest of each domain, comma between; sequences of a domain grow, whichever server
 * writes.  https://mariadb.com/kb/en/gtid/
 * MySQL: UUID[:TAG]:FIRST[-LAST][:...], comma between; a set.
 * https://dev.mysql.com/doc/refman/8.4/en/replication-gtids-concepts.html */
#ifndef DR_ADAPTERS_MYSQL_GTID_H
#define DR_ADAPTERS_MYSQL_GTID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MY_UUID_MAX = 37 };

struct my_gtid {
	uint32_t domain, server;
	uint64_t sequence;
};

/* The next id of a position or state of MariaDB at *list, which moves behind it and its comma; false: no more, or nonsense. */
bool my_gtid_next(const char **list, struct my_gtid *out);

/* The newest of this domain in a position or state of MariaDB; of the server alone when any is false.  false: none. */
bool my_gtid_newest(const char *list, uint32_t domain, bool any, uint32_t server, struct my_gtid *out);

/* Whether a replica's position has all of another, domain by domain; what the server itself had written may stand in a position
 * of its own. */
bool my_gtid_has_all(const char *at, const char *own_at, uint32_t server, const char *of);

/* The first id of another domain in a position of MariaDB; false: none. */
bool my_gtid_other(const char *list, uint32_t domain, struct my_gtid *out);

/* What a standby's state of MariaDB has and its source never had: the source's own state, where it went on from when it was
 * made a copy or a replica (its gtid_slave_pos), and its server_id.  How many ids were written to dst, those that fit, comma
 * between. */
uint32_t my_gtid_errant(const char *mine, const char *state, const char *at, uint32_t server, char *dst, size_t cap);

/* In a set of MySQL: up to which number the transactions of this origin, without a tag, are there without a gap; 0: none. */
uint64_t my_set_until(const char *set, const char *uuid);

/* The newest number of this origin in a set, whatever is missing before it; 0: none. */
uint64_t my_set_newest(const char *set, const char *uuid);

/* Whether a set has this one of the origin. */
bool my_set_has(const char *set, const char *uuid, uint64_t number);

/* How many transactions a set has, all origins together. */
uint64_t my_set_count(const char *set);

/* Whether a set, as a server writes it (no interval touches the next), has all of another, tags included. */
bool my_set_has_all(const char *set, const char *of);

/* Whether some have a tag. */
bool my_set_tagged(const char *set);

#endif
