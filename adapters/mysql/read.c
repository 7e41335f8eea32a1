/* read.c -- one reading of a server: its own state, what drcoord wrote into it, and whom it replicates. */
#include <stdlib.h>
#include <string.h>

#include "adapters/mysql/my.h"
#include "adapters/versions.h"
#include "base/parse.h"
#include "sys/clock.h"

/* "10.11.19-MariaDB-..." to 101119. */
static uint32_t version_number(const char *text)
{
	uint32_t part[3] = { 0 };
	for (int i = 0; i < 3; i++) {
		while (*text >= '0' && *text <= '9' && part[i] < 1000)
			part[i] = part[i] * 10 + (uint32_t)(*text++ - '0');
		if (*text++ != '.')
			break;
	}
	return part[0] * 10000 + part[1] * 100 + part[2];
}

static enum dr_err read_server(struct my_run *r, struct my_state *s, struct dr_error *e)
{
	struct my_row row;
	enum dr_err rv = my_query(r, my_sql(r->dialect, MY_SQL_READ_STATE), &row, e);

	if (rv != DR_OK)
		return rv;
	s->version = version_number(row.cell[0]);
	s->server = (uint32_t)my_u64(row.cell[1]);
	s->read_only = my_u64(row.cell[3]) != 0;
	s->super_read_only = my_u64(row.cell[4]) != 0;
	s->logs = my_u64(row.cell[5]) != 0 && my_u64(row.cell[6]) != 0;
	s->domain = (uint32_t)my_u64(row.cell[7]);
	s->uptime_s = my_u64(row.cell[10]);
	/* A set of many origins may be longer than we keep: then nothing is said of it. */
	bool fits = dr_copy_text(s->uuid, sizeof(s->uuid), row.cell[2]) &&
		    dr_copy_text(s->executed, sizeof(s->executed), row.cell[8]) &&
		    dr_copy_text(s->applied, sizeof(s->applied), row.cell[9]);
	my_row_end(&row);
	return fits ? DR_OK : dr_fail(e, DR_E_RANGE, "its executed transactions take more than %d bytes to name", MY_SET_MAX - 1);
}

/* Without the tables nothing was promoted by drcoord yet. */
static enum dr_err read_tables(struct my_run *r, struct my_state *s, struct dr_error *e)
{
	struct my_row row;
	enum dr_err rv = my_query(r, "SELECT COALESCE((SELECT MIN(id) FROM drcoord.identity), 0), COALESCE(MAX(epoch), 0),"
				     " COALESCE((SELECT origin FROM drcoord.lineage ORDER BY epoch DESC LIMIT 1), '')"
				     " FROM drcoord.lineage", &row, e);

	if (rv == DR_E_NOT_FOUND || rv == DR_E_DENIED)
		return DR_OK;
	if (rv != DR_OK)
		return rv;
	s->has_tables = true;
	s->identity = my_u64(row.cell[0]);
	s->epoch = my_u64(row.cell[1]);
	(void)dr_copy_text(s->origin, sizeof(s->origin), row.cell[2]);
	my_row_end(&row);
	return DR_OK;
}

static void read_error(struct my_state *s, const struct my_row *row)
{
	s->error = (uint32_t)my_u64(my_cell(row, "Last_IO_Errno", NULL));
	const char *text = my_cell(row, "Last_IO_Error", NULL);
	if (s->error == 0) {
		s->error = (uint32_t)my_u64(my_cell(row, "Last_SQL_Errno", NULL));
		text = my_cell(row, "Last_SQL_Error", NULL);
	}
	(void)dr_copy_text(s->error_text, sizeof(s->error_text), text);
}

static void read_tls(const struct my_run *r, struct my_state *s, const struct my_row *row)
{
	const char *ca = my_cell(row, "Master_SSL_CA_File", "Source_SSL_CA_File");
	bool tls = strcmp(my_cell(row, "Master_SSL_Allowed", "Source_SSL_Allowed"), "Yes") == 0;
	bool verifies = strcmp(my_cell(row, "Master_SSL_Verify_Server_Cert", "Source_SSL_Verify_Server_Cert"), "Yes") == 0;
	s->checks = tls && verifies && ca[0] != '\0';
	s->checks_as_told = s->checks && strcmp(ca, r->target.ca_file) == 0;
}

/* Afterwards its receiver is in many states: MySQL's writes a table of its own in between. */
static bool has_asked(const struct my_row *row)
{
	static const char *const before[] = { "Connecting", "Checking", "Registering", "Requesting", "Waiting to reconnect",
					      "Reconnecting" };
	const char *does = my_cell(row, "Slave_IO_State", "Replica_IO_State");

	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		if (strncmp(does, before[i], strlen(before[i])) == 0)
			return false;
	}
	return does[0] != '\0';
}

static enum dr_err read_replica(struct my_run *r, struct my_state *s, struct dr_error *e)
{
	struct my_row row;
	enum dr_err rv = my_query(r, my_sql(r->dialect, MY_SQL_STATUS), &row, e);

