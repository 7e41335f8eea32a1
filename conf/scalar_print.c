/* scalar_print.c -- a field as the file would have it; see scalar.h. */
#include "conf/scalar.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

static uint64_t number_of(enum dr_key_type type, const void *field)
{
	uint32_t small = 0;
	uint64_t large = 0;
	if (type == DR_TYPE_SIZE) {
		memcpy(&large, field, sizeof(large));
		return large;
	}
	memcpy(&small, field, sizeof(small));
	return small;
}

static const struct unit {
	const char *word;
	uint64_t factor;
} durations[] = { { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 } }, sizes[] = {
	{ "GiB", UINT64_C(1) << 30 }, { "MiB", UINT64_C(1) << 20 }, { "KiB", UINT64_C(1) << 10 }, { "", 1 }
};
enum { UNITS = 4 };
_Static_assert(sizeof(durations) / sizeof(durations[0]) == UNITS, "the last one takes what no other divides");
_Static_assert(sizeof(sizes) / sizeof(sizes[0]) == UNITS, "the last one takes what no other divides");

void dr_amount_text(enum dr_key_type type, uint64_t v, char dst[DR_AMOUNT_MAX])
{
	static const struct unit none = { "", 1 };
	const struct unit *units = type == DR_TYPE_DURATION ? durations : sizes;
	const struct unit *u = type == DR_TYPE_DURATION || type == DR_TYPE_SIZE ? &units[UNITS - 1] : &none;
	for (size_t i = 0; u != &none && v != 0 && i < UNITS; i++) {
		if (v % units[i].factor == 0) {
			u = &units[i];
			break;
		}
	}
	(void)snprintf(dst, DR_AMOUNT_MAX, "%" PRIu64 "%s", v / u->factor, u->word);
}

static void amount_print(enum dr_key_type type, uint64_t v, struct dr_buf *out)
{
	char text[DR_AMOUNT_MAX];
	dr_amount_text(type, v, text);
	dr_buf_printf(out, "%s", text);
}

void dr_duration_print(uint64_t ms, struct dr_buf *out)
{
	amount_print(DR_TYPE_DURATION, ms, out);
}

/* Text that YAML would take for something else, or that ends a plain scalar, stands in quotes. */
static void text_print(const char *s, struct dr_buf *out)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+@";
	bool plain = s[strspn(s, safe)] == '\0' && s[0] != '-' && strcmp(s, "null") != 0;
	if (plain) {
		dr_buf_printf(out, "%s", s);
		return;
	}
	dr_buf_put_u8(out, '"');
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			dr_buf_put_u8(out, '\\');
		dr_buf_put_u8(out, (uint8_t)*s);
	}
	dr_buf_put_u8(out, '"');
}

static bool address_print(const struct dr_address *a, struct dr_buf *out)
{
	bool six = strchr(a->host, ':') != NULL;
	if (a->host[0] == '\0')
		return false;
	dr_buf_printf(out, six ? "\"[%s]:%u\"" : "%s:%u", a->host, (unsigned)a->port);
	return true;
}

static bool choice_print(const struct dr_key *k, const void *field, struct dr_buf *out)
{
	uint32_t v = (uint32_t)number_of(DR_TYPE_NUMBER, field);
	if (v < k->words->first || v >= k->words->first + k->words->count)
		return false;
	dr_buf_printf(out, "%s", k->words->name(v));
	return true;
}

bool dr_scalar_print(const struct dr_key *k, enum dr_key_type type, const void *field, struct dr_buf *out)
{
	const char *text = field;
	bool yes = false;
	switch (type) {
	case DR_TYPE_NAME: /* struct dr_name begins with its text */
	case DR_TYPE_TEXT:
	case DR_TYPE_PATH:
	case DR_TYPE_ABSOLUTE:
	case DR_TYPE_FQDN:
		if (text[0] == '\0')
			return false;
		text_print(text, out);
		return true;
	case DR_TYPE_ADDRESS:
	case DR_TYPE_REACHED:
		return address_print(field, out);
	case DR_TYPE_BOOL:
		memcpy(&yes, field, sizeof(yes));
		dr_buf_printf(out, "%s", yes ? "true" : "false");
		return true;
	case DR_TYPE_CHOICE:
		return choice_print(k, field, out);
	case DR_TYPE_DURATION:
	case DR_TYPE_SIZE:
	case DR_TYPE_NUMBER:
		amount_print(type, number_of(type, field), out);
		return true;
	default:
		return false; /* a profile is not kept, only what it stands for */
	}
}

bool dr_scalar_eq(const struct dr_key *k, enum dr_key_type type, const void *a, const void *b)
{
	switch (type) {
	case DR_TYPE_PROFILE:
		return true;
	case DR_TYPE_NAME:
	case DR_TYPE_TEXT:
	case DR_TYPE_PATH:
	case DR_TYPE_ABSOLUTE:
	case DR_TYPE_FQDN:
		return strcmp(a, b) == 0;
	case DR_TYPE_ADDRESS:
	case DR_TYPE_REACHED: {
		const struct dr_address *x = a, *y = b;
		return x->port == y->port && strcmp(x->host, y->host) == 0;
	}
	case DR_TYPE_BOOL:
		return memcmp(a, b, sizeof(bool)) == 0;
	default:
		dr_assert(k->type != DR_TYPE_LIST);
		return number_of(type, a) == number_of(type, b);
	}
}

static void describe_range(const struct dr_key *k, const char *noun, struct dr_buf *out)
{
	dr_buf_printf(out, "%s, ", noun);
	amount_print(k->type, k->min, out);
	dr_buf_printf(out, " to ");
	amount_print(k->type, k->max, out);
}

void dr_scalar_describe(const struct dr_key *k, struct dr_buf *out)
{
	static const char *const nouns[] = {
		[DR_TYPE_NAME] = "a name",
		[DR_TYPE_TEXT] = "text",
		[DR_TYPE_PATH] = "a path",
		[DR_TYPE_ABSOLUTE] = "an absolute path",
		[DR_TYPE_FQDN] = "a DNS name with its final dot",
		[DR_TYPE_ADDRESS] = "an IP address:port",
		[DR_TYPE_REACHED] = "an IP address:port",
		[DR_TYPE_DURATION] = "a duration",
		[DR_TYPE_SIZE] = "a size",
		[DR_TYPE_NUMBER] = "a whole number",
		[DR_TYPE_BOOL] = "true or false",
		[DR_TYPE_PROFILE] = "default, metro or geo",
		[DR_TYPE_PART] = "a mapping",
		[DR_TYPE_LIST] = "a list of mappings",
	};
	switch (k->type) {
	case DR_TYPE_CHOICE:
		for (uint32_t i = 0; i < k->words->count; i++)
			dr_buf_printf(out, "%s%s", i > 0 ? " or " : "", k->words->name(k->words->first + i));
		break;
	case DR_TYPE_DURATION:
	case DR_TYPE_SIZE:
	case DR_TYPE_NUMBER:
		describe_range(k, nouns[k->type], out);
		break;
	case DR_TYPE_LIST:
		dr_buf_printf(out, "a list of %" PRIu64 " to %" PRIu64 " mappings", k->min, k->max);
		break;
	case DR_TYPE_SCALARS:
		dr_buf_printf(out, "a list of %" PRIu64 " to %" PRIu64 ": %s", k->min, k->max,
			      nouns[k->item]);
		break;
	default:
		dr_buf_printf(out, "%s", nouns[k->type]);
		break;
	}
}
