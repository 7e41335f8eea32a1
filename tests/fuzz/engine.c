/* engine.c -- the door by which libFuzzer comes in: `drcoord-fuzz --target=NAME`, then its own arguments. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const struct fuzz_row *chosen;

/* libFuzzer leaves arguments with two dashes alone, and hands them on to the processes that it starts. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char word[] = "--target=";
	for (int i = 1; i < *argc; i++) {
		if (strncmp((*argv)[i], word, strlen(word)) == 0)
			chosen = fuzz_row_named((*argv)[i] + strlen(word));
	}
	if (chosen == NULL) {
		(void)fprintf(stderr,
			      "usage: drcoord-fuzz --target=NAME [-flag=value]... [FOLDER or FILE]...\n");
		exit(2);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	chosen->run(p, n);
	return 0;
}
