/* scalar.c -- see scalar.h. */
#include "conf/scalar.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/parse.h"
#include "conf/yaml.h"

#define TEXT(dst, ...) ((void)snprintf(dst, sizeof(dst), __VA_ARGS__))

/* ---- guesses ---- */

/* What people write for units, and what they mean. */
static const struct slip {
	enum dr_key_type type;
	const char *said, *meant;
} slips[] = {
	{ DR_TYPE_DURATION, "", "s" },
	{ DR_TYPE_DURATION, "", "ms" },
	{ DR_TYPE_DURATION, "s", "s" },
	{ DR_TYPE_DURATION, "sec", "s" },
	{ DR_TYPE_DURATION, "secs", "s" },
	{ DR_TYPE_DURATION, "second", "s" },
	{ DR_TYPE_DURATION, "seconds", "s" },
	{ DR_TYPE_DURATION, "ms", "ms" },
	{ DR_TYPE_DURATION, "msec", "ms" },
	{ DR_TYPE_DURATION, "msecs", "ms" },
	{ DR_TYPE_DURATION, "min", "m" },
	{ DR_TYPE_DURATION, "mins", "m" },
	{ DR_TYPE_DURATION, "minutes", "m" },
	{ DR_TYPE_DURATION, "m", "m" },
	{ DR_TYPE_DURATION, "h", "h" },
	{ DR_TYPE_DURATION, "hours", "h" },
	{ DR_TYPE_SIZE, "b", "" },
	{ DR_TYPE_SIZE, "k", "KiB" },
	{ DR_TYPE_SIZE, "kb", "KiB" },
	{ DR_TYPE_SIZE, "kib", "KiB" },
	{ DR_TYPE_SIZE, "m", "MiB" },
	{ DR_TYPE_SIZE, "mb", "MiB" },
	{ DR_TYPE_SIZE, "mib", "MiB" },
	{ DR_TYPE_SIZE, "g", "GiB" },
	{ DR_TYPE_SIZE, "gb", "GiB" },
	{ DR_TYPE_SIZE, "gib", "GiB" },
};

/* "10", "10 s", "10sec", "64MB": what the writer most likely wanted, if the row would take it. */
static void guess_amount(const struct dr_key *k, enum dr_key_type type, const char *text, char *dst,
			 size_t cap)
{
	size_t digits = strspn(text, "0123456789");
	const char *unit = text + digits + strspn(text + digits, " ");
	if (digits == 0 || digits > 12)
		return;
	for (size_t i = 0; i < sizeof(slips) / sizeof(slips[0]); i++) {
		char guess[32];
		uint64_t v = 0;
		if (slips[i].type != type || strcasecmp(slips[i].said, unit) != 0)
			continue;
		(void)snprintf(guess, sizeof(guess), "%.*s%s", (int)digits, text, slips[i].meant);
		enum dr_err rv =
		    type == DR_TYPE_DURATION ? dr_parse_duration_ms(guess, &v) : dr_parse_size(guess, &v);
		if (rv != DR_OK || v < k->min || v > k->max)
			continue;
		(void)dr_copy_text(dst, cap, guess);
		return;
	}
}

static void guess_bool(const char *text, char *dst, size_t cap)
{
	static const char *const yes[] = { "yes", "on", "y", "1", "true", NULL };
	static const char *const no[] = { "no", "off", "n", "0", "false", NULL };
	for (size_t i = 0; yes[i] != NULL; i++) {
		if (strcasecmp(text, yes[i]) == 0)
			(void)snprintf(dst, cap, "true");
		if (strcasecmp(text, no[i]) == 0)
			(void)snprintf(dst, cap, "false");
	}
}

/* "PG_A" -> "pg-a": lower case, and a dash for everything else. */
static void guess_name(const char *text, char *dst, size_t cap)
{
	char name[DR_NAME_MAX] = "";
	size_t n = 0;
	for (const char *s = text; *s != '\0' && n + 1 < sizeof(name); s++) {
		char c = (char)tolower((unsigned char)*s);
		bool ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		if (ok || n > 0)
			name[n++] = ok ? c : '-';
	}
	while (n > 0 && name[n - 1] == '-')
		n--;
	name[n] = '\0';
	if (dr_is_name(name))
		(void)snprintf(dst, cap, "%s", name);
}

/* ---- DNS names ---- */

