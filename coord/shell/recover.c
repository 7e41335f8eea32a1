/* recover.c -- a majority of the coordinators is gone for good: this one goes on alone (docs/recover.md).
 *
 * Offline it becomes the only voter.  A file in its data folder, `recovering`, says how far that went, so that a
 * crash anywhere is gone on from by the next start:
 *
 *   "offline"  asked for; Raft's membership may or may not be changed yet: do it (again)
 *   "online"   the only voter; the agents must still be listened to and the log raised above what they say
 *   no file    done, or never asked
 *
 * Online it leads, and does nothing but listen: every lease that the lost majority granted must be over, and what
 * agents journaled is above what this log may have lost.  Then each service is raised, the file goes, and it
 * acts.  Doing all of it twice raises twice, which harms nothing. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "coord/shell/coord.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"

enum { SILENT_MS = 30000, WINDOW = 32, PATH_BYTES = DR_PATH_MAX + 16 };

enum phase { PHASE_NONE, PHASE_OFFLINE, PHASE_ONLINE };

/* The raising of the log, once listening is over. */
static struct {
	bool begun, failed;
	uint32_t next;        /* service */
	uint32_t outstanding; /* entries */
} raising;

/* ---- the file ---- */

static void path_of(const struct dr_coord *c, char path[PATH_BYTES])
{
	(void)snprintf(path, PATH_BYTES, "%s/recovering", c->conf.data_dir);
}

static enum dr_err read_phase(const struct dr_coord *c, enum phase *out, struct dr_error *e)
{
	char path[PATH_BYTES];
	char line[32];
	path_of(c, path);
	*out = PHASE_NONE;
	enum dr_err rv = dr_file_read_line(path, line, sizeof(line), e);
	if (rv == DR_E_NOT_FOUND)
		return DR_OK;
	if (rv != DR_OK)
		return rv;
	/* The file is replaced whole, so another word is somebody else's: the careful reading is to listen. */
	*out = strcmp(line, "offline") == 0 ? PHASE_OFFLINE : PHASE_ONLINE;
	return DR_OK;
}

static enum dr_err write_phase(const struct dr_coord *c, const char *line, struct dr_error *e)
{
	char path[PATH_BYTES];
	path_of(c, path);
	return dr_file_replace(path, line, strlen(line), 0600, e);
}

static enum dr_err remove_file(const struct dr_coord *c, struct dr_error *e)
{
	char path[PATH_BYTES];
	path_of(c, path);
	if (unlink(path) != 0 && errno != ENOENT)
		return dr_fail_errno(e, errno, "cannot remove %s", path);
	return dr_dir_sync(c->conf.data_dir, e);
}

/* ---- offline ---- */

void dr_recover_explain(const struct dr_coord *c, FILE *to)
{
	(void)fprintf(
	    to,
	    "drcoordd --recover makes %s the ONLY voter of cluster %s. It is for the day on which a\n"
	    "majority of the coordinators is gone for good. What it costs:\n"
	    "  - Changes that only the lost coordinators had are lost: specs, approvals, events.\n"
	    "  - If they still run, or come back with their data, there are two clusters. Stop them\n"
	    "    for good first and empty their data folders.\n"
	    "  - Every managed service loses its primary for a moment: nothing is granted until the\n"
	    "    longest lease is over and the agents were heard (up to %d s longer while some are not).\n"
	    "  - Where a member is not heard, a failover asks: it may have newer rows.\n"
	    "Choose the coordinator with the newest log (`commit` in the last `status`, or the newest\n"
	    "events in its output). Afterwards let new coordinators join (docs/recover.md).\n",
	    c->conf.name.s, c->conf.cluster.s, SILENT_MS / 1000);
}

static enum dr_err make_only_voter(struct dr_coord *c, uint64_t id, struct dr_error *e)
{
	struct dr_raft_member self = {
		.id = id, .name = c->conf.name, .address = dr_nodes_own_address(c), .voter = true
	};
	struct dr_error ignored;
	enum dr_err rv = write_phase(c, "offline\n", e);
	if (rv != DR_OK)
		return rv;
	rv = dr_raft_recover(c->conf.data_dir, &self, e);
	if (rv != DR_OK) {
		/* Nobody must find the wish later, when the others may be back. */
		dr_best_effort(remove_file(c, &ignored));
		return rv;
	}
	rv = write_phase(c, "online\n", e);
	if (rv == DR_OK)
		dr_log(DR_LOG_WARN, "recover.only_voter", "name=%s id=%" PRIu64, c->conf.name.s, id);
	return rv;
}

