/* pg_compare.c -- what does a stopped server have that the source never had (pg_jobs_own.h)?
 *
 * Both servers' ways through the timelines are laid side by side; where they part is the fork.  Whether the
 * local server wrote anything after it is seen in its WAL, which pg_waldump reads from the last checkpoint on. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/shell/pg_jobs_own.h"
#include "base/parse.h"
#include "sys/file.h"

enum { HISTORY_BYTES = 64 * 1024 };

const char *dr_pg_verdict_text(enum dr_pg_verdict v)
{
	static const char *const text[] = { "unknown", "follows", "rewind", "clone", "stranger", "nothing" };
	return (size_t)v < sizeof(text) / sizeof(text[0]) ? text[v] : "unknown";
}

static enum dr_err judge(struct dr_pg_compare *c, enum dr_pg_verdict v, const char *why)
{
	c->verdict = v;
	(void)dr_copy_text(c->why, sizeof(c->why), why);
	return DR_OK;
}

/* The control file keeps the old timeline until the first checkpoint after a promotion, but a server "in
 * production" writes on the newest timeline that it has segments of. */
static uint32_t newest_timeline(const struct dr_job *job, const struct pg_control *c)
{
	char path[JOB_PATH];
	uint32_t newest = c->timeline > c->min_recovery_timeline ? c->timeline : c->min_recovery_timeline;
	if (strcmp(c->state, "in production") != 0)
		return newest;
	(void)snprintf(path, sizeof(path), "%s/pg_wal", job->local.data_dir);
	DIR *d = opendir(path);
	for (struct dirent *it = d != NULL ? readdir(d) : NULL; it != NULL; it = readdir(d)) {
		uint32_t timeline = 0;
		uint64_t number = 0;
		if (pg_segment_parse(it->d_name, c->segment_bytes, &timeline, &number) && timeline > newest)
			newest = timeline;
	}
	if (d != NULL)
		(void)closedir(d);
	return newest;
}

static enum dr_err local_history(const struct dr_job *job, uint32_t timeline, struct pg_history *out,
				 struct dr_error *e)
{
	char path[JOB_PATH];
	struct dr_buf b;
	if (timeline <= 1)
		return pg_history_parse(NULL, timeline, out, e);
	(void)snprintf(path, sizeof(path), "%s/pg_wal/%08X.history", job->local.data_dir, timeline);
	dr_buf_init(&b, HISTORY_BYTES);
	enum dr_err rv = dr_file_read(path, &b, e);
	if (rv == DR_OK) {
		dr_buf_put_u8(&b, 0);
		rv = pg_history_parse((const char *)b.data, timeline, out, e);
	}
	dr_buf_close(&b);
	return rv;
}

struct wal_end {
	uint64_t last, len;
};

/* The number that a text begins with, behind blanks. */
static bool number_at(const char *text, uint64_t *out)
{
	char digits[24];
	text += strspn(text, " ");
	size_t n = strspn(text, "0123456789");
	if (n == 0 || n >= sizeof(digits))
		return false;
	memcpy(digits, text, n);
	digits[n] = '\0';
	return dr_parse_u64(digits, 0, UINT64_MAX, out) == DR_OK;
}

/* "rmgr: Heap len (rec/tot): 54/ 54, tx: 734, lsn: 0/03000028, prev 0/02000100, desc: ..." */
static void on_record(void *ctx, const char *line)
{
	struct wal_end *w = ctx;
	const char *lsn = strstr(line, "lsn: ");
	const char *numbers = strstr(line, "):");
	const char *tot = numbers != NULL ? strchr(numbers, '/') : NULL;
	uint64_t len = 0;
	uint64_t at = 0;
	if (strncmp(line, "rmgr:", 5) != 0 || lsn == NULL || tot == NULL || !pg_lsn_parse(lsn + 5, &at))
		return;
	if (number_at(tot + 1, &len) && at >= w->last) {
		w->last = at;
		w->len = len;
	}
}

/* *end: behind the last record at or after `from`; `from` itself when there is none. */
static enum dr_err find_end(struct dr_job *job, uint32_t timeline, uint64_t from, uint64_t *end,
			    struct dr_error *e)
{
	char program[JOB_PATH], wal[JOB_PATH], tli[16], lsn[PG_LSN_TEXT];
	struct wal_end w = { 0 };
	struct job_child c = { .line = on_record, .ctx = &w };
	job_program(job, "pg_waldump", program, sizeof(program));
	(void)snprintf(wal, sizeof(wal), "%s/pg_wal", job->local.data_dir);
	(void)snprintf(tli, sizeof(tli), "%u", timeline);
	const char *args[] = { program, "-p", wal, "-t", tli, "-s", pg_lsn_text(from, lsn) };
	for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++)
		job_child_arg(&c, args[i]);
	struct dr_error inner;
	enum dr_err rv = job_child_run(job, &c, &inner);
	/* It always ends with an error: that is the end of the WAL. */
	if (rv != DR_OK && rv != DR_E_FAILED)
		return dr_fail(e, rv, "%s", inner.msg);
	*end = w.last > 0 ? (w.last + w.len + 7) & ~UINT64_C(7) : from;
	return DR_OK;
}

/* Where reading begins: the last checkpoint's redo point if it is on that timeline, else where the timeline
 * began; not before the fork when the fork is on it, since what lies before is shared. */
