/* pg_follow.c -- a stopped server becomes a standby of the source at its next start (pg_jobs_own.h). */
#include <stdio.h>
#include <string.h>

#include "adapters/postgres/text.h"
#include "agent/shell/pg_files.h"
#include "agent/shell/pg_jobs_own.h"
#include "sys/file.h"

/* Word for word what the adapter's FOLLOWING would set on a running server, so that it finds nothing to do. */
static enum dr_err standby_conninfo(const struct dr_job *job, char *dst, size_t cap, struct dr_error *e)
{
	char port[8], secret[256];
	struct dr_buf b;
	enum dr_err rv = job_secret(job->local.replication_password_file, secret, e);
	if (rv != DR_OK)
		return rv;
	(void)snprintf(port, sizeof(port), "%u", job->source.port);
	dr_buf_init(&b, cap - 1);
	pg_put_conninfo(&b, "host", job->source.host);
	pg_put_conninfo(&b, "port", port);
	pg_put_conninfo(&b, "user", job->local.replication_user);
	if (secret[0] != '\0')
		pg_put_conninfo(&b, "password", secret);
	pg_put_conninfo(&b, "application_name", job->local.member.s);
	pg_put_conninfo(&b, "fallback_application_name", job->source.member.s);
	pg_put_conninfo(&b, "sslmode", "prefer");
	pg_put_conninfo(&b, "gssencmode", "disable");
	if (dr_buf_ok(&b)) {
		memcpy(dst, b.data, b.len);
		dst[b.len] = '\0';
		explicit_bzero(b.data, b.len);
	} else {
		rv = dr_fail(e, DR_E_RANGE, "primary_conninfo would be too long");
	}
	explicit_bzero(secret, sizeof(secret));
	dr_buf_close(&b);
	return rv;
}

enum dr_err pg_follow_write(struct dr_job *job, const char *data_dir, bool with_listen, struct dr_error *e)
{
	char conninfo[PG_SETTING_MAX], slot[PG_SLOT_NAME_MAX], port[8];
	struct dr_pg_setting set[12] = { { NULL, NULL } };
	size_t n = 0;
	enum dr_err rv = dr_pg_mark_standby(data_dir, e);
	if (rv == DR_OK)
		rv = standby_conninfo(job, conninfo, sizeof(conninfo), e);
	if (rv != DR_OK)
		return rv;
	pg_slot_name(&job->local.member, slot);
	set[n++] = (struct dr_pg_setting){ "primary_conninfo", conninfo };
	set[n++] = (struct dr_pg_setting){ "primary_slot_name", slot };
	/* Inherited from the days as a primary, it would hang the first commits after the next promotion. */
	set[n++] = (struct dr_pg_setting){ "synchronous_standby_names", "" };
	set[n++] = (struct dr_pg_setting){ "wal_retrieve_retry_interval", "20ms" };
	set[n++] = (struct dr_pg_setting){ "recovery_target_timeline", "latest" };
	if (with_listen && job->local.listen_host[0] != '\0') {
		(void)snprintf(port, sizeof(port), "%u", job->local.listen_port);
		set[n++] = (struct dr_pg_setting){ "listen_addresses", job->local.listen_host };
		set[n++] = (struct dr_pg_setting){ "port", port };
	}
	if (with_listen && job->local.socket_dir[0] != '\0')
		set[n++] = (struct dr_pg_setting){ "unix_socket_directories", job->local.socket_dir };
	rv = dr_pg_auto_conf(data_dir, set, n, e);
	explicit_bzero(conninfo, sizeof(conninfo));
	return rv;
}

enum dr_err pg_job_follow(struct dr_job *job, struct dr_error *e)
{
	return pg_follow_write(job, job->local.data_dir, false, e);
}

enum dr_err pg_conf_copy(struct dr_job *job, const char *from, const char *to, struct dr_error *e)
{
	static const char *const names[] = { "postgresql.conf", "postgresql.auto.conf", "pg_hba.conf",
					     "pg_ident.conf" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char src[JOB_PATH + 24], dst[JOB_PATH + 24];
		(void)snprintf(src, sizeof(src), "%s/%s", from, names[i]);
		(void)snprintf(dst, sizeof(dst), "%s/%s", to, names[i]);
		if (!job_exists(src))
			continue;
		enum dr_err rv = job_file_copy(job, src, dst, NULL, e);
		if (rv == DR_OK)
			rv = job_give_to_owner(job, dst, e);
		if (rv != DR_OK)
			return rv;
	}
	return dr_dir_sync(to, e);
}
