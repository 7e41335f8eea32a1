/* parse.c -- see parse.h. */
#include "base/parse.h"

#include <arpa/inet.h>
#include <string.h>

struct unit {
	const char *word;
	uint64_t factor;
};

static const struct unit durations[] = {
	{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { NULL, 0 },
};

static const struct unit sizes[] = {
	{ "", 1 },
	{ "KiB", UINT64_C(1) << 10 },
	{ "MiB", UINT64_C(1) << 20 },
	{ "GiB", UINT64_C(1) << 30 },
	{ NULL, 0 },
};

/* Read digits at *s and step over them. */
static enum dr_err take_digits(const char **s, uint64_t *out)
{
	uint64_t v = 0;
	const char *p = *s;
	if (*p < '0' || *p > '9')
		return DR_E_INVALID;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return DR_E_RANGE;
	}
	*s = p;
	*out = v;
	return DR_OK;
}

enum dr_err dr_parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	enum dr_err rv = take_digits(&s, &v);
	if (rv != DR_OK)
		return rv;
	if (*s != '\0')
		return DR_E_INVALID;
	if (v < min || v > max)
		return DR_E_RANGE;
	*out = v;
	return DR_OK;
}

static enum dr_err with_unit(const char *s, const struct unit *units, uint64_t *out)
{
	uint64_t v = 0;
	enum dr_err rv = take_digits(&s, &v);
	if (rv != DR_OK)
		return rv;
	for (const struct unit *u = units; u->word != NULL; u++) {
		if (strcmp(u->word, s) == 0)
			return __builtin_mul_overflow(v, u->factor, out) ? DR_E_RANGE : DR_OK;
	}
	return DR_E_INVALID;
}

enum dr_err dr_parse_duration_ms(const char *s, uint64_t *out_ms)
{
	return with_unit(s, durations, out_ms);
}

enum dr_err dr_parse_size(const char *s, uint64_t *out_bytes)
{
	return with_unit(s, sizes, out_bytes);
}

enum dr_err dr_parse_bool(const char *s, bool *out)
{
	if (strcmp(s, "true") == 0)
		*out = true;
	else if (strcmp(s, "false") == 0)
		*out = false;
	else
		return DR_E_INVALID;
	return DR_OK;
}

bool dr_copy_text(char *dst, size_t cap, const char *s)
{
	size_t n = strnlen(s, cap);
	bool fits = n < cap;
	size_t take = fits ? n : cap - 1;
	memcpy(dst, s, take);
	dst[take] = '\0';
	return fits;
}

enum dr_err dr_parse_host_port(const char *s, char host[DR_HOST_MAX], uint16_t *port)
{
	const char *colon = strrchr(s, ':');
	if (colon == NULL)
		return DR_E_INVALID;
	bool brackets = s[0] == '[';
	const char *from = brackets ? s + 1 : s;
	const char *to = brackets ? colon - 1 : colon;
	if (to <= from || (brackets && *to != ']') || (size_t)(to - from) >= DR_HOST_MAX)
		return DR_E_INVALID;
	char copy[DR_HOST_MAX] = { 0 };
	memcpy(copy, from, (size_t)(to - from));
	unsigned char addr[16];
	if (inet_pton(brackets ? AF_INET6 : AF_INET, copy, addr) != 1)
		return DR_E_INVALID;
	uint64_t p = 0;
	enum dr_err rv = dr_parse_u64(colon + 1, 1, 65535, &p);
	if (rv != DR_OK)
		return rv;
	memcpy(host, copy, DR_HOST_MAX);
	*port = (uint16_t)p;
	return DR_OK;
}

bool dr_is_name(const char *s)
{
	size_t n = strnlen(s, DR_NAME_MAX);
	if (n == 0 || n >= DR_NAME_MAX || s[0] == '-' || s[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++) {
		bool ok = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '-';
		if (!ok)
			return false;
	}
	return true;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;
	return m < c ? m : c;
}

unsigned dr_edit_distance(const char *a, const char *b)
{
	enum { CUT = 64 };
	unsigned row[CUT + 1];
	size_t na = strnlen(a, CUT);
	size_t nb = strnlen(b, CUT);
	for (unsigned j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		unsigned corner = row[0];
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned above = row[j];
			unsigned change = corner + (a[i - 1] == b[j - 1] ? 0u : 1u);
			row[j] = min3(above + 1, row[j - 1] + 1, change);
			corner = above;
		}
	}
	return row[nb];
}
