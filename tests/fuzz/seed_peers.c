/* seed_peers.c -- corpora of those who are let in and lie: coordinators towards an agent, a PostgreSQL server. */
#include <raft.h>
#include <string.h>

#include "adapters/adapter.h"
#include "model/order.h"
#include "model/promise.h"
#include "proto/codec.h"
#include "proto/frames.h"
#include "raft/message.h"
#include "seeds.h"

/* As orders.c has them. */
enum { SAY_ORDER, SAY_NEXT, SAY_MEMBER, SAY_GRANT, SAY_LEAD, SAY_ASK, SAY_PROMISE, SAY_OWN };
enum { OWN_ENDED = 1, OWN_STANDBY = 17, OWN_PRIMARY = 22, OWN_GUARD_DEAD = 8 };

static struct dr_buf story, b;

static void say(uint8_t kind, uint8_t later, const void *p, size_t n)
{
	dr_buf_put_u8(&story, kind);
	dr_buf_put_u8(&story, later);
	dr_buf_put_u8(&story, (uint8_t)n);
	dr_buf_put(&story, p, n);
}

static void say_byte(uint8_t kind, uint8_t later, uint8_t byte)
{
	say(kind, later, &byte, 1);
}

static void say_buf(uint8_t kind, uint8_t later)
{
	FUZZ_CHECK(dr_buf_ok(&b) && b.len < 256);
	say(kind, later, b.data, b.len);
	dr_buf_clear(&b);
}

static void orders(void)
{
	struct dr_lead lead = { .leading = true, .term = 3, .timing = *dr_timing_profile("metro"), .ttl_longest_ms = 9000 };
	struct dr_order o = { .core = { .kind = DR_ORDER_LISTED, .number = 40, .epoch = 3, .listed = 6, .list_version = 1 },
			      .service = sample_name("s"), .member = sample_name("pg-a"), .peers = 1 };
	o.peer[0] = (struct dr_order_peer){ .member = sample_name("pg-b"), .agent = sample_name("ag-b"),
					    .agent_at = sample_address("10.2.0.20", 7500), .listed = true };
	dr_buf_init(&story, 8192);
	dr_buf_init(&b, 4096);
	dr_lead_encode(&b, &lead);
	say_buf(SAY_LEAD, 1);
	say_byte(SAY_OWN, 1, OWN_PRIMARY);
	say_byte(SAY_NEXT, 1, DR_ORDER_ADOPTED);
	say_byte(SAY_OWN, 1, OWN_ENDED);
	for (unsigned i = 0; i < 3; i++)
		say_byte(SAY_GRANT, 10, 0);
	dr_order_encode(&b, &o);
	say_buf(SAY_ORDER, 1);
	say_byte(SAY_OWN, 1, OWN_ENDED);
	seed("orders", "adopted", NO_FIRST, story.data, story.len);
	static const uint8_t higher[] = { DR_ORDER_FENCED, 1, 0 };
	say(SAY_NEXT, 1, higher, sizeof(higher));
	say_byte(SAY_OWN, 1, 2 + 5 * DR_SERVER_STOPPED);
	say_byte(SAY_OWN, 1, OWN_ENDED);
	say_byte(SAY_NEXT, 1, DR_ORDER_WRITABLE);
	say_byte(SAY_OWN, 1, OWN_STANDBY);
	say_byte(SAY_GRANT, 1, 0);
	say_byte(SAY_OWN, 1, OWN_ENDED);
	seed("orders", "fenced-and-back", NO_FIRST, story.data, story.len);
	say_byte(SAY_GRANT, 1, 1);
	say_byte(SAY_OWN, 255, OWN_GUARD_DEAD);
	seed_buf("orders", "late", NO_FIRST, &story);
	dr_buf_close(&story);
	dr_buf_close(&b);
}

/* ---- PostgreSQL ---- */

static void put_row(const char *const *value, uint8_t n)
{
	dr_buf_put_u8(&b, n);
	dr_buf_put_u8(&b, 1);
	for (uint8_t i = 0; i < n; i++) {
		dr_buf_put_u8(&b, value[i] != NULL ? (uint8_t)strlen(value[i]) : 0xff);
		if (value[i] != NULL)
			dr_buf_put(&b, value[i], strlen(value[i]));
	}
}

