/* mysql.c -- transaction ids as MySQL and MariaDB servers write them. */
#include <string.h>

#include "adapters/mysql/gtid.h"
#include "agent/shell/my_binlog.h"
#include "base/mem.h"
#include "fuzz.h"

static const char origin[] = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

/* Nothing of a state is errant to its own server.  Whoever has all up to a number has it, and the newest of any server is that
 * of one of them. */
void fuzz_gtid(const uint8_t *p, size_t n)
{
	uint8_t domain = fuzz_first(&p, &n);
	char *s = fuzz_text(p, n);
	struct my_gtid any, one;
	char ids[32];
	FUZZ_CHECK(my_gtid_errant(s, s, "", domain, ids, sizeof(ids)) == 0);
	(void)my_gtid_errant(s, "", "", domain, ids, sizeof(ids));
	FUZZ_CHECK(strlen(ids) < sizeof(ids));
	FUZZ_CHECK(my_set_until(s, origin) <= my_set_newest(s, origin));
	(void)my_set_count(s);
	if (my_gtid_newest(s, domain, true, 0, &any)) {
		FUZZ_CHECK(any.domain == domain);
		FUZZ_CHECK(my_gtid_newest(s, domain, false, any.server, &one));
		FUZZ_CHECK(one.sequence == any.sequence);
	}
	dr_free(s);
}

struct order {
	uint64_t at;
	size_t size;
};

static void in_order(void *ctx, const struct my_transaction *t)
{
	struct order *o = ctx;
	char text[MY_ID_TEXT];
	FUZZ_CHECK(t->begin >= o->at && t->end > t->begin && t->end <= o->size);
	FUZZ_CHECK(my_transaction_text(t, text)[0] != '\0');
	FUZZ_CHECK(!my_history_has("", t));
	o->at = t->end;
}

/* Transactions stand one behind the other, inside the file. */
void fuzz_binlog(const uint8_t *p, size_t n)
{
	struct order o = { .size = n };
	FILE *f = n > 0 ? fmemopen((void *)(uintptr_t)p, n, "r") : NULL;
	if (f == NULL)
		return;
	(void)my_binlog_read(f, in_order, &o);
	(void)fclose(f);
}
