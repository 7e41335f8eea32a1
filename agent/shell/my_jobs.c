/* my_jobs.c -- copies of a MariaDB or MySQL (jobs_own.h).
 *
 * MariaDB's copy is mariabackup's: the source's agent runs it there and sends its stream (copies.c), ours unpacks that beside
 * the data, makes it ready, notes in it where it was taken, and swaps it in.  MySQL's is made by the server itself. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/mysql/gtid.h"
#include "agent/shell/jobs_own.h"
#include "agent/shell/local.h"
#include "base/parse.h"
#include "sys/file.h"

enum { INFO_MAX = 64 << 10, AT_MAX = 4096 };

/* A file without a name that the child alone reads; its number, which the child inherits. */
static enum dr_err hidden_file(struct dr_job *job, const char *text, int *out, struct dr_error *e)
{
	size_t n = strlen(text);
	*out = memfd_create("drcoord", MFD_CLOEXEC);
	if (*out < 0)
		return dr_fail_errno(e, errno, "cannot make a file in memory");
	bool good = fchmod(*out, 0600) == 0 && write(*out, text, n) == (ssize_t)n && lseek(*out, 0, SEEK_SET) == 0;
	if (good && job->has_user && geteuid() != job->user.uid)
		good = fchown(*out, job->user.uid, job->user.gid) == 0;
	if (good)
		return DR_OK;
	enum dr_err rv = dr_fail_errno(e, errno, "cannot write a file in memory");
	(void)close(*out);
	*out = -1;
	return rv;
}

/* Between the quotes of an option file. */
static void put_option(struct dr_buf *b, const char *key, const char *value)
{
	dr_buf_printf(b, "%s=\"", key);
	for (; *value != '\0'; value++)
		dr_buf_printf(b, "%s%c", *value == '"' || *value == '\\' ? "\\" : "", *value);
	dr_buf_printf(b, "\"\n");
}

/* How the server's own tool gets in, on no command line and in no environment. */
static enum dr_err login_file(struct dr_job *job, int *out, struct dr_error *e)
{
	char secret[256], text[DR_PATH_MAX + 1024];
	struct dr_buf b;
	*out = -1;
	enum dr_err rv = job_secret(job->local.superuser_password_file, secret, e);
	if (rv != DR_OK)
		return rv;
	dr_buf_init(&b, sizeof(text) - 1);
	dr_buf_printf(&b, "[mariabackup]\n");
	put_option(&b, "user", job->local.superuser);
	put_option(&b, "password", secret);
	put_option(&b, "socket", job->local.socket_dir);
	if (dr_buf_ok(&b)) {
		memcpy(text, b.data, b.len);
		text[b.len] = '\0';
		rv = hidden_file(job, text, out, e);
	} else {
		rv = dr_fail(e, DR_E_RANGE, "its account's options are too long");
	}
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(text, sizeof(text));
	dr_buf_close(&b);
	return rv;
}

enum dr_err my_job_send(struct dr_job *job, struct dr_error *e)
{
	char program[JOB_PATH], defaults[48], data[JOB_PATH];
	struct job_child c = { .out = job->pipe.out };
	int login = -1;
	enum dr_err rv = login_file(job, &login, e);
	if (rv != DR_OK)
		return rv;
	dr_local_tool(job->local.bin_dir, "mariabackup", program, sizeof(program));
	(void)snprintf(defaults, sizeof(defaults), "--defaults-file=/dev/fd/%d", login);
	(void)snprintf(data, sizeof(data), "--datadir=%s", job->local.data_dir);
	const char *args[] = { program, defaults, "--backup", "--stream=mbstream", "--target-dir=/tmp", data };
	for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++)
		job_child_arg(&c, args[i]);
	c.keep = login;
	rv = job_child_run(job, &c, e);
	(void)close(login);
	return rv;
}

