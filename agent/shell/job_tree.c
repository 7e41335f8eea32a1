/* job_tree.c -- files and folders for the jobs (jobs_own.h). */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/shell/jobs_own.h"
#include "base/mem.h"
#include "base/parse.h"
#include "sys/clock.h"
#include "sys/file.h"

enum { COPY_BYTES = 256 * 1024 };

bool job_exists(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0;
}

/* A '/' at the end of the data folder would put the name inside it. */
void dr_job_beside(const char *data_dir, const char *suffix, char *dst, size_t cap)
{
	char base[DR_PATH_MAX];
	(void)dr_copy_text(base, sizeof(base), data_dir);
	for (size_t n = strlen(base); n > 1 && base[n - 1] == '/'; n--)
		base[n - 1] = '\0';
	(void)snprintf(dst, cap, "%s.%s", base, suffix);
}

void job_beside(const struct dr_job *job, const char *suffix, char dst[JOB_PATH])
{
	dr_job_beside(job->local.data_dir, suffix, dst, JOB_PATH);
}

enum dr_err job_sync_parent(const char *path, struct dr_error *e)
{
	char parent[JOB_PATH];
	(void)dr_copy_text(parent, sizeof(parent), path);
	char *slash = strrchr(parent, '/');
	if (slash == NULL)
		return dr_dir_sync(".", e);
	if (slash == parent)
		slash++;
	*slash = '\0';
	return dr_dir_sync(parent, e);
}

void job_stamp(char dst[20])
{
	time_t now = (time_t)(dr_clock_wall_ms() / 1000);
	struct tm t;
	(void)gmtime_r(&now, &t);
	(void)strftime(dst, 20, "%Y%m%dT%H%M%SZ", &t);
}

enum dr_err job_give_to_owner(const struct dr_job *job, const char *path, struct dr_error *e)
{
	if (!job->has_user || geteuid() == job->user.uid)
		return DR_OK;
	return lchown(path, job->user.uid, job->user.gid) == 0
		   ? DR_OK
		   : dr_fail_errno(e, errno, "cannot give %s to %s", path, job->local.os_user);
}

/* What says that the folder may go is there until nothing else is. */
static int mark_last(const FTSENT **a, const FTSENT **b)
{
	return (strcmp((*a)->fts_name, JOB_MARK) == 0) - (strcmp((*b)->fts_name, JOB_MARK) == 0);
}

/* Never follows a link, so a tablespace's target outside stays; absent is fine. */
enum dr_err job_tree_remove(struct dr_job *job, const char *path, struct dr_error *e)
{
	char copy[JOB_PATH];
	char *const roots[] = { copy, NULL };
	enum dr_err rv = DR_OK;
	if (!job_exists(path))
		return DR_OK;
	if (!dr_copy_text(copy, sizeof(copy), path))
		return dr_fail(e, DR_E_RANGE, "path too long: %s", path);
	FTS *f = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, mark_last);
	if (f == NULL)
		return dr_fail_errno(e, errno, "cannot remove %s", path);
	for (FTSENT *it = fts_read(f); it != NULL && rv == DR_OK; it = fts_read(f)) {
		rv = job_check(job, e);
		if (rv == DR_OK && it->fts_info != FTS_D && remove(it->fts_accpath) != 0 && errno != ENOENT)
			rv = dr_fail_errno(e, errno, "cannot remove %s", it->fts_path);
	}
	(void)fts_close(f);
	return rv;
}

void job_hex(const unsigned char *in, unsigned n, char *out)
{
	for (unsigned i = 0; i < n; i++)
		(void)snprintf(out + (size_t)2 * i, 3, "%02x", in[i]);
}

static enum dr_err copy_bytes(struct dr_job *job, int in, int out, EVP_MD_CTX *md, const char *to,
			      struct dr_error *e)
{
	enum dr_err rv = DR_OK;
	uint8_t *part = dr_xcalloc(COPY_BYTES);
	for (;;) {
		rv = job_check(job, e);
		ssize_t n = rv == DR_OK ? read(in, part, COPY_BYTES) : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rv = dr_fail_errno(e, errno, "cannot read for %s", to);
		if (n <= 0)
			break;
		if (md != NULL)
			(void)EVP_DigestUpdate(md, part, (size_t)n);
		for (ssize_t done = 0; done < n && rv == DR_OK;) {
			ssize_t w = write(out, part + done, (size_t)(n - done));
			if (w > 0)
				done += w;
			else if (errno != EINTR)
				rv = dr_fail_errno(e, errno, "cannot write %s", to);
		}
		if (rv != DR_OK)
			break;
	}
	dr_free(part);
	return rv;
}

/* Durable when it returns DR_OK, its name not yet: the caller syncs the folder. */
enum dr_err job_file_copy(struct dr_job *job, const char *from, const char *to, char sha256_hex[65],
			 struct dr_error *e)
{
	EVP_MD_CTX *md = NULL;
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned sum_len = 0;
	enum dr_err rv;
	int out = -1;
	int in = open(from, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return dr_fail_errno(e, errno, "cannot open %s", from);
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0) {
		rv = dr_fail_errno(e, errno, "cannot create %s", to);
		goto out;
	}
	if (sha256_hex != NULL) {
		md = EVP_MD_CTX_new();
		if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1) {
			rv = dr_fail(e, DR_E_INTERNAL, "no SHA-256");
			goto out;
		}
	}
	rv = copy_bytes(job, in, out, md, to, e);
	if (rv == DR_OK && fsync(out) != 0)
		rv = dr_fail_errno(e, errno, "cannot sync %s", to);
	if (rv == DR_OK && md != NULL) {
		(void)EVP_DigestFinal_ex(md, sum, &sum_len);
		job_hex(sum, sum_len < 32 ? sum_len : 32, sha256_hex);
	}
out:
	EVP_MD_CTX_free(md);
	(void)close(in);
	if (out >= 0)
		(void)close(out);
	return rv;
}
