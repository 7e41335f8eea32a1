/* problems.c -- the bounded list of what is wrong with one file. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "conf/yaml.h"

void dr_problems_init(struct dr_conf_problems *p, const char *file)
{
	p->count = p->errors = p->warnings = 0;
	p->unreadable = false;
	(void)dr_copy_text(p->file, sizeof(p->file), file);
}

static uint32_t clamp(size_t n)
{
	return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

void dr_problems_add(struct dr_conf_problems *p, bool warning, size_t line, size_t column, const char *fmt,
		     ...)
{
	if (warning)
		p->warnings++;
	else
		p->errors++;
	if (p->count == DR_CONF_PROBLEMS_MAX)
		return;
	struct dr_conf_problem *one = &p->problem[p->count++];
	one->line = clamp(line);
	one->column = clamp(column);
	one->warning = warning;
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(one->text, sizeof(one->text), fmt, ap);
	va_end(ap);
}

static bool stands_before(const struct dr_conf_problem *a, const struct dr_conf_problem *b)
{
	return a->line != b->line ? a->line < b->line : a->column < b->column;
}

/* Insertion: stable, and the list is short and nearly sorted. */
void dr_problems_sort(struct dr_conf_problems *p)
{
	for (uint32_t i = 1; i < p->count; i++) {
		struct dr_conf_problem one = p->problem[i];
		uint32_t j = i;
		for (; j > 0 && stands_before(&one, &p->problem[j - 1]); j--)
			p->problem[j] = p->problem[j - 1];
		p->problem[j] = one;
	}
}

static void print_one(const struct dr_conf_problems *p, const struct dr_conf_problem *one, FILE *to)
{
	(void)fprintf(to, "%s:", p->file);
	if (one->line > 0)
		(void)fprintf(to, "%" PRIu32 ":%" PRIu32 ":", one->line, one->column);
	(void)fprintf(to, " %s%s\n", one->warning ? "warning: " : "", one->text);
}

void dr_conf_problems_print(const struct dr_conf_problems *p, FILE *to)
{
	for (uint32_t i = 0; i < p->count; i++)
		print_one(p, &p->problem[i], to);
	uint32_t all = p->errors + p->warnings;
	if (all > p->count)
		(void)fprintf(to, "%s: and %" PRIu32 " more\n", p->file, all - p->count);
}

enum dr_err dr_conf_problems_fail(const struct dr_conf_problems *p, struct dr_error *e)
{
	for (uint32_t i = 0; i < p->count; i++) {
		const struct dr_conf_problem *one = &p->problem[i];
		if (one->warning)
			continue;
		char more[64] = "";
		if (p->errors > 1)
			(void)snprintf(more, sizeof(more), " (and %" PRIu32 " more: drcoordctl validate)",
				       p->errors - 1);
		return dr_fail(e, DR_E_INVALID, "%s:%" PRIu32 ":%" PRIu32 ": %s%s", p->file, one->line,
			       one->column, one->text, more);
	}
	return dr_fail(e, DR_E_INVALID, "%s: not accepted", p->file);
}
