/* json.h -- values into JSON objects, alike in every answer. */
#ifndef DR_COORD_SHELL_JSON_H
#define DR_COORD_SHELL_JSON_H

#include <jansson.h>

#include "model/event.h"

/* 64-bit values are written as integers: JSON readers that use doubles lose digits only beyond 2^53. */
static inline void put_u64(json_t *o, const char *key, uint64_t v)
{
	(void)json_object_set_new(o, key, json_integer((json_int_t)v));
}

static inline void put_text(json_t *o, const char *key, const char *v)
{
	json_t *s = json_string(v);
	(void)json_object_set_new(o, key, s != NULL ? s : json_string("?"));
}

/* "": null */
static inline void put_text_or_null(json_t *o, const char *key, const char *v)
{
	if (v[0] != '\0')
		put_text(o, key, v);
	else
		(void)json_object_set_new(o, key, json_null());
}

static inline void put_bool(json_t *o, const char *key, bool v)
{
	(void)json_object_set_new(o, key, json_boolean(v));
}

/* "reason", "why" and, where there is one, "override"; nothing for NONE. */
static inline void put_reason(json_t *o, enum dr_reason r, uint64_t a, uint64_t b)
{
	char text[DR_ERROR_MSG_MAX];
	if (r == DR_REASON_NONE)
		return;
	put_text(o, "reason", dr_reason_name(r));
	dr_reason_format(text, sizeof(text), dr_reason_text(r), a, b);
	put_text(o, "why", text);
	if (dr_reason_override(r)[0] != '\0') {
		dr_reason_format(text, sizeof(text), dr_reason_override(r), a, b);
		put_text(o, "override", text);
	}
}

#endif
