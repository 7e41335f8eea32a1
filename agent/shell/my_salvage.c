/* my_salvage.c -- the binary logs of a MySQL or MariaDB that hold what the source never had (jobs_own.h).
 *
 * Whole logs are saved, and beside them a file `transactions`: one line each, "ID LOG BEGIN END", of those that the source
 * lacks.  `mariadb-binlog --start-position=BEGIN --stop-position=END LOG` (or mysqlbinlog) shows one of them as SQL. */
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/shell/jobs_own.h"
#include "agent/shell/my_binlog.h"
#include "base/mem.h"
#include "base/parse.h"
#include "sys/file.h"

enum { LOGS_MAX = 4096, LOG_NAME_MAX = 256, INDEX_MAX = 1 << 20 };

struct logs {
	const struct dr_job *job;
	char name[LOGS_MAX][LOG_NAME_MAX]; /* to be saved */
	uint32_t names;
	uint64_t missing;                  /* transactions that the source lacks */
	char first[MY_ID_TEXT], last[MY_ID_TEXT];
	const char *log;                   /* that is being read */
	bool wanted;
	EVP_MD_CTX *sum;                   /* over what is to be saved, as far as it can be told; NULL: not now */
	FILE *list;                        /* where each is written to; NULL: they are only counted */
};

static void take(void *ctx, const struct my_transaction *t)
{
	struct logs *l = ctx;
	char text[MY_ID_TEXT], line[MY_ID_TEXT + LOG_NAME_MAX + 64];
	if (my_history_has(l->job->my.theirs, t))
		return;
	(void)my_transaction_text(t, text);
	l->wanted = true;
	int n = snprintf(line, sizeof(line), "%s %s %" PRIu64 " %" PRIu64 "\n", text, l->log, t->begin, t->end);
	if (l->list != NULL) {
		(void)fputs(line, l->list);
		return;
	}
	if (l->sum != NULL)
		(void)EVP_DigestUpdate(l->sum, line, (size_t)n);
	if (l->missing++ == 0)
		(void)dr_copy_text(l->first, sizeof(l->first), text);
	(void)dr_copy_text(l->last, sizeof(l->last), text);
}

