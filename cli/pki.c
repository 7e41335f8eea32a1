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

/* drcoordd beside this program. */
static bool daemon_path(char path[DR_PATH_MAX])
{
	static const char program[] = "drcoordd";
	ssize_t n = readlink("/proc/self/exe", path, DR_PATH_MAX - 1);
	path[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(path, '/');
	if (slash == NULL || (size_t)(slash + 1 - path) + sizeof(program) > DR_PATH_MAX)
		return false;
	memcpy(slash + 1, program, sizeof(program));
	return true;
}

#define RECOVER_TEXT                                                                                         \
	"For the day on which a majority of the coordinators is gone for good: the one of\n"                 \
	"this host becomes the only voter. Changes that only the others have are lost, and\n"                \
	"if they still run, or come back with their data, there are two clusters. Each\n"                    \
	"managed service loses its primary until its longest lease is over and its agents\n"                 \
	"were heard. Whose data a service's is stays as this log has it: servers with another\n"             \
	"volume are not chosen. Choose the coordinator with the newest log, stop it, stop the\n"             \
	"others for good, and run on its host\n\n"                                                           \
	"  %s --config %s --recover --yes-a-majority-is-gone\n\n"                                            \
	"which goes on running; or let `drcoordctl node recover --config %s --force`\n"                      \
	"do the offline part, and start it as always.\n"

/* Nobody can do it from afar: the storage is opened by drcoordd alone, on the host where it lies.  Without --force
 * this only explains; with it, drcoordd does the offline part, and its next start goes on with it. */
enum dr_exit dr_verb_recover(struct dr_cli *c)
{
	const char *config;
	char path[DR_PATH_MAX];
	struct dr_error e = { 0 };
	enum dr_exit rv = need(c, DR_OPTION_CONFIG, &config);
	if (rv != DR_EXIT_OK)
		return rv;
	if (!daemon_path(path)) {
		(void)dr_fail(&e, DR_E_NOT_FOUND, "cannot tell where this program stands");
		return dr_say_error(c, &e);
	}
	if (c->option[DR_OPTION_FORCE] == NULL) {
		(void)printf(RECOVER_TEXT, path, config, config);
		return DR_EXIT_OK;
	}
	char *argv[] = { path,
			 (char[]){ "--config" },
			 (char *)(uintptr_t)config,
			 (char[]){ "--recover" },
			 (char[]){ "--yes-a-majority-is-gone" },
			 (char[]){ "--offline" },
			 NULL };
	(void)fflush(stdout);
	(void)execv(path, argv);
	(void)dr_fail(&e, DR_E_NOT_FOUND, "cannot start %s, which stands beside drcoordctl", path);
	return dr_say_error(c, &e);
}
