/* template.c -- see template.h. */
#include "adapters/file/template.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { WORD_MAX_ = 32, VALUE_MAX = 128 };

static bool value_of(const char *word, const struct dr_template_values *v, char out[VALUE_MAX])
{
	if (strcmp(word, "service") == 0)
		(void)snprintf(out, VALUE_MAX, "%s", v->service);
	else if (strcmp(word, "primary.name") == 0)
		(void)snprintf(out, VALUE_MAX, "%s", v->primary);
	else if (strcmp(word, "primary.host") == 0)
		(void)snprintf(out, VALUE_MAX, "%s", v->at->host);
	else if (strcmp(word, "primary.port") == 0)
		(void)snprintf(out, VALUE_MAX, "%u", v->at->port);
	else if (strcmp(word, "epoch") == 0)
		(void)snprintf(out, VALUE_MAX, "%" PRIu64, v->epoch);
	else
		return false;
	return true;
}

/* The word between braces at text[at], without blanks around it; 0: they are not closed.  Else where it goes on. */
static size_t take_word(const char *text, size_t len, size_t at, char word[WORD_MAX_])
{
	size_t n = 0;
	for (size_t i = at; i + 1 < len && text[i] != '\n'; i++) {
		if (text[i] == '}' && text[i + 1] == '}') {
			word[n] = '\0';
			return i + 2;
		}
		if (text[i] != ' ' && n + 1 < WORD_MAX_)
			word[n++] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
	}
	word[n] = '\0';
	return 0;
}

enum dr_err dr_template_fill(const char *text, size_t len, const struct dr_template_values *v, struct dr_buf *out,
			     struct dr_error *e)
{
	unsigned line = 1;
	for (size_t i = 0; i < len;) {
		char word[WORD_MAX_], value[VALUE_MAX];
		if (i + 1 >= len || text[i] != '{' || text[i + 1] != '{') {
			line += text[i] == '\n' ? 1 : 0;
			dr_buf_put_u8(out, (uint8_t)text[i++]);
			continue;
		}
		i = take_word(text, len, i + 2, word);
		if (i == 0)
			return dr_fail(e, DR_E_INVALID, "line %u: \"{{%s\" is not closed on its line; expected }}", line, word);
		if (!value_of(word, v, value))
			return dr_fail(e, DR_E_INVALID,
				       "line %u: {{%s}} is not known; expected service, primary.name, primary.host, primary.port "
				       "or epoch",
				       line, word);
		dr_buf_put(out, value, strlen(value));
	}
	return dr_buf_ok(out) ? DR_OK : dr_fail(e, DR_E_RANGE, "filled in it is too long");
}
