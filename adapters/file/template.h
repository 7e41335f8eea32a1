/* template.h -- texts with {{places}} to be filled in.  Pure; any thread. */
#ifndef DR_ADAPTERS_FILE_TEMPLATE_H
#define DR_ADAPTERS_FILE_TEMPLATE_H

#include "base/buf.h"
#include "base/error.h"
#include "model/spec.h"

struct dr_template_values {
	const char *service, *primary;
	const struct dr_address *at;
	uint64_t epoch;
};

/* Append the text with {{service}}, {{primary.name}}, {{primary.host}}, {{primary.port}} and {{epoch}} filled in.  INVALID:
 * something else stands between braces, or they are not closed; the line is named.  RANGE: more than out takes. */
DR_MUST_USE enum dr_err dr_template_fill(const char *text, size_t len, const struct dr_template_values *v, struct dr_buf *out,
					 struct dr_error *e);

#endif
