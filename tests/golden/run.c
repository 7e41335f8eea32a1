/* run.c -- golden_run [--rewrite] FILE.txt...: plays each scenario and compares its transcript with the one that
 * stands in the file; --rewrite puts the new one there.  A broken rule or expectation fails either way. */
#include "tests/world/world.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static char *slurp(const char *path, size_t *n)
{
	FILE *f = fopen(path, "re");
	*n = 0;
	if (f == NULL)
		return NULL;
	size_t cap = 1 << 16;
	char *text = dr_xcalloc(cap + 1);
	for (;;) {
		size_t got = fread(text + *n, 1, cap - *n, f);
		*n += got;
		if (got == 0)
			break;
		if (*n == cap)
			text = dr_xrealloc(text, (cap *= 2) + 1);
	}
	text[*n] = '\0';
	(void)fclose(f);
	return text;
}

static void first_difference(const char *path, const char *was, const char *now)
{
	unsigned line = 1;
	size_t start = 0;
	size_t i = 0;
	for (; was[i] != '\0' && was[i] == now[i]; i++) {
		if (was[i] == '\n') {
			line++;
			start = i + 1;
		}
	}
	(void)printf("%s:%u: differs\n  was: %.*s\n  now: %.*s\n", path, line,
		     (int)strcspn(was + start, "\n"), was + start, (int)strcspn(now + start, "\n"),
		     now + start);
}

static bool play(const char *path, bool rewrite)
{
	char *now = NULL;
	size_t now_n = 0;
	size_t was_n = 0;
	FILE *out = open_memstream(&now, &now_n);
	if (out == NULL)
		return false;
	bool fine = w_script(path, out);
	(void)fclose(out);
	char *was = slurp(path, &was_n);
	if (was == NULL) {
		(void)printf("%s: not found\n", path);
		fine = false;
	} else if (rewrite) {
		FILE *f = fopen(path, "we");
		fine = f != NULL && fwrite(now, 1, now_n, f) == now_n && fine;
		if (f != NULL)
			(void)fclose(f);
	} else if (was_n != now_n || memcmp(was, now, now_n) != 0) {
		first_difference(path, was, now);
		fine = false;
	}
	if (!fine) {
		char *rest = NULL;
		for (char *line = strtok_r(now, "\n", &rest); line != NULL;
		     line = strtok_r(NULL, "\n", &rest)) {
			if (strstr(line, "VIOLATION") != NULL || strstr(line, "WRONG") != NULL)
				(void)printf("%s: %s\n", path, line);
		}
	}
	dr_free(was);
	free(now);
	return fine;
}

int main(int argc, char **argv)
{
	bool rewrite = false;
	int failed = 0;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--rewrite") == 0)
			rewrite = true;
		else if (!play(argv[i], rewrite))
			failed++;
	}
	(void)printf("%d scenario(s) failed\n", failed);
	return failed == 0 ? 0 : 1;
}
