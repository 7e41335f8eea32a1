/* job_fill.c -- what a job needs to know of a member's server, out of the agent's node file and the newest order. */
#include <string.h>

#include "agent/shell/agent.h"
#include "base/parse.h"

void dr_member_job_fill(struct dr_member *m, struct dr_job *j, enum dr_job_kind kind)
{
	const struct dr_conf_server *pg = dr_conf_server(m->conf);
	struct dr_pg_compare kept = j->compare;
	struct dr_job_my my = j->my;
	memset(j, 0, sizeof(*j));
	j->kind = kind;
	j->compare = kept;
	j->my = my;
	(void)dr_copy_text(j->local.program, sizeof(j->local.program), m->super.kind->program);
	(void)dr_copy_text(j->local.config_file, sizeof(j->local.config_file), pg->config_file);
	j->local.service = m->conf->service;
	j->local.member = m->conf->member;
	(void)dr_copy_text(j->local.data_dir, sizeof(j->local.data_dir), pg->data);
	(void)dr_copy_text(j->local.bin_dir, sizeof(j->local.bin_dir), pg->bin);
	(void)dr_copy_text(j->local.os_user, sizeof(j->local.os_user), pg->os_user);
	(void)dr_copy_text(j->local.superuser, sizeof(j->local.superuser), pg->superuser);
	(void)dr_copy_text(j->local.superuser_password_file, sizeof(j->local.superuser_password_file),
			   pg->superuser_password_file);
	(void)dr_copy_text(j->local.replication_user, sizeof(j->local.replication_user), pg->replication_user);
	(void)dr_copy_text(j->local.replication_password_file, sizeof(j->local.replication_password_file),
			   pg->replication_password_file);
	(void)dr_copy_text(j->local.database, sizeof(j->local.database), "postgres");
	(void)dr_copy_text(j->local.salvage_dir, sizeof(j->local.salvage_dir), pg->salvage_dir);
	j->local.salvage_max = pg->salvage_max_bytes;
	(void)dr_copy_text(j->local.listen_host, sizeof(j->local.listen_host), pg->listen.host);
	j->local.listen_port = pg->listen.port;
	(void)dr_copy_text(j->local.socket_dir, sizeof(j->local.socket_dir), pg->socket_dir);
	j->source.member = m->op.order.target;
	(void)dr_copy_text(j->source.host, sizeof(j->source.host), m->op.order.target_at.host);
	j->source.port = m->op.order.target_at.port;
}