static void add_file(struct logs *l, int fd)
{
	struct stat st;
	char line[LOG_NAME_MAX + 96];
	if (l->sum == NULL || fstat(fd, &st) != 0)
		return;
	int n = snprintf(line, sizeof(line), "%s %lld %lld.%09ld\n", l->log, (long long)st.st_size,
			 (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	(void)EVP_DigestUpdate(l->sum, line, (size_t)n);
}

static enum dr_err read_log(struct logs *l, const char *dir, const char *name, struct dr_error *e)
{
	char path[2 * JOB_PATH];
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return dr_fail_errno(e, errno, "cannot open %s", path);
	l->log = name;
	l->wanted = false;
	/* What can't be told is saved, and is the same only while the file is. */
	if (my_binlog_read(f, take, l) == MY_BINLOG_OPAQUE) {
		l->wanted = true;
		add_file(l, fileno(f));
	}
	bool bad = ferror(f) != 0;
	(void)fclose(f);
	return bad ? dr_fail(e, DR_E_IO, "cannot read %s", path) : DR_OK;
}

static enum dr_err choose(struct logs *l, const char *dir, const char *name, struct dr_error *e)
{
	enum dr_err rv = read_log(l, dir, name, e);
	if (rv != DR_OK || !l->wanted)
		return rv;
	if (l->names >= LOGS_MAX || strlen(name) >= LOG_NAME_MAX)
		return dr_fail(e, DR_E_FULL, "more than %d binary logs to salvage", LOGS_MAX);
	(void)dr_copy_text(l->name[l->names++], LOG_NAME_MAX, name);
	return DR_OK;
}

/* Each line of the index names a log, from the data folder where it is no full path. */
static enum dr_err choose_all(struct job_salvage *s, struct logs *l, struct dr_error *e)
{
	struct dr_buf b;
	char path[JOB_PATH];
	char *rest = NULL;
	dr_buf_init(&b, INDEX_MAX);
	enum dr_err rv = dr_file_read(s->job->my.log_index, &b, e);
	dr_buf_put_u8(&b, 0);
	if (rv == DR_OK && !dr_buf_ok(&b))
		rv = dr_fail(e, DR_E_FULL, "%s is too long", s->job->my.log_index);
	s->dir[0] = '\0';
	for (char *line = rv == DR_OK ? strtok_r((char *)b.data, "\r\n", &rest) : NULL; line != NULL && rv == DR_OK;
	     line = strtok_r(NULL, "\r\n", &rest)) {
		(void)snprintf(path, sizeof(path), "%s%s%s", line[0] == '/' ? "" : s->job->local.data_dir,
			       line[0] == '/' ? "" : "/", strncmp(line, "./", 2) == 0 ? line + 2 : line);
		char *slash = strrchr(path, '/');
		*slash = '\0';
		if (s->dir[0] == '\0')
			(void)dr_copy_text(s->dir, sizeof(s->dir), path);
		rv = strcmp(s->dir, path) == 0 ? choose(l, path, slash + 1, e)
					       : dr_fail(e, DR_E_UNSUPPORTED, "its binary logs are in two folders, %s and %s",
							 s->dir, path);
	}
	dr_buf_close(&b);
	return rv;
}

static bool is_chosen(const struct job_salvage *s, const char *name)
{
	const struct logs *l = s->ctx;
	for (uint32_t i = 0; i < l->names; i++) {
		if (strcmp(l->name[i], name) == 0)
			return true;
	}
	return false;
}

static enum dr_err write_list(struct job_salvage *s, const char *partial, struct dr_error *e)
{
	struct logs *l = s->ctx;
	char path[JOB_PATH + 16];
	enum dr_err rv = DR_OK;
	(void)snprintf(path, sizeof(path), "%s/transactions", partial);
	l->list = fopen(path, "wxe");
	if (l->list == NULL)
		return dr_fail_errno(e, errno, "cannot make %s", path);
	for (uint32_t i = 0; i < l->names && rv == DR_OK; i++) {
		rv = job_check(s->job, e);
		if (rv == DR_OK)
			rv = read_log(l, s->dir, l->name[i], e);
	}
	bool written = fflush(l->list) == 0 && fsync(fileno(l->list)) == 0;
	written = fclose(l->list) == 0 && written;
	l->list = NULL;
	if (rv == DR_OK && !written)
		rv = dr_fail_errno(e, errno, "cannot write %s", path);
	return rv;
}

static enum dr_err salvage(struct dr_job *job, struct logs *l, struct dr_error *e)
{
	struct job_salvage s = { .job = job, .wanted = is_chosen, .more = write_list, .ctx = l };
	unsigned char sum[EVP_MAX_MD_SIZE];
	char hex[2 * 32 + 1];
	unsigned n = 0;
	l->sum = EVP_MD_CTX_new();
	if (l->sum == NULL || EVP_DigestInit_ex(l->sum, EVP_sha256(), NULL) != 1)
		return dr_fail(e, DR_E_INTERNAL, "no SHA-256");
	enum dr_err rv = choose_all(&s, l, e);
	if (rv != DR_OK || l->names == 0)
		return rv;
	(void)EVP_DigestFinal_ex(l->sum, sum, &n);
	job_hex(sum, 32, hex);
	EVP_MD_CTX_free(l->sum);
	l->sum = NULL;
	const char *first = l->missing > 0 ? l->first : "?", *last = l->missing > 0 ? l->last : "?";
	(void)snprintf(s.head, sizeof(s.head),
		       "drcoord-salvage 1\nservice %s\nmember %s\ntransactions %" PRIu64 "\nfirst %s\nlast %s\nlisted %s\n",
		       job->local.service.s, job->local.member.s, l->missing, first, last, hex);
	return job_salvage_run(&s, e);
}

enum dr_err my_job_salvage(struct dr_job *job, struct dr_error *e)
{
	memset(&job->salvage, 0, sizeof(job->salvage));
	if (job->my.nothing)
		return DR_OK;
	if (job->my.log_index[0] == '\0')
		return dr_fail(e, DR_E_REFUSED, "what to salvage isn't known: no comparison before");
	struct logs *l = dr_xcalloc(sizeof(*l));
	l->job = job;
	enum dr_err rv = salvage(job, l, e);
	EVP_MD_CTX_free(l->sum);
	dr_free(l);
	return rv;
}