static enum dr_err unpack(struct dr_job *job, const struct job_copy *p, struct dr_error *e)
{
	char program[JOB_PATH];
	struct job_child c = { .in = job->pipe.in };
	if (mkdir(p->data, 0700) != 0)
		return dr_fail_errno(e, errno, "cannot make %s", p->data);
	enum dr_err rv = job_give_to_owner(job, p->data, e);
	if (rv != DR_OK)
		return rv;
	dr_local_tool(job->local.bin_dir, "mbstream", program, sizeof(program));
	const char *args[] = { program, "-x", "-C", p->data };
	for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++)
		job_child_arg(&c, args[i]);
	rv = job_child_run(job, &c, e);
	(void)close(job->pipe.in);
	job->pipe.in = 0;
	/* A stream that breaks off may look whole to it. */
	int fed = atomic_load(&job->pipe.fed);
	if (fed == (int)DR_OK)
		return rv;
	if (fed == DR_JOB_FED_NOT_YET)
		return rv != DR_OK ? rv : dr_fail(e, DR_E_CLOSED, "the copy broke off");
	*e = job->pipe.fed_error;
	return e->code;
}

static enum dr_err make_ready(struct dr_job *job, const struct job_copy *p, struct dr_error *e)
{
	char program[JOB_PATH], target[JOB_PATH + 24];
	struct job_child c = { .in = 0 };
	dr_local_tool(job->local.bin_dir, "mariabackup", program, sizeof(program));
	(void)snprintf(target, sizeof(target), "--target-dir=%s", p->data);
	const char *args[] = { program, "--no-defaults", "--prepare", target };
	for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++)
		job_child_arg(&c, args[i]);
	return job_child_run(job, &c, e);
}

/* Where the copy was taken: "LOG PLACE IDS", as the tool notes it. */
static enum dr_err read_place(const struct job_copy *p, char at[AT_MAX], struct dr_error *e)
{
	static const char *const names[] = { "mariadb_backup_binlog_info", "xtrabackup_binlog_info" };
	char path[JOB_PATH + 64];
	struct dr_buf b;
	enum dr_err rv = DR_E_NOT_FOUND;
	dr_buf_init(&b, INFO_MAX);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && rv == DR_E_NOT_FOUND; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", p->data, names[i]);
		rv = dr_file_read(path, &b, e);
	}
	dr_buf_put_u8(&b, 0);
	char *text = rv == DR_OK && dr_buf_ok(&b) ? (char *)b.data : NULL;
	char *ids = text != NULL ? strrchr(text, '\t') : NULL;
	if (ids != NULL)
		ids[1 + strcspn(ids + 1, "\r\n")] = '\0';
	if (rv == DR_OK && (ids == NULL || !dr_copy_text(at, AT_MAX, ids + 1) || at[strspn(at, "0123456789-,")] != '\0'))
		rv = dr_fail(e, DR_E_PROTOCOL, "%s does not say where the copy was taken", path);
	dr_buf_close(&b);
	return rv;
}

/* The table that says from where a replica goes on: what the copy has of it is the source's own, from when that was one. */
static enum dr_err place_sql(const char *at, char *dst, size_t cap, struct dr_error *e)
{
	struct dr_buf b;
	struct my_gtid g;
	unsigned sub = 1;
	const char *rest = at;
	dr_buf_init(&b, cap - 1);
	dr_buf_printf(&b, "DELETE FROM mysql.gtid_slave_pos;\n");
	while (my_gtid_next(&rest, &g))
		dr_buf_printf(&b, "INSERT INTO mysql.gtid_slave_pos (domain_id, sub_id, server_id, seq_no)"
				  " VALUES (%u, %u, %u, %" PRIu64 ");\n", g.domain, sub++, g.server, g.sequence);
	bool fits = dr_buf_ok(&b) && *rest == '\0';
	if (fits) {
		memcpy(dst, b.data, b.len);
		dst[b.len] = '\0';
	}
	dr_buf_close(&b);
	return fits ? DR_OK : dr_fail(e, DR_E_PROTOCOL, "the copy was taken at \"%.80s\", which is no list of ids", at);
}

