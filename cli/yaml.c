/* yaml.c -- answers for programs: as the coordinator's JSON, or with -o yaml as YAML.  Strings are written as JSON does, which
 * YAML reads alike: none is taken for a number, a date or a boolean. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/out.h"

static void print(const json_t *v, unsigned indent, bool in_list);

static void indented(unsigned indent)
{
	(void)printf("%*s", (int)indent, "");
}

static void print_scalar(const json_t *v)
{
	char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
	(void)printf("%s\n", text != NULL ? text : "null");
	free(text);
}

static bool is_plain(const char *key)
{
	return key[0] != '\0' && strspn(key, "abcdefghijklmnopqrstuvwxyz_") == strlen(key);
}

static void print_key(const char *key)
{
	json_t *s = is_plain(key) ? NULL : json_string(key);
	char *text = s != NULL ? json_dumps(s, JSON_ENCODE_ANY) : NULL;
	(void)printf("%s:", text != NULL ? text : key);
	free(text);
	json_decref(s);
}

/* Behind "key:", or behind "-". */
static void print_inside(const json_t *v, unsigned indent)
{
	bool empty = (json_is_object(v) && json_object_size(v) == 0) || (json_is_array(v) && json_array_size(v) == 0);
	if (empty || (!json_is_object(v) && !json_is_array(v))) {
		(void)printf(" ");
		print_scalar(v);
		return;
	}
	(void)printf("\n");
	print(v, indent, false);
}

/* in_list: behind "- " already, where the first line begins. */
static void print(const json_t *v, unsigned indent, bool in_list)
{
	const char *key;
	json_t *one;
	size_t i;
	json_array_foreach(v, i, one)
	{
		indented(indent);
		(void)printf("-");
		if (json_is_object(one) && json_object_size(one) > 0) {
			(void)printf(" ");
			print(one, indent + 2, true);
		} else {
			print_inside(one, indent + 2);
		}
	}
	json_object_foreach((json_t *)(uintptr_t)v, key, one)
	{
		if (!in_list)
			indented(indent);
		in_list = false;
		print_key(key);
		print_inside(one, indent + 2);
	}
}

void dr_say_json(const struct dr_cli *c, const char *text)
{
	json_t *v = c->yaml ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
	if (v == NULL) {
		(void)printf("%s\n", text);
		return;
	}
	(void)printf("---"); /* a stream is one document after the other */
	print_inside(v, 0);
	json_decref(v);
}