	if (rv == DR_E_NOT_FOUND)
		return DR_OK;
	if (rv != DR_OK)
		return rv;
	const char *io = my_cell(&row, "Slave_IO_Running", "Replica_IO_Running");
	const char *id = my_cell(&row, "Using_Gtid", "Auto_Position");
	s->configured = true;
	s->by_id = strcmp(id, "No") != 0 && strcmp(id, "0") != 0;
	s->several = mysql_num_rows(row.res) > 1 || my_cell(&row, "Connection_name", "Channel_Name")[0] != '\0';
	s->receiving = strcmp(io, "Yes") == 0;
	s->asked = s->receiving && has_asked(&row);
	s->connecting = strcmp(io, "Connecting") == 0 || strcmp(io, "Preparing") == 0;
	s->applying = strcmp(my_cell(&row, "Slave_SQL_Running", "Replica_SQL_Running"), "Yes") == 0;
	s->idle = strstr(my_cell(&row, "Slave_SQL_Running_State", "Replica_SQL_Running_State"), "has read all relay log") != NULL;
	(void)dr_copy_text(s->source.host, sizeof(s->source.host), my_cell(&row, "Master_Host", "Source_Host"));
	s->source.port = (uint16_t)my_u64(my_cell(&row, "Master_Port", "Source_Port"));
	(void)dr_copy_text(s->source_uuid, sizeof(s->source_uuid), my_cell(&row, "Master_UUID", "Source_UUID"));
	(void)dr_copy_text(s->received_set, sizeof(s->received_set), my_cell(&row, "Gtid_IO_Pos", "Retrieved_Gtid_Set"));
	read_tls(r, s, &row);
	read_error(s, &row);
	my_row_end(&row);
	return DR_OK;
}

/* Numbers that grow with what a server has, and that compare between two members of one timeline.  MariaDB: the sequence of
 * its domain, which grows from server to server.  MySQL: how many of the transactions that began at the primary of this
 * timeline; what others wrote before stands before them in its log, and what a standby wrote for itself counts nowhere. */
static void set_positions(struct my_state *s)
{
	struct my_gtid g;
	const char *origin = s->origin[0] != '\0' ? s->origin : s->source_uuid[0] != '\0' ? s->source_uuid : s->uuid;

	if (s->dialect == MY_MARIADB) {
		/* A fresh copy has no log of its own, and says where it was taken. */
		s->position = my_gtid_newest(s->executed, s->domain, true, 0, &g) ||
			      my_gtid_newest(s->applied, s->domain, true, 0, &g) ? g.sequence : 0;
		/* What a standby wrote for itself is nobody's history. */
		if (s->read_only && g.server == s->server && s->origin[0] != '\0' && strcmp(s->origin, s->uuid) != 0)
			s->position = my_gtid_newest(s->applied, s->domain, true, 0, &g) ? g.sequence : 0;
		s->received = my_gtid_newest(s->received_set, s->domain, true, 0, &g) ? g.sequence : 0;
	} else {
		s->position = my_set_until(s->executed, origin);
		/* The receiver's set begins with its own start: where it goes on from what is executed. */
		s->received = my_set_newest(s->received_set, origin);
	}
	if (s->received < s->position)
		s->received = s->position;
}

bool my_has_rest(const struct my_state *s)
{
	if (s->dialect == MY_MARIADB)
		return !my_gtid_has_all(s->applied, s->executed, s->server, s->received_set);
	return !my_set_has_all(s->executed, s->received_set);
}

static void tell(struct my_run *r, const struct my_state *s)
{
	struct dr_evidence *ev = &r->evidence;

	ev->reached = true;
	ev->text[0] = '\0'; /* what was waited for before this reading */
	ev->in_recovery = s->read_only;
	ev->system_id = s->identity;
	ev->timeline = s->epoch > 0 ? (uint32_t)s->epoch : 1;
	ev->checkpoint_timeline = ev->timeline;
	ev->received = s->received;
	ev->replayed = s->position;
	dr_version_tell(r->dialect == MY_MARIADB ? DR_PRODUCT_MARIADB : DR_PRODUCT_MYSQL, s->version, ev);
	ev->started_ms = dr_clock_wall_ms() - s->uptime_s * 1000;
	/* What is not applied follows nobody; nor does who takes any certificate for its source's. */
	ev->receiving = s->receiving && s->applying && (r->target.ca_file[0] == '\0' || s->checks_as_told);
	if (ev->receiving)
		ev->upstream_at = s->source;
	(void)pthread_mutex_lock(&r->lock);
	r->seen = *ev;
	(void)pthread_mutex_unlock(&r->lock);
}

enum dr_err my_read(struct my_run *r, struct dr_error *e)
{
	struct my_state *s = &r->state;

	*s = (struct my_state){ .dialect = r->dialect };
	enum dr_err rv = read_server(r, s, e);
	if (rv == DR_OK)
		rv = read_tables(r, s, e);
	if (rv == DR_OK)
		rv = read_replica(r, s, e);
	if (rv != DR_OK)
		return rv;
	set_positions(s);
	tell(r, s);
	return DR_OK;
}
