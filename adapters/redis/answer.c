/* answer.c -- commands as bytes, and errors as codes. */
#include <stdarg.h>
#include <string.h>

#include "adapters/redis/red.h"
#include "base/assert.h"

enum { WORDS_MAX = 16 };

static const struct {
	const char *word; /* that the error begins with */
	enum dr_err code;
} codes[] = {
	{ "LOADING", DR_E_BUSY },       { "BUSY", DR_E_BUSY },           { "READONLY", DR_E_REFUSED },
	{ "MISCONF", DR_E_IO },         { "NOAUTH", DR_E_AUTH },         { "WRONGPASS", DR_E_AUTH },
	{ "NOPERM", DR_E_DENIED },      { "DENIED", DR_E_DENIED },       { "MASTERDOWN", DR_E_REFUSED },
	{ "NOREPLICAS", DR_E_FAILED },  { "OOM", DR_E_FAILED },          { "CLUSTERDOWN", DR_E_UNSUPPORTED },
	{ "MOVED", DR_E_UNSUPPORTED },  { "ERR max number of clients", DR_E_FULL },
	{ "ERR invalid password", DR_E_AUTH }, { "DRCOORD", DR_E_REFUSED },
};

enum dr_err red_error(const char *answer, struct dr_error *e)
{
	enum dr_err code = DR_E_FAILED;

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (strncmp(answer, codes[i].word, strlen(codes[i].word)) == 0)
			code = codes[i].code;
	}
	/* "MISCONF Errors writing to the AOF file: No space left on device" */
	if (code == DR_E_IO && strstr(answer, "No space left") != NULL)
		code = DR_E_NO_SPACE;
	(void)dr_fail(e, code, "%s", answer);
	for (char *p = e->msg; *p != '\0'; p++)
		*p = (unsigned char)*p < 0x20 ? ' ' : *p;
	return code;
}

const char *red_refusal(const redisReply *r)
{
	if (r->type == REDIS_REPLY_ERROR)
		return r->str;
	for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements; i++) {
		if (r->element[i]->type == REDIS_REPLY_ERROR)
			return r->element[i]->str;
	}
	return NULL;
}

void red_say(struct dr_buf *b, ...)
{
	const char *word[WORDS_MAX], *one;
	size_t len[WORDS_MAX];
	char *bytes = NULL;
	int n = 0;
	va_list ap;

	va_start(ap, b);
	while ((one = va_arg(ap, const char *)) != NULL) {
		dr_assert(n < WORDS_MAX);
		len[n] = strlen(one);
		word[n++] = one;
	}
	va_end(ap);
	int made = (int)redisFormatCommandArgv(&bytes, n, word, len);
	dr_assert(made > 0);
	dr_buf_put(b, bytes, (size_t)made);
	explicit_bzero(bytes, (size_t)made);
	redisFreeCommand(bytes);
}
