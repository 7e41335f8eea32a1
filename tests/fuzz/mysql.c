/* mysql.c -- transaction ids as MySQL and MariaDB servers write them. */
#include <string.h>

#include "adapters/mysql/gtid.h"
#include "base/mem.h"
#include "fuzz.h"

static const char origin[] = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

/* Whoever has all up to a number has it, and the newest of any server is that of one of them. */
void fuzz_gtid(const uint8_t *p, size_t n)
{
	uint8_t domain = fuzz_first(&p, &n);
	char *s = fuzz_text(p, n);
	struct my_gtid any, one;
	FUZZ_CHECK(my_set_until(s, origin) <= my_set_newest(s, origin));
	(void)my_set_count(s);
	if (my_gtid_newest(s, domain, true, 0, &any)) {
		FUZZ_CHECK(any.domain == domain);
		FUZZ_CHECK(my_gtid_newest(s, domain, false, any.server, &one));
		FUZZ_CHECK(one.sequence == any.sequence);
	}
	dr_free(s);
}
