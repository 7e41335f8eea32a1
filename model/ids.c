/* ids.c -- see ids.h. */
#include "model/ids.h"

#include <string.h>

#include "base/parse.h"

bool dr_name_set(struct dr_name *out, const char *s)
{
	memset(out, 0, sizeof(*out));
	if (!dr_is_name(s))
		return false;
	return dr_copy_text(out->s, sizeof(out->s), s);
}

bool dr_name_eq(const struct dr_name *a, const struct dr_name *b)
{
	return strncmp(a->s, b->s, DR_NAME_MAX) == 0;
}

bool dr_name_is(const struct dr_name *a, const char *s)
{
	return strncmp(a->s, s, DR_NAME_MAX) == 0;
}

unsigned dr_set_count(dr_member_set s)
{
	unsigned n = 0;
	for (; s != 0; s = (dr_member_set)(s & (s - 1)))
		n++;
	return n;
}