static void servers(void)
{
	static const char *const standby[] = { "t", "1700000000000", "7300000000000000001", "150018", "3", "50331744",
					       "50331744", "f", "4711", "t", "10.2.0.20", "5432",
					       "host='10.2.0.20' port='5432' fallback_application_name='pg-b'",
					       "drcoord_pg_a", "", "20ms", "CheckpointerMain", "RecoveryWalStream", "t", "3" };
	static const char *const primary[] = { "f", "1700000000000", "7300000000000000001", "150018", "3", "50331744", NULL,
					       "f", NULL, "f", NULL, NULL, "", "", "ANY 1 (\"pg-b\",\"pg-c\")", "5s",
					       "CheckpointerMain", NULL, "t", "3" };
	static const char *const peer[] = { "pg-b", "t", "t", "50331744", "50331744" };
	static const char *const none[] = { "" };
	const uint8_t columns = sizeof(standby) / sizeof(standby[0]);
	dr_buf_init(&b, 1 << 16);
	for (uint8_t kind = 1; kind < DR_OP_MAX; kind++) {
		char name[] = { 'o', 'p', (char)('0' + kind / 10), (char)('0' + kind % 10), '-', 's', '\0' };
		if (strcmp(dr_op_name((enum dr_op_kind)kind), "unknown") == 0)
			continue;
		for (unsigned side = 0; side < 2; side++) {
			dr_buf_put_u8(&b, kind);
			dr_buf_put_u8(&b, 2);
			for (unsigned i = 0; i < 6; i++)
				put_row(side == 0 ? standby : primary, columns);
			put_row(peer, 5);
			put_row(none, 1);
			name[5] = side == 0 ? 's' : 'p';
			seed_buf("pgserver", name, NO_FIRST, &b);
		}
	}
	dr_buf_close(&b);
}

/* ---- raft ---- */

static void peer(const char *name, const struct raft_message *m)
{
	FUZZ_CHECK(dr_message_encode(&b, 7, m));
	seed_buf("peer", name, NO_FIRST, &b);
}

/* A command of 8 bytes and a membership, as libraft has it in an entry. */
static void entries(struct raft_message *m)
{
	static const char address[] = "c-a@10.1.0.10:7400";
	uint8_t change[40] = { 1, 1, [9] = 7 };
	struct raft_entry entry[2] = { { .term = 3, .type = RAFT_COMMAND, .buf = { (void *)(uintptr_t)"command", 8 } },
				       { .term = 3, .type = RAFT_CHANGE, .buf = { change, sizeof(change) } } };
	memcpy(change + 17, address, sizeof(address));
	change[17 + sizeof(address)] = RAFT_VOTER;
	m->type = RAFT_APPEND_ENTRIES;
	m->append_entries = (struct raft_append_entries){ .version = 1, .term = 4, .prev_log_index = 12, .leader_commit = 11 };
	peer("heartbeat", m);
	m->append_entries.entries = entry;
	m->append_entries.n_entries = 2;
	peer("entries", m);
}

static void peers(void)
{
	struct raft_message m = { .type = RAFT_REQUEST_VOTE, .server_id = 9 };
	dr_buf_init(&b, 1 << 16);
	m.request_vote = (struct raft_request_vote){ .version = 2, .term = 4, .candidate_id = 7, .pre_vote = true };
	peer("vote", &m);
	m.type = RAFT_REQUEST_VOTE_RESULT;
	m.request_vote_result = (struct raft_request_vote_result){ .version = 1, .term = 4, .vote_granted = true };
	peer("granted", &m);
	m.type = RAFT_APPEND_ENTRIES_RESULT;
	m.append_entries_result = (struct raft_append_entries_result){ .version = 1, .term = 4, .last_log_index = 12 };
	peer("answer", &m);
	m.type = RAFT_TIMEOUT_NOW;
	m.timeout_now = (struct raft_timeout_now){ .version = 1, .term = 4, .last_log_index = 12, .last_log_term = 3 };
	peer("timeout-now", &m);
	entries(&m);
	m.type = RAFT_INSTALL_SNAPSHOT;
	m.install_snapshot = (struct raft_install_snapshot){ .version = 1, .term = 4, .last_index = 12, .last_term = 3,
		.conf_index = 1, .data = { (void *)(uintptr_t)"state", 5 } };
	raft_configuration_init(&m.install_snapshot.conf);
	FUZZ_CHECK(raft_configuration_add(&m.install_snapshot.conf, 7, "c-a@10.1.0.10:7400", RAFT_VOTER) == 0);
	peer("snapshot", &m);
	raft_configuration_close(&m.install_snapshot.conf);
	dr_buf_close(&b);
}

