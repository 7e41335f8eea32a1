/* scalar.h -- one scalar of the file to and from its field, by its row of keys.def.  Private to conf/. */
#ifndef DR_CONF_SCALAR_H
#define DR_CONF_SCALAR_H

#include "base/buf.h"
#include "conf/keys.h"

/* Why a text is not accepted: "10" is no duration; expected ...; did you mean "10s"? */
struct dr_fault {
	char what[192];
	char expected[192];
	char meant[96]; /* empty: no guess */
};

/* Set the field from text.  plain: the text stood without quotes; folder: where relative paths start (may be
 * empty).  INVALID: *f says why, the field is unchanged. */
DR_MUST_USE enum dr_err dr_scalar_read(const struct dr_key *k, enum dr_key_type type, const char *text,
				       bool plain, const char *folder, void *field, struct dr_fault *f);

/* The field as the file would have it; nothing for one that is empty.  true: it was not empty. */
bool dr_scalar_print(const struct dr_key *k, enum dr_key_type type, const void *field, struct dr_buf *out);

/* Whether two fields hold the same value. */
bool dr_scalar_eq(const struct dr_key *k, enum dr_key_type type, const void *a, const void *b);

/* What a key's value may be, for the documentation: "duration, 50ms to 1m". */
void dr_scalar_describe(const struct dr_key *k, struct dr_buf *out);

/* A number with the largest unit that divides it: DURATION "1500ms", "1m"; SIZE "16MiB"; NUMBER "7". */
enum { DR_AMOUNT_MAX = 32 };
void dr_amount_text(enum dr_key_type type, uint64_t v, char dst[DR_AMOUNT_MAX]);
void dr_duration_print(uint64_t ms, struct dr_buf *out);

#endif