enum dr_err dr_recover_offline(struct dr_coord *c, bool asked, struct dr_error *e)
{
	enum phase phase = PHASE_NONE;
	uint64_t id = 0;
	enum dr_err rv = dr_raft_id(c->conf.data_dir, &id, e);
	if (rv == DR_E_NOT_FOUND)
		return asked ? dr_fail(e, rv, "%s holds no coordinator, so there is nothing to recover from",
				       c->conf.data_dir)
			     : DR_OK;
	if (rv == DR_OK)
		rv = read_phase(c, &phase, e);
	if (rv != DR_OK || (!asked && phase != PHASE_OFFLINE))
		return rv;
	if (asked)
		dr_recover_explain(c, stderr);
	rv = make_only_voter(c, id, e);
	return rv == DR_OK ? rv : dr_wrap(e, "not recovered");
}

enum dr_err dr_recover_resume(struct dr_coord *c, struct dr_error *e)
{
	enum phase phase;
	enum dr_err rv = read_phase(c, &phase, e);
	if (rv != DR_OK)
		return rv;
	c->recovering = phase != PHASE_NONE;
	c->core->view.recovering = c->recovering;
	return DR_OK;
}

/* ---- online ---- */

static void listen_first(struct dr_coord *c, uint64_t now)
{
	const struct dr_repl *r = &c->core->repl;
	uint32_t ttl = r->ttl_longest_ms > r->timing.ttl_ms ? r->ttl_longest_ms : r->timing.ttl_ms;
	uint64_t wait = dr_lease_hold_ms(ttl, r->timing.drift_ppm) + r->timing.probe_ms + 1;
	c->recover_until_ms = now + wait;
	dr_log(DR_LOG_WARN, "recover.listening", "ms=%" PRIu64 " longer_ms=%d services=%u", wait, SILENT_MS,
	       r->services);
}

static void raise_more(struct dr_coord *c);

static void on_raised(void *arg, enum dr_err outcome, uint64_t index)
{
	struct dr_coord *c = arg;
	(void)index;
	raising.outstanding--;
	raising.failed = raising.failed || outcome != DR_OK;
	if (!c->stopping && !raising.failed)
		raise_more(c);
}

static enum dr_err raise_one(struct dr_coord *c, uint32_t service)
{
	struct dr_cmd cmd;
	struct dr_buf b;
	dr_core_recover_cmd(c->core, service, &cmd);
	cmd.wall_ms = dr_clock_wall_ms();
	dr_buf_init(&b, DR_ENTRY_MAX);
	dr_cmd_encode(&b, &cmd);
	raising.outstanding++; /* the callback may come before the call returns */
	enum dr_err rv = dr_buf_ok(&b) ? dr_raft_propose(c->raft, b.data, b.len, on_raised, c) : DR_E_RANGE;
	dr_buf_close(&b);
	if (rv != DR_OK)
		raising.outstanding--;
	else
		dr_log(DR_LOG_WARN, "recover.raised",
		       "service=%s epoch=%" PRIu64 " number=%" PRIu64 " managed=%d unheard=%d",
		       c->core->repl.service[service].spec.name.s, cmd.epoch, cmd.a, cmd.flag, cmd.flag2);
	return rv;
}

static void raise_more(struct dr_coord *c)
{
	const struct dr_repl *r = &c->core->repl;
	while (raising.outstanding < WINDOW && raising.next < r->services && !raising.failed) {
		uint32_t service = raising.next++;
		if (r->service[service].used && raise_one(c, service) != DR_OK)
			raising.failed = true;
	}
}

static void go_on_normally(struct dr_coord *c)
{
	struct dr_error e;
	if (remove_file(c, &e) != DR_OK) {
		dr_log(DR_LOG_ERROR, "recover.marker",
		       "why=\"%s\" next=\"tried again; a restart would recover again\"", e.msg);
		return;
	}
	c->recovering = false;
	c->core->view.recovering = false;
	dr_log(DR_LOG_WARN, "recover.done", "next=\"let new coordinators join: docs/recover.md\"");
	dr_agents_lead(c, NULL);
}

void dr_recover_beat(struct dr_coord *c)
{
	if (!c->recovering || c->stopping)
		return;
	uint64_t now = dr_clock_boot_ms();
	if (!dr_coord_leads(c)) {
		c->recover_until_ms = 0;
		return;
	}
	if (c->recover_until_ms == 0) {
		listen_first(c, now);
		return;
	}
	if (raising.outstanding > 0)
		return;
	if (raising.failed) { /* from the start: some of the entries may have made it */
		memset(&raising, 0, sizeof(raising));
		listen_first(c, now);
		return;
	}
	bool heard = dr_core_recover_heard(c->core);
	if (!raising.begun &&
	    (now < c->recover_until_ms || (!heard && now < c->recover_until_ms + SILENT_MS)))
		return;
	raising.begun = true;
	raise_more(c);
	if (raising.outstanding == 0 && raising.next >= c->core->repl.services && !raising.failed)
		go_on_normally(c);
}
