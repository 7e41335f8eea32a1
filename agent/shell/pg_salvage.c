/* pg_salvage.c -- before anything is destroyed: the WAL that only this server has goes to a safe place
 * (pg_jobs_own.h). */
#include <stdio.h>
#include <string.h>

#include "agent/shell/pg_jobs_own.h"

static void put_head(struct job_salvage *s)
{
	const struct dr_pg_compare *c = &s->job->compare;
	char fork[PG_LSN_TEXT], end[PG_LSN_TEXT];
	(void)snprintf(
	    s->head, sizeof(s->head),
	    "drcoord-salvage 1\nservice %s\nmember %s\nsystem %llu\ntimeline %u\nfork %u %s\nend %s\n",
	    s->job->local.service.s, s->job->local.member.s, (unsigned long long)c->system_id, c->timeline,
	    c->fork_timeline, pg_lsn_text(c->fork_lsn, fork),
	    c->end_known ? pg_lsn_text(c->end_lsn, end) : "?");
}

/* Segments from the fork to the end, of the timelines from the fork's on; and the histories of those. */
static bool is_wanted(const struct job_salvage *s, const char *name)
{
	const struct dr_pg_compare *c = &s->job->compare;
	uint32_t timeline = 0;
	uint64_t number = 0;
	size_t n = strlen(name);
	if (n == 16 && strcmp(name + 8, ".history") == 0)
		return true;
	uint32_t segment = c->wal_segment_bytes != 0 ? c->wal_segment_bytes : 16u << 20;
	if (!pg_segment_parse(name, segment, &timeline, &number))
		return false;
	if (!c->end_known)
		return true;
	return timeline >= c->fork_timeline && timeline <= c->timeline && number >= c->fork_lsn / segment &&
	       number <= (c->end_lsn - 1) / segment;
}

enum dr_err pg_job_salvage(struct dr_job *job, struct dr_error *e)
{
	struct job_salvage s = { .job = job, .wanted = is_wanted };
	const struct dr_pg_compare *c = &job->compare;
	memset(&job->salvage, 0, sizeof(job->salvage));
	if (c->verdict == DR_PG_UNKNOWN || c->verdict == DR_PG_STRANGER)
		return dr_fail(e, DR_E_REFUSED, "what to salvage isn't known: compare says %s",
			       dr_pg_verdict_text(c->verdict));
	if (c->verdict == DR_PG_NOTHING || c->verdict == DR_PG_FOLLOWS || (c->end_known && c->extra == 0))
		return DR_OK;
	put_head(&s);
	(void)snprintf(s.dir, sizeof(s.dir), "%s/pg_wal", job->local.data_dir);
	return job_salvage_run(&s, e);
}
