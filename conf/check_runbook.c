/* check_runbook.c -- see check.h: the steps of the runbook. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "conf/check.h"

static void bad(struct dr_yaml *y, const struct dr_spec *spec, uint32_t i, const char *key, const char *what)
{
	dr_yaml_bad(y, dr_check_at(y, "runbook[%" PRIu32 "].%s", i, key), "runbook.%s.%s: %s", spec->runbook[i].name.s, key, what);
}

static void check_site(struct dr_yaml *y, const struct dr_spec *spec, uint32_t i, const char *key, const struct dr_name *site)
{
	struct dr_nearest near = dr_nearest_to(site->s);
	char text[256];
	for (uint32_t k = 0; k < spec->sites; k++) {
		if (dr_name_eq(&spec->site[k].name, site))
			return;
		dr_nearest_try(&near, spec->site[k].name.s);
	}
	if (site->s[0] == '\0')
		return;
	const char *meant = dr_nearest_found(&near);
	(void)snprintf(text, sizeof(text), "there is no site \"%s\"; expected one of sites%s%s%s", site->s,
		       meant != NULL ? "; did you mean \"" : "", meant != NULL ? meant : "", meant != NULL ? "\"?" : "");
	bad(y, spec, i, key, text);
}

static bool is_agent(const struct dr_spec *spec, const struct dr_name *agent)
{
	for (uint32_t i = 0; i < spec->services; i++) {
		for (uint32_t m = 0; m < DR_MEMBERS_MAX; m++) {
			if (spec->service[i].member[m].name.s[0] != '\0' && dr_name_eq(&spec->service[i].member[m].agent, agent))
				return true;
		}
	}
	return false;
}

static void check_command(struct dr_yaml *y, const struct dr_spec *spec, uint32_t i, const char *key, const char *text)
{
	size_t n = strcspn(text, " ");
	bool is_bad = text[0] == '.' || strcspn(text, "/;\t\"'\\") < n;
	if (text[0] != '\0' && (n == 0 || is_bad))
		bad(y, spec, i, key,
		    "expected the name of a program in commands_in and its arguments, all between blanks, no path");
}

static void check_url(struct dr_yaml *y, const struct dr_spec *spec, uint32_t i, const char *key, const char *url)
{
	if (url[0] != '\0' && strncmp(url, "https://", 8) != 0)
		bad(y, spec, i, key, "expected https://HOST[:PORT]/PATH: whoever reads the request on its way could send it again");
}

static void check_what(struct dr_yaml *y, const struct dr_spec *spec, uint32_t i)
{
	const struct dr_runbook_step *s = &spec->runbook[i];
	bool command = s->run[0] != '\0', request = s->url[0] != '\0';
	if (command == request)
		bad(y, spec, i, command ? "url" : "name", "expected either run (a command) or url (a request)");
	if (!command && (s->verify[0] != '\0' || s->undo[0] != '\0'))
		bad(y, spec, i, s->verify[0] != '\0' ? "verify" : "undo", "goes with run; a request is confirmed by its answer and "
		    "taken back by undo_url");
	if (!request && (s->undo_url[0] != '\0' || s->hmac_secret_file[0] != '\0' || s->ca_file[0] != '\0'))
		bad(y, spec, i, s->undo_url[0] != '\0' ? "undo_url" : s->ca_file[0] != '\0' ? "ca_file" : "secret_file",
		    "goes with url only");
	if (request && s->hmac_secret_file[0] == '\0')
		bad(y, spec, i, "url", "key \"secret_file\" is missing: what signs the request");
	if (request && s->on_agent.s[0] != '\0')
		bad(y, spec, i, "on_agent", "an agent runs commands only; expected on_site, or neither");
}

static void check_step(struct dr_yaml *y, const struct dr_spec *spec, uint32_t i)
{
	const struct dr_runbook_step *s = &spec->runbook[i];
	check_site(y, spec, i, "site", &s->site);
	check_site(y, spec, i, "on_site", &s->on_site);
	if (s->on_agent.s[0] != '\0' && s->on_site.s[0] != '\0')
		bad(y, spec, i, "on_agent", "expected either on_site or on_agent");
	else if (s->on_agent.s[0] != '\0' && !is_agent(spec, &s->on_agent))
		bad(y, spec, i, "on_agent", "no member of any service has this agent");
	check_command(y, spec, i, "run", s->run);
	check_command(y, spec, i, "verify", s->verify);
	check_command(y, spec, i, "undo", s->undo);
	check_url(y, spec, i, "url", s->url);
	check_url(y, spec, i, "undo_url", s->undo_url);
	check_what(y, spec, i);
	if (s->site.s[0] != '\0' && dr_name_eq(&s->site, &s->on_site) && s->plans != DR_RUNBOOK_PLANNED)
		dr_yaml_warn(y, dr_check_at(y, "runbook[%" PRIu32 "].on_site", i),
			     "runbook.%s.on_site: %s is the site that is given up; when it is lost nobody there answers", s->name.s,
			     s->on_site.s);
	if (s->when == DR_RUNBOOK_BEFORE && s->plans != DR_RUNBOOK_PLANNED)
		dr_yaml_warn(y, dr_check_at(y, "runbook[%" PRIu32 "].when", i),
			     "runbook.%s.when: of a lost site no service is moved before this step has ended, which may take "
			     "%" PRIu32 " s",
			     s->name.s, (s->timeout_ms + 999) / 1000);
}

void dr_check_runbook(struct dr_yaml *y, const struct dr_spec *spec)
{
	for (uint32_t i = 0; i < DR_RUNBOOK_MAX; i++) {
		if (spec->runbook[i].name.s[0] != '\0')
			check_step(y, spec, i);
	}
}