/* Letters, digits, '-' and '_' in labels of 1 to 63 bytes, 253 in all, with the final dot. */
static bool is_fqdn(const char *s)
{
	size_t len = strlen(s);
	if (len < 2 || len > 254 || s[len - 1] != '.')
		return false;
	size_t label = 0;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		if (c == '.') {
			if (label == 0 || label > 63 || s[i - 1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!(isalnum(c) && c < 0x80) && c != '_' && !(c == '-' && label > 0))
			return false;
		label++;
	}
	return true;
}

static void guess_fqdn(const char *text, char *dst, size_t cap)
{
	char dotted[DR_FQDN_MAX];
	int n = snprintf(dotted, sizeof(dotted), "%s.", text);
	if (n > 0 && (size_t)n < sizeof(dotted) && is_fqdn(dotted))
		(void)dr_copy_text(dst, cap, dotted);
}

/* ---- reading ---- */

struct input {
	const struct dr_key *key;
	enum dr_key_type type;
	const char *text;
	const char *folder;
	bool plain;
	char quoted[DR_QUOTED_MAX];
	struct dr_fault *fault;
};

static enum dr_err read_number(const struct input *in, void *field)
{
	const struct dr_key *k = in->key;
	struct dr_fault *f = in->fault;
	const char *noun = in->type == DR_TYPE_DURATION ? "duration"
			   : in->type == DR_TYPE_SIZE   ? "size"
							: "number";
	uint64_t v = 0;
	enum dr_err rv = DR_OK;
	char least[DR_AMOUNT_MAX], most[DR_AMOUNT_MAX];
	dr_amount_text(in->type, k->min, least);
	dr_amount_text(in->type, k->max, most);
	if (in->type == DR_TYPE_DURATION)
		rv = dr_parse_duration_ms(in->text, &v);
	else if (in->type == DR_TYPE_SIZE)
		rv = dr_parse_size(in->text, &v);
	else
		rv = in->plain ? dr_parse_u64(in->text, 0, UINT64_MAX, &v) : DR_E_INVALID;
	if (rv == DR_OK && v >= k->min && v <= k->max) {
		uint32_t small = (uint32_t)v;
		if (in->type == DR_TYPE_SIZE)
			memcpy(field, &v, sizeof(v));
		else
			memcpy(field, &small, sizeof(small));
		return DR_OK;
	}
	if (rv == DR_E_INVALID)
		TEXT(f->what, "%s is no %s", in->quoted, noun);
	else
		TEXT(f->what, "%s is out of range", in->text);
	const char *example = in->type == DR_TYPE_DURATION ? " (as in 250ms, 5s, 2m, 1h)"
			      : in->type == DR_TYPE_SIZE   ? " (as in 512KiB, 16MiB, 1GiB)"
							   : "";
	TEXT(f->expected, "%s %s from %s to %s%s", noun[0] == 'n' ? "a whole" : "a", noun, least, most,
	     example);
	if (rv == DR_E_INVALID)
		guess_amount(k, in->type, in->text, f->meant, sizeof(f->meant));
	return DR_E_INVALID;
}

static enum dr_err read_choice(const struct input *in, void *field)
{
	const struct dr_words *w = in->key->words;
	struct dr_fault *f = in->fault;
	struct dr_nearest near = dr_nearest_to(in->text);
	size_t at = 0;
	for (uint32_t v = w->first; v < w->first + w->count; v++) {
		const char *word = w->name(v);
		if (strcmp(word, in->text) == 0) {
			memcpy(field, &v, sizeof(v));
			return DR_OK;
		}
		dr_nearest_try(&near, word);
		int n = snprintf(f->expected + at, sizeof(f->expected) - at, "%s%s",
				 v > w->first ? " or " : "", word);
		at += n > 0 && at + (size_t)n < sizeof(f->expected) ? (size_t)n : 0;
	}
	TEXT(f->what, "%s is no %s", in->quoted, w->title);
	const char *found = dr_nearest_found(&near);
	if (found != NULL)
		TEXT(f->meant, "%s", found);
	return DR_E_INVALID;
}

static enum dr_err read_address(const struct input *in, void *field)
{
	struct dr_fault *f = in->fault;
	struct dr_address a = { 0 };
	if (dr_parse_host_port(in->text, a.host, &a.port) != DR_OK) {
		TEXT(f->what, "%s is no address", in->quoted);
		TEXT(f->expected,
		     "an IP address and a port (as in 10.1.0.2:7400 or [fd00::1]:7400), no host name");
		return DR_E_INVALID;
	}
	bool wildcard = strcmp(a.host, "0.0.0.0") == 0 || strcmp(a.host, "::") == 0;
	if (in->type == DR_TYPE_REACHED && wildcard) {
		TEXT(f->what, "%s cannot be connected to", in->quoted);
		TEXT(f->expected, "the address at which others reach it");
		return DR_E_INVALID;
	}
	memcpy(field, &a, sizeof(a));
	return DR_OK;
}

static enum dr_err read_name(const struct input *in, void *field)
{
	struct dr_fault *f = in->fault;
	struct dr_name name;
	if (dr_name_set(&name, in->text)) {
		memcpy(field, &name, sizeof(name));
		return DR_OK;
	}
	TEXT(f->what, "%s is no name", in->quoted);
	TEXT(f->expected, "1 to %d of a-z, 0-9 and '-', beginning and ending with a letter or digit",
	     DR_NAME_MAX - 1);
	guess_name(in->text, f->meant, sizeof(f->meant));
	return DR_E_INVALID;
}

static enum dr_err too_long(const struct input *in, size_t most)
{
	TEXT(in->fault->what, "%s is too long", in->quoted);
	TEXT(in->fault->expected, "at most %zu bytes", most);
	return DR_E_INVALID;
}

static enum dr_err read_path(const struct input *in, void *field)
{
	char path[DR_PATH_MAX + DR_PATH_MAX];
	dr_assert(in->key->size <= sizeof(path));
	bool absolute = in->text[0] == '/';
	if (!absolute && in->type == DR_TYPE_ABSOLUTE) {
		TEXT(in->fault->what, "%s is a relative path", in->quoted);
		TEXT(in->fault->expected, "one that starts with '/': it is looked up on other nodes");
		return DR_E_INVALID;
	}
	int n = snprintf(path, sizeof(path), "%s%s", absolute ? "" : in->folder, in->text);
	if (n < 0 || (size_t)n >= in->key->size)
		return too_long(in, in->key->size - 1);
	memset(field, 0, in->key->size);
	memcpy(field, path, (size_t)n);
	return DR_OK;
}

static enum dr_err read_text(const struct input *in, void *field)
{
	size_t n = strlen(in->text);
	if (in->type == DR_TYPE_FQDN && !is_fqdn(in->text)) {
		TEXT(in->fault->what, "%s is no full DNS name", in->quoted);
		TEXT(in->fault->expected,
		     "letters, digits, '-' and '_' in labels of 1 to 63, with a dot at the end");
		guess_fqdn(in->text, in->fault->meant, sizeof(in->fault->meant));
		return DR_E_INVALID;
	}
	if (n >= in->key->size)
		return too_long(in, in->key->size - 1);
	memset(field, 0, in->key->size);
	memcpy(field, in->text, n);
	return DR_OK;
}

static enum dr_err read_bool(const struct input *in, void *field)
{
	bool v = false;
	if (in->plain && dr_parse_bool(in->text, &v) == DR_OK) {
		memcpy(field, &v, sizeof(v));
		return DR_OK;
	}
	TEXT(in->fault->what, "%s is not true or false", in->quoted);
	TEXT(in->fault->expected, "true or false, without quotes");
	guess_bool(in->text, in->fault->meant, sizeof(in->fault->meant));
	return DR_E_INVALID;
}

static enum dr_err read_profile(const struct input *in, void *field)
{
	static const char *const words[] = { "default", "metro", "geo" };
	const struct dr_timing *t = dr_timing_profile(in->text);
	if (t != NULL) {
		/* The row's field is somewhere in struct dr_timing; the whole of it is set. */
		memcpy((char *)field - in->key->offset, t, sizeof(*t));
		return DR_OK;
	}
	struct dr_nearest near = dr_nearest_to(in->text);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		dr_nearest_try(&near, words[i]);
	TEXT(in->fault->what, "%s is no profile", in->quoted);
	TEXT(in->fault->expected, "default, metro or geo");
	if (dr_nearest_found(&near) != NULL)
		TEXT(in->fault->meant, "%s", dr_nearest_found(&near));
	return DR_E_INVALID;
}

static bool has_control(const char *s)
{
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return true;
	}
	return false;
}

