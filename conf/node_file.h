/* node_file.h -- what the YAML file of one node says: a coordinator's or an agent's.
 *
 * Plain data without pointers: memcpy copies it, all zero is empty.  Paths that were relative in the file
 * have been taken from the file's own folder, so they hold wherever the program was started.  Durations
 * are milliseconds, sizes bytes.  Filled by dr_conf_read_coordinator() and dr_conf_read_agent(), which
 * check everything said here. */
#ifndef DR_CONF_NODE_FILE_H
#define DR_CONF_NODE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "model/ids.h"
#include "model/spec.h"

/* Files of the node's identity, for dr_tls_open(). */
struct dr_conf_tls {
	char ca[DR_PATH_MAX];
	char cert[DR_PATH_MAX];
	char key[DR_PATH_MAX];
};

/* E and hb of design.md 6. */
struct dr_conf_raft {
	uint32_t election_ms;
	uint32_t heartbeat_ms;
};

struct dr_conf_http {
	struct dr_address listen; /* port 0: nowhere */
	bool tls;
};

struct dr_conf_peer {
	struct dr_name name;
	struct dr_name site; /* empty in an agent's file when it was not given */
	struct dr_address address;
};

struct dr_conf_coordinator {
	struct dr_name cluster;
	struct dr_name name;
	struct dr_name site;
	struct dr_address listen;
	char data_dir[DR_PATH_MAX];
	char files_in[DR_PATH_MAX];    /* routes write here only; empty: nowhere */
	char commands_in[DR_PATH_MAX]; /* commands are run from here only; empty: none are */
	char secrets_in[DR_PATH_MAX];  /* secrets that the spec names are read from here only */
	struct dr_conf_tls tls;
	struct dr_conf_raft raft;
	struct dr_conf_http http;
	uint32_t
	    peers; /* how many of: the first coordinators, this one among them; names and addresses differ */
	struct dr_conf_peer peer[DR_COORDINATORS_MAX];
};

/* What becomes of Redis Sentinels that watch a server when it is taken over. */
enum dr_sentinels { DR_SENTINELS_REFUSE, DR_SENTINELS_ADOPT };

/* How one local server is run; each kind has its own section and fills what it has. */
struct dr_conf_server {
	char data[DR_PATH_MAX];   /* data directory */
	char bin[DR_PATH_MAX];    /* folder of its programs */
	struct dr_address listen; /* where clients reach it: the member's address */
	char socket_dir[DR_PATH_MAX]; /* MySQL, MariaDB: the socket itself */
	char os_user[DR_NAME_MAX];
	char superuser[DR_NAME_MAX];
	char superuser_password_file[DR_PATH_MAX]; /* empty: none */
	char replication_user[DR_NAME_MAX];
	char replication_password_file[DR_PATH_MAX]; /* empty: none */
	char salvage_dir[DR_PATH_MAX]; /* what was not replicated is saved here before a rejoin */
	uint64_t salvage_max_bytes;
	uint32_t start_within_ms;
	char config_file[DR_PATH_MAX]; /* not PostgreSQL: its own option file; empty: none */
	char ca_file[DR_PATH_MAX];     /* not PostgreSQL: who may sign servers' certificates; empty: unchecked, or no TLS */
	uint32_t server_id;            /* MySQL, MariaDB: server_id */
	enum dr_sentinels sentinels;   /* Redis */
	uint32_t sentinels_named;      /* Redis; how many of: */
	struct dr_address sentinel[DR_SENTINELS_MAX]; /* who watches the server; the password goes to nobody else */
	char sentinel_password_file[DR_PATH_MAX]; /* Redis; empty: none */
};

struct dr_conf_agent_service {
	struct dr_name service; /* unique in the file */
	struct dr_name member;
	enum dr_kind kind;
	struct dr_conf_server of_kind[DR_KIND_COUNT]; /* from the section that bears the kind's word: read dr_conf_server() */
};

static inline const struct dr_conf_server *dr_conf_server(const struct dr_conf_agent_service *s)
{
	return &s->of_kind[(unsigned)s->kind < DR_KIND_COUNT ? s->kind : DR_KIND_NONE];
}

struct dr_conf_agent {
	struct dr_name cluster;
	struct dr_name name;
	struct dr_name site;
	struct dr_address listen;   /* for the other agents' questions; port 0: nowhere */
	char data_dir[DR_PATH_MAX]; /* journal, guard memory */
	char commands_in[DR_PATH_MAX]; /* a runbook's commands are run from here only; empty: none are */
	struct dr_conf_tls tls;
	uint32_t coordinators; /* how many of: */
	struct dr_conf_peer coordinator[DR_COORDINATORS_MAX];
	uint32_t services; /* how many of: */
	struct dr_conf_agent_service service[DR_AGENT_SERVICES_MAX];
};

#endif