/* By the server itself, which reads statements, ends in order, and listens to nobody meanwhile. */
static enum dr_err note_place(struct dr_job *job, const struct job_copy *p, struct dr_error *e)
{
	char at[AT_MAX], sql[4 * AT_MAX], program[JOB_PATH], defaults[JOB_PATH + 24], data[JOB_PATH + 24];
	char home[JOB_PATH + 40], redo[JOB_PATH + 40], undo[JOB_PATH + 40];
	struct job_child c = { .in = -1 };
	enum dr_err rv = read_place(p, at, e);
	if (rv == DR_OK)
		rv = place_sql(at, sql, sizeof(sql), e);
	if (rv == DR_OK)
		rv = hidden_file(job, sql, &c.in, e);
	if (rv != DR_OK)
		return rv;
	(void)snprintf(program, sizeof(program), "%s/mariadbd", job->local.bin_dir);
	(void)snprintf(defaults, sizeof(defaults), "--defaults-file=%s", job->local.config_file);
	(void)snprintf(data, sizeof(data), "--datadir=%s", p->data);
	/* Whatever the file says: not into what the server uses that runs on the data so far. */
	(void)snprintf(home, sizeof(home), "--innodb-data-home-dir=%s", p->data);
	(void)snprintf(redo, sizeof(redo), "--innodb-log-group-home-dir=%s", p->data);
	(void)snprintf(undo, sizeof(undo), "--innodb-undo-directory=%s", p->data);
	const char *args[] = { program, job->local.config_file[0] != '\0' ? defaults : "--no-defaults", data, home, redo, undo,
			       "--bootstrap", "--skip-log-bin", "--log-slave-updates=0", "--gtid-strict-mode=0" };
	for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++)
		job_child_arg(&c, args[i]);
	rv = job_child_run(job, &c, e);
	(void)close(c.in);
	return rv != DR_OK ? dr_wrap(e, "noting in the copy where it was taken") : DR_OK;
}

enum dr_err my_job_clone(struct dr_job *job, struct dr_error *e)
{
	struct job_copy p;
	/* Found there, where the order before this one has saved it. */
	enum dr_err rv = my_job_salvage(job, e);
	if (rv == DR_OK)
		rv = job_copy_begin(job, &p, e);
	if (rv != DR_OK)
		return rv;
	rv = unpack(job, &p, e);
	if (rv == DR_OK)
		rv = make_ready(job, &p, e);
	if (rv == DR_OK)
		rv = note_place(job, &p, e);
	if (rv == DR_OK)
		rv = job_copy_swap(job, &p, e);
	return rv == DR_OK ? job_copy_end(job, &p, e) : job_copy_failed(job, &p, rv);
}

enum dr_err my_job_beside(struct dr_job *job, struct dr_error *e)
{
	struct job_copy p;
	return job_copy_begin(job, &p, e);
}

/* Made by the server before it was stopped, into the same place. */
enum dr_err my_job_swap(struct dr_job *job, struct dr_error *e)
{
	struct job_copy p;
	char whole[JOB_PATH + 24];
	job_copy_places(job, &p);
	(void)snprintf(whole, sizeof(whole), "%s.whole", p.data);
	enum dr_err rv = my_job_salvage(job, e);
	if (rv == DR_OK && job->my.nothing)
		rv = dr_fail(e, DR_E_REFUSED, "there is no data at %s, and only a MySQL that runs can fetch a copy: make one by "
			     "`mysqld --initialize` with drcoord's account in it", job->local.data_dir);
	if (rv == DR_OK && !(job_exists(p.data) && job_exists(whole)))
		rv = dr_fail(e, DR_E_NOT_FOUND, "no whole copy stands at %s", p.data);
	if (rv == DR_OK)
		rv = job_copy_swap(job, &p, e);
	return rv == DR_OK ? job_copy_end(job, &p, e) : rv;
}