static void redis(void)
{
	static const char info[] =
	    "# Server\r\nredis_version:7.0.15\r\nuptime_in_seconds:42\r\naof_enabled:1\r\nrole:slave\r\nmaster_host:10.0.0.1\r\n"
	    "master_port:6379\r\nmaster_link_status:up\r\nmaster_replid:74de152f36de8f5e71f52774c7e127c561d33441\r\n"
	    "master_repl_offset:1000\r\nsecond_repl_offset:-1\r\ncluster_enabled:0\r\ndb0:keys=3,expires=0\r\n";
	struct dr_buf made;
	dr_buf_init(&made, 8192);
	dr_buf_printf(&made, "+OK\r\n$%zu\r\n%s\r\n*6\r\n$5\r\nepoch\r\n$1\r\n4\r\n$2\r\nid\r\n$16\r\n74de152f36de8f5e\r\n"
			  "$6\r\norigin\r\n$40\r\n"
			  "74de152f36de8f5e71f52774c7e127c561d33441\r\n*4\r\n$21\r\nmin-replicas-to-write\r\n$1\r\n1\r\n"
			  "$20\r\nmin-replicas-max-lag\r\n$1\r\n1\r\n", sizeof(info) - 1, info);
	seed_buf("redis", "standby", 0, &made);
	dr_buf_close(&made);
	seed_text("redis", "errors", 1,
		  "-NOREPLICAS Not enough good replicas to write.\r\n-READONLY no\r\n-MISCONF No space left\r\n");
	seed_text("redis", "hello", 3, "10.1.0.20,26379,6e6...c1,0,shop,10.1.0.20,6379,0");
}

static void redis_cluster(void)
{
	static const char info[] =
	    "redis_version:7.0.15\r\naof_enabled:1\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\n"
	    "master_link_status:up\r\nmaster_replid:74de152f36de8f5e71f52774c7e127c561d33441\r\n"
	    "master_repl_offset:1000\r\ncluster_enabled:1\r\n";
	static const char nodes[] =
	    "582623a4f0a4dbb775a22fc696fd92f0bea720f4 10.0.0.2:6379@16379 myself,slave,nofailover "
	    "9df2125a7c7e63e5ad87747a06487a773f07810a 0 1795341859067 1 connected\n"
	    "9df2125a7c7e63e5ad87747a06487a773f07810a 10.0.0.1:6379@16379,a master,fail? - 17 1795341859066 3 connected 0-5460\n"
	    "d9702ee103d6ff15ba7ab09b5117c01dfb4cb96c fd00::2:6380@16380 master - 0 0 2 connected 5461-10921 10922 [93->-x]\n";
	static const char code[] =
	    "#!lua name=drcoord_l_sessions\n-- drcoord epoch 4 member rd-a origin 74de152f36de8f5e71f52774c7e127c561d33441 "
	    "id 74de152f36de8f5e at 900\n";
	struct dr_buf made;
	dr_buf_init(&made, 8192);
	dr_buf_printf(&made, "$%zu\r\n%s\r\n$%zu\r\n%s\r\n*4\r\n$21\r\nmin-replicas-to-write\r\n$7\r\n1000000\r\n"
			  "$10\r\nmasteruser\r\n$14\r\ndrcoord-nobody\r\n*1\r\n*4\r\n$12\r\nlibrary_name\r\n$18\r\n"
			  "drcoord_l_sessions\r\n$12\r\nlibrary_code\r\n$%zu\r\n%s\r\n*2\r\n$4\r\nsave\r\n$0\r\n\r\n",
		      sizeof(info) - 1, info, sizeof(nodes) - 1, nodes, sizeof(code) - 1, code);
	seed_buf("rediscluster", "standby", 0, &made);
	dr_buf_close(&made);
}

void seed_peers(void)
{
	redis();
	redis_cluster();
	orders();
	servers();
	peers();
}
