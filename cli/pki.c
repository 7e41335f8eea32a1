/* pki.c -- verbs about certificates, and the offline way back after the majority is gone. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "cli/cli.h"

enum { CA_DAYS = 3650, CERT_DAYS = 365, DAYS_MAX = 36500 };

static enum dr_exit need(struct dr_cli *c, enum dr_option_id id, const char **out)
{
	*out = c->option[id];
	if (*out == NULL || (*out)[0] == '\0')
		return dr_say_usage(c, "--%s %s is missing: %s", dr_options[id].word, dr_options[id].argument,
				    dr_options[id].help);
	return DR_EXIT_OK;
}

static enum dr_exit days_of(struct dr_cli *c, uint32_t usual, uint32_t *out)
{
	const char *text = c->option[DR_OPTION_DAYS];
	uint64_t v = usual;
	if (text != NULL && dr_parse_u64(text, 1, DAYS_MAX, &v) != DR_OK)
		return dr_say_usage(c, "--days %s: expected a whole number from 1 to %d", text, DAYS_MAX);
	*out = (uint32_t)v;
	return DR_EXIT_OK;
}

/* What was written, for people and for programs. */
static void say_written(const struct dr_cli *c, const char *head, const char *cert, const char *key)
{
	if (c->json)
		(void)printf("{\"cert\":\"%s%s\",\"key\":\"%s%s\"}\n", head, cert, head, key);
	else
		(void)printf("written: %s%s, %s%s\n", head, cert, head, key);
}

enum dr_exit dr_verb_pki_init(struct dr_cli *c)
{
	const char *dir, *cluster;
	uint32_t days = 0;
	struct dr_error e = { 0 };
	enum dr_exit rv = need(c, DR_OPTION_DIR, &dir);
	if (rv == DR_EXIT_OK)
		rv = need(c, DR_OPTION_CLUSTER, &cluster);
	if (rv == DR_EXIT_OK)
		rv = days_of(c, CA_DAYS, &days);
	if (rv != DR_EXIT_OK)
		return rv;
	if (dr_pki_init(dir, cluster, days, &e) != DR_OK)
		return dr_say_error(c, &e);
	say_written(c, dir, "/ca.crt", "/ca.key");
	return DR_EXIT_OK;
}

enum dr_exit dr_verb_pki_issue(struct dr_cli *c)
{
	const char *dir, *kind, *name, *out;
	uint32_t days = 0;
	struct dr_identity who = { 0 };
	struct dr_error e = { 0 };
	enum dr_exit rv = need(c, DR_OPTION_DIR, &dir);
	if (rv == DR_EXIT_OK)
		rv = need(c, DR_OPTION_KIND, &kind);
	if (rv == DR_EXIT_OK)
		rv = need(c, DR_OPTION_NAME, &name);
	if (rv == DR_EXIT_OK)
		rv = need(c, DR_OPTION_OUT, &out);
	if (rv == DR_EXIT_OK)
		rv = days_of(c, CERT_DAYS, &days);
	if (rv != DR_EXIT_OK)
		return rv;
	who.kind = dr_peer_kind_find(kind);
	if (who.kind == DR_PEER_NONE)
		return dr_say_usage(c, "--kind %s: expected %s", kind, dr_options[DR_OPTION_KIND].help);
	if (!dr_name_set(&who.name, name))
		return dr_say_usage(c, "--name %s: expected a-z, 0-9 and '-', at most %d", name,
				    DR_NAME_MAX - 1);
	if (dr_pki_issue(dir, &who, days, out, &e) != DR_OK)
		return dr_say_error(c, &e);
	say_written(c, out, ".crt", ".key");
	return DR_EXIT_OK;
}

/* The storage is opened by drcoordd alone, so that only one program knows how; it is the one beside us. */
enum dr_exit dr_verb_recover(struct dr_cli *c)
{
	const char *config;
	char path[DR_PATH_MAX];
	struct dr_error e = { 0 };
	enum dr_exit rv = need(c, DR_OPTION_CONFIG, &config);
	if (rv != DR_EXIT_OK)
		return rv;
	if (c->option[DR_OPTION_FORCE] == NULL)
		return dr_say_usage(
		    c,
		    "this makes the coordinator of %s the only voter. Writes of the log that only the others "
		    "have are lost, and if they still run there are two clusters. Stop them for good, then say "
		    "--force",
		    config);
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(path, '/');
	static const char program[] = "drcoordd";
	if (slash == NULL || (size_t)(slash + 1 - path) + sizeof(program) > sizeof(path)) {
		(void)dr_fail(&e, DR_E_NOT_FOUND, "cannot tell where this program stands");
		return dr_say_error(c, &e);
	}
	memcpy(slash + 1, program, sizeof(program));
	char *argv[] = { path, (char[]){ "--config" }, (char *)(uintptr_t)config, (char[]){ "--recover" },
			 NULL };
	(void)fflush(stdout);
	(void)execv(path, argv);
	(void)dr_fail(&e, DR_E_NOT_FOUND, "cannot start %s, which stands beside drcoordctl", path);
	return dr_say_error(c, &e);
}