enum dr_err dr_scalar_read(const struct dr_key *k, enum dr_key_type type, const char *text, bool plain,
			   const char *folder, void *field, struct dr_fault *f)
{
	struct input in = {
		.key = k, .type = type, .text = text, .folder = folder, .plain = plain, .fault = f
	};
	memset(f, 0, sizeof(*f));
	(void)dr_quote(in.quoted, text);
	if (text[0] == '\0' || (plain && (strcmp(text, "~") == 0 || strcmp(text, "null") == 0))) {
		struct dr_buf b;
		dr_buf_init(&b, sizeof(f->expected) - 1);
		dr_scalar_describe(k, &b);
		TEXT(f->what, "has no value");
		TEXT(f->expected, "%.*s", (int)b.len, b.data != NULL ? (const char *)b.data : "");
		dr_buf_close(&b);
		return DR_E_INVALID;
	}
	if (has_control(text)) {
		TEXT(f->what, "%s has a control character in it", in.quoted);
		TEXT(f->expected, "one line of text");
		return DR_E_INVALID;
	}
	switch (type) {
	case DR_TYPE_NAME:
		return read_name(&in, field);
	case DR_TYPE_PATH:
	case DR_TYPE_ABSOLUTE:
		return read_path(&in, field);
	case DR_TYPE_TEXT:
	case DR_TYPE_FQDN:
		return read_text(&in, field);
	case DR_TYPE_ADDRESS:
	case DR_TYPE_REACHED:
		return read_address(&in, field);
	case DR_TYPE_BOOL:
		return read_bool(&in, field);
	case DR_TYPE_CHOICE:
		return read_choice(&in, field);
	case DR_TYPE_PROFILE:
		return read_profile(&in, field);
	default:
		return read_number(&in, field);
	}
}
