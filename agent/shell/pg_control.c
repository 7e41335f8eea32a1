/* pg_control.c -- the control file as pg_controldata words it (pg_jobs_own.h). */
#include <stdio.h>
#include <string.h>

#include "agent/shell/pg_jobs_own.h"
#include "base/parse.h"

static bool value_of(const char *line, const char *label, const char **value)
{
	size_t n = strlen(label);
	if (strncmp(line, label, n) != 0 || line[n] != ':')
		return false;
	*value = line + n + 1 + strspn(line + n + 1, " \t");
	return true;
}

static uint64_t number(const char *s, uint64_t max)
{
	uint64_t v = 0;
	return dr_parse_u64(s, 0, max, &v) == DR_OK ? v : 0;
}

void pg_control_line(void *ctx, const char *line)
{
	struct pg_control *c = ctx;
	const char *v;
	if (value_of(line, "Database system identifier", &v))
		c->system_id = number(v, UINT64_MAX);
	else if (value_of(line, "Database cluster state", &v))
		(void)dr_copy_text(c->state, sizeof(c->state), v);
	else if (value_of(line, "Latest checkpoint location", &v))
		(void)pg_lsn_parse(v, &c->checkpoint);
	else if (value_of(line, "Latest checkpoint's REDO location", &v))
		(void)pg_lsn_parse(v, &c->redo);
	else if (value_of(line, "Latest checkpoint's TimeLineID", &v))
		c->timeline = (uint32_t)number(v, UINT32_MAX);
	else if (value_of(line, "Latest checkpoint's full_page_writes", &v))
		c->full_page_writes = strcmp(v, "on") == 0;
	else if (value_of(line, "Minimum recovery ending location", &v))
		(void)pg_lsn_parse(v, &c->min_recovery);
	else if (value_of(line, "Min recovery ending loc's timeline", &v))
		c->min_recovery_timeline = (uint32_t)number(v, UINT32_MAX);
	else if (value_of(line, "wal_log_hints setting", &v))
		c->hints = strcmp(v, "on") == 0;
	else if (value_of(line, "Data page checksum version", &v))
		c->checksums = number(v, UINT32_MAX) > 0;
	else if (value_of(line, "Bytes per WAL segment", &v))
		c->segment_bytes = (uint32_t)number(v, UINT32_MAX);
}

enum dr_err pg_control_read(struct dr_job *job, struct pg_control *out, struct dr_error *e)
{
	char program[JOB_PATH];
	struct job_child c = { .line = pg_control_line, .ctx = out };
	memset(out, 0, sizeof(*out));
	job_program(job, "pg_controldata", program, sizeof(program));
	job_child_arg(&c, program);
	job_child_arg(&c, "-D");
	job_child_arg(&c, job->local.data_dir);
	enum dr_err rv = job_child_run(job, &c, e);
	if (rv != DR_OK)
		return rv;
	bool sane = out->segment_bytes >= 1u << 20 && (out->segment_bytes & (out->segment_bytes - 1)) == 0;
	if (out->system_id == 0 || out->timeline == 0 || out->state[0] == '\0' || !sane)
		return dr_fail(e, DR_E_CORRUPT, "pg_controldata of %s says nothing usable",
			       job->local.data_dir);
	return DR_OK;
}

bool pg_control_is_clean(const struct pg_control *c)
{
	return strcmp(c->state, "shut down") == 0 || strcmp(c->state, "shut down in recovery") == 0;
}
