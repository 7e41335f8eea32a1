/* ids.h -- the small fixed-size values that name things, and how members are put into sets. */
#ifndef DR_MODEL_IDS_H
#define DR_MODEL_IDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"

/* A name as dr_is_name() allows it, NUL-terminated and zero-padded, so that memcmp compares it. */
struct dr_name {
	char s[DR_NAME_MAX];
};

/* Set *out from text; false (and *out empty) when s is no name. */
bool dr_name_set(struct dr_name *out, const char *s);
bool dr_name_eq(const struct dr_name *a, const struct dr_name *b);
bool dr_name_is(const struct dr_name *a, const char *s);

/* A member's place in its service, 0 .. DR_MEMBERS_MAX - 1; it never changes while the member exists. */
typedef uint8_t dr_member_ix;
enum { DR_MEMBER_NONE = 0xff };

/* A set of members: bit i is member i. */
typedef uint8_t dr_member_set;
unsigned dr_set_count(dr_member_set s);
static inline bool dr_set_has(dr_member_set s, dr_member_ix m)
{
	return m < DR_MEMBERS_MAX && ((unsigned)s >> m & 1u) != 0;
}
static inline dr_member_set dr_set_of(dr_member_ix m)
{
	return (dr_member_set)(m < DR_MEMBERS_MAX ? 1u << m : 0u);
}
static inline dr_member_set dr_set_with(dr_member_set s, dr_member_ix m)
{
	return (dr_member_set)(s | dr_set_of(m));
}
static inline dr_member_set dr_set_without(dr_member_set s, dr_member_ix m)
{
	return (dr_member_set)(s & ~dr_set_of(m));
}

#endif