static uint64_t read_from(const struct pg_control *ctl, const struct pg_history *h,
			  const struct dr_pg_compare *c)
{
	uint64_t begin = h->n > 1 ? h->at[h->n - 2].end : 0;
	uint64_t from = ctl->timeline == c->timeline && ctl->redo > begin ? ctl->redo : begin;
	if (c->fork_timeline == c->timeline && c->fork_lsn != UINT64_MAX && c->fork_lsn > from)
		from = c->fork_lsn;
	return from;
}

static enum dr_err judge_wal(struct dr_pg_compare *c, const struct pg_control *ctl)
{
	uint64_t common = c->fork_lsn == UINT64_MAX ? c->source_lsn : c->fork_lsn;
	bool same_timeline = c->fork_lsn == UINT64_MAX;
	c->fork_lsn = common;
	c->extra = c->end_lsn > common ? c->end_lsn - common : 0;
	if (c->fork_timeline == c->timeline && c->extra == 0)
		return judge(c, DR_PG_FOLLOWS, "nothing here that the source lacks");
	if (same_timeline)
		return judge(c, DR_PG_CLONE,
			     "ahead of the source on the same timeline: rewinding can't tell them apart");
	if (!c->checksums && !c->hints)
		return judge(c, DR_PG_CLONE,
			     "diverged, and neither checksums nor wal_log_hints: can't be rewound");
	if (!ctl->full_page_writes)
		return judge(c, DR_PG_CLONE, "diverged, and full_page_writes is off: can't be rewound");
	return judge(c, DR_PG_REWIND, "diverged: has WAL that the source never had");
}

static void on_setting(void *ctx, const char *line)
{
	bool *set = ctx;
	*set = *set || line[0] != '\0';
}

/* Whether a standby here would look into an archive; yes when that cannot be told. */
static bool has_archive(struct dr_job *job)
{
	char program[JOB_PATH];
	bool set = false;
	struct job_child c = { .line = on_setting, .ctx = &set };
	struct dr_error e;
	job_program(job, "postgres", program, sizeof(program));
	const char *args[] = { program, "-D", job->local.data_dir, "-C", "restore_command" };
	for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++)
		job_child_arg(&c, args[i]);
	return job_child_run(job, &c, &e) != DR_OK || set;
}

/* One that was away for long lacks nothing but what the source has thrown away meanwhile, where no slot kept it: it
 * would ask for it for ever.  A standby asks from the beginning of a segment on. */
static enum dr_err judge_source(struct dr_job *job, struct dr_error *e)
{
	struct dr_pg_compare *c = &job->compare;
	uint64_t from = c->end_lsn - c->end_lsn % c->wal_segment_bytes;
	bool has = true;
	if (c->verdict != DR_PG_FOLLOWS || from >= c->source_lsn)
		return DR_OK;
	enum dr_err rv = pg_source_has_wal(job, c->timeline, from, &has, e);
	if (rv != DR_OK || has || has_archive(job))
		return rv;
	return judge(c, DR_PG_CLONE, "the source has removed WAL that this copy lacks, and there is no archive");
}

static enum dr_err compare_wal(struct dr_job *job, const struct pg_control *ctl,
			       const struct pg_source_seen *src, struct dr_error *e)
{
	struct dr_pg_compare *c = &job->compare;
	struct pg_history local;
	struct dr_error inner;
	char broken[JOB_PATH];
	if (local_history(job, c->timeline, &local, &inner) != DR_OK)
		return judge(c, DR_PG_CLONE, inner.msg);
	if (!pg_history_fork(&local, &src->history, &c->fork_timeline, &c->fork_lsn))
		return judge(c, DR_PG_CLONE, "no timeline in common with the source");
	enum dr_err rv = find_end(job, c->timeline, read_from(ctl, &local, c), &c->end_lsn, e);
	if (rv != DR_OK)
		return rv;
	c->end_known = true;
	(void)judge_wal(c, ctl);
	rv = judge_source(job, e);
	if (rv != DR_OK)
		return rv;
	job_beside(job, "rewinding", broken);
	if (job_exists(broken))
		return judge(c, DR_PG_CLONE, "a rewind was begun and not finished: its files are a mixture");
	return DR_OK;
}

enum dr_err pg_job_compare(struct dr_job *job, struct dr_error *e)
{
	struct dr_pg_compare *c = &job->compare;
	struct pg_source_seen src;
	struct pg_control ctl;
	struct dr_error inner;
	char path[JOB_PATH];
	memset(c, 0, sizeof(*c));
	(void)snprintf(path, sizeof(path), "%s/PG_VERSION", job->local.data_dir);
	if (!job_exists(path))
		return judge(c, DR_PG_NOTHING, "no data here");
	enum dr_err rv = pg_source_see(job, &src, e);
	if (rv != DR_OK)
		return rv;
	c->source_system_id = src.system_id;
	c->source_timeline = src.timeline;
	c->source_lsn = src.lsn;
	rv = pg_control_read(job, &ctl, &inner);
	if (rv == DR_E_CANCELLED || rv == DR_E_TIMEOUT)
		return dr_fail(e, rv, "%s", inner.msg);
	if (rv != DR_OK)
		return judge(c, DR_PG_CLONE, inner.msg);
	c->system_id = ctl.system_id;
	c->wal_segment_bytes = ctl.segment_bytes;
	c->checksums = ctl.checksums;
	c->hints = ctl.hints;
	c->clean = pg_control_is_clean(&ctl);
	(void)dr_copy_text(c->state, sizeof(c->state), ctl.state);
	c->timeline = newest_timeline(job, &ctl);
	if (c->system_id != c->source_system_id)
		return judge(c, DR_PG_STRANGER, "another system identifier than the source's");
	return compare_wal(job, &ctl, &src, e);
}
