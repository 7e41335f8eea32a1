/* error.c -- see error.h. */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

struct row {
	const char *name;
	const char *text;
	enum dr_err_class class;
};

static const struct row rows[] = {
#define ERR(name, class, text) [DR_E_##name] = { #name, text, DR_CLASS_##class },
#include "base/errors.def"
#undef ERR
};
_Static_assert(sizeof(rows) / sizeof(rows[0]) == DR_ERR_COUNT, "one row per code");

/* The names are wanted in lower case; they are made once, at the first call, from the rows. */
static char lower_names[DR_ERR_COUNT][16];

__attribute__((constructor)) static void lower_names_init(void)
{
	for (size_t i = 0; i < DR_ERR_COUNT; i++) {
		size_t n = 0;
		for (; rows[i].name[n] != '\0' && n + 1 < sizeof(lower_names[i]); n++) {
			char c = rows[i].name[n];
			lower_names[i][n] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
		}
		lower_names[i][n] = '\0';
	}
}

static bool known(enum dr_err code)
{
	return (unsigned)code < DR_ERR_COUNT;
}

const char *dr_err_name(enum dr_err code)
{
	return known(code) ? lower_names[code] : "unknown_code";
}

const char *dr_err_text(enum dr_err code)
{
	return known(code) ? rows[code].text : "unknown error code";
}

enum dr_err_class dr_err_class(enum dr_err code)
{
	return known(code) ? rows[code].class : DR_CLASS_FATAL;
}

void dr_error_clear(struct dr_error *e)
{
	e->code = DR_OK;
	e->msg[0] = '\0';
}

static void cut_to_one_line(char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '\n' || *s == '\r')
			*s = ' ';
	}
}

enum dr_err dr_fail(struct dr_error *e, enum dr_err code, const char *fmt, ...)
{
	dr_assert(code != DR_OK);
	if (e == NULL)
		return code;
	/* Callers may pass e->msg itself as an argument, so the text is made aside. */
	char made[DR_ERROR_MSG_MAX];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(made, sizeof(made), fmt, ap);
	va_end(ap);
	cut_to_one_line(made);
	memcpy(e->msg, made, sizeof(made));
	e->code = code;
	return code;
}

enum dr_err dr_wrap(struct dr_error *e, const char *fmt, ...)
{
	dr_assert(e != NULL);
	dr_assert(e->code != DR_OK);
	char context[DR_ERROR_MSG_MAX / 2];
	char made[DR_ERROR_MSG_MAX];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(context, sizeof(context), fmt, ap);
	va_end(ap);
	const char *rest = e->msg[0] != '\0' ? e->msg : dr_err_text(e->code);
	int head = snprintf(made, sizeof(made), "%s: ", context);
	size_t at = head < 0 ? 0 : (size_t)head;
	size_t room = sizeof(made) - at - 1;
	size_t n = strnlen(rest, room);
	memcpy(made + at, rest, n);
	made[at + n] = '\0';
	cut_to_one_line(made);
	memcpy(e->msg, made, sizeof(made));
	return e->code;
}

static enum dr_err code_of_errno(int err)
{
	switch (err) {
	case ENOSPC:
	case EDQUOT:
		return DR_E_NO_SPACE;
	case EACCES:
	case EPERM:
		return DR_E_DENIED;
	case ENOENT:
		return DR_E_NOT_FOUND;
	case EEXIST:
		return DR_E_EXISTS;
	case ETIMEDOUT:
		return DR_E_TIMEOUT;
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case ENETUNREACH:
		return DR_E_UNREACHABLE;
	default:
		return DR_E_IO;
	}
}

enum dr_err dr_fail_errno(struct dr_error *e, int err, const char *fmt, ...)
{
	char made[DR_ERROR_MSG_MAX];
	char why[96];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(made, sizeof(made), fmt, ap);
	va_end(ap);
	/* GNU strerror_r: the text may be a static one or in why. */
	const char *text = strerror_r(err, why, sizeof(why));
	return dr_fail(e, code_of_errno(err), "%s: %s", made, text);
}
