/* said.c -- see said.h. */
#include "base/said.h"

bool dr_said_is_news(struct dr_said *s, enum dr_err err, uint64_t now_ms, unsigned *left_out)
{
	bool again = s->any && s->last == err;
	s->last = err;
	if (s->any && s->err == err)
		return false;
	if (!s->any || now_ms - s->since_ms >= DR_SAID_MS) {
		s->since_ms = now_ms;
		s->lines = 0;
	}
	if (s->lines == DR_SAID_LINES) {
		s->left_out += again ? 0 : 1;
		return false;
	}
	*left_out = s->left_out;
	s->left_out = 0;
	s->lines++;
	s->any = true;
	s->err = err;
	return true;
}
