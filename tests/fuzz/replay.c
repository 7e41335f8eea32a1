/* replay.c -- each input of each corpus once, without a fuzzer: `fuzz_replay CORPORA [TARGET]`.
 *
 * Prints the lines that ./check counts, one a target.  A finding ends the process; the input's path was the last
 * thing said on stderr. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "sys/file.h"

enum { INPUT_MAX = 1 << 20 };

/* False: it is none, or cannot be read. */
static bool replay_file(const struct fuzz_row *row, const char *path)
{
	struct dr_buf b;
	dr_buf_init(&b, INPUT_MAX);
	bool is = dr_file_read(path, &b, NULL) == DR_OK;
	if (is) {
		/* A copy of the exact size, so that the sanitizer sees each byte read too many. */
		uint8_t *exact = dr_xcalloc(b.len);
		if (b.len > 0)
			memcpy(exact, b.data, b.len);
		(void)fprintf(stderr, "%s\n", path);
		row->run(exact, b.len);
		dr_free(exact);
	}
	dr_buf_close(&b);
	return is;
}

static unsigned replay(const struct fuzz_row *row, const char *corpora)
{
	char path[1024];
	unsigned count = 0;
	(void)snprintf(path, sizeof(path), "%s/%s", corpora, row->name);
	DIR *d = opendir(path);
	for (struct dirent *f = NULL; d != NULL && (f = readdir(d)) != NULL;) {
		(void)snprintf(path, sizeof(path), "%s/%s/%s", corpora, row->name, f->d_name);
		if (f->d_name[0] != '.' && replay_file(row, path))
			count++;
	}
	if (d != NULL)
		(void)closedir(d);
	return count;
}

int main(int argc, char **argv)
{
	unsigned failed = 0;
	const struct fuzz_row *row = NULL;
	if (argc < 2) {
		(void)fprintf(stderr, "usage: fuzz_replay CORPORA [TARGET]\n");
		return 2;
	}
	for (size_t i = 0; (row = fuzz_row_at(i)) != NULL; i++) {
		if (argc > 2 && strcmp(argv[2], row->name) != 0)
			continue;
		unsigned count = replay(row, argv[1]);
		failed += count == 0;
		(void)printf("%s %zu - fuzz %s: %u inputs\n", count > 0 ? "ok" : "not ok", i + 1, row->name,
			     count);
		(void)fflush(stdout);
	}
	return failed > 0;
}
