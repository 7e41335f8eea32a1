-- setup.sql -- the least that drcoord's two accounts need in a PostgreSQL service (13 to 17).
--
-- Run once on the primary, as superuser, in the database that probes connect to (`database` of the
-- service, "postgres" by default); it replicates to the standbys.  It may be run again at any time.
--
--   psql -d postgres -f setup.sql
--
-- Then give the accounts their passwords (\password drcoord), put the same text into the first line of the
-- password files that the spec and the node files name, and let pg_hba.conf take the accounts in:
--
--   host   postgres     drcoord        <each coordinator>/32  scram-sha-256
--   local  postgres     drcoord_agent                         scram-sha-256
--   host   replication  replicator     <each member>/32       scram-sha-256
--
-- 1. drcoord: the coordinators' probing account (spec: `user`).  It reads states and writes one row.
-- 2. drcoord_agent: the agents' account (node file: `superuser`), for use over the unix socket.  It is no
--    superuser, but PostgreSQL 13 and 14 let only superusers ALTER SYSTEM and CHECKPOINT: there name a
--    real superuser in the node file instead.  pg_rewind's account is another matter (its manual page).
-- 3. replicator: what the standbys stream as (node file: `replication_user`).
--
-- Whoever may set synchronous_standby_names can stop every commit, and whoever may promote can make a
-- second primary: keep drcoord_agent's password file to the agent's user, and never give it a host line.

\set ON_ERROR_STOP on
BEGIN;

DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'drcoord') THEN
		CREATE ROLE drcoord LOGIN CONNECTION LIMIT 32;
	END IF;
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'drcoord_agent') THEN
		CREATE ROLE drcoord_agent LOGIN REPLICATION CONNECTION LIMIT 8;
	END IF;
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'replicator') THEN
		CREATE ROLE replicator LOGIN REPLICATION;
	END IF;
END
$$;

-- Both read pg_stat_replication, pg_stat_wal_receiver and settings; heartbeat is granted to pg_monitor.
GRANT pg_monitor TO drcoord, drcoord_agent;

-- The write probe's table, as the adapter makes it when it may: 64 rows at most.
CREATE SCHEMA IF NOT EXISTS drcoord;
CREATE TABLE IF NOT EXISTS drcoord.heartbeat (
	place int PRIMARY KEY CHECK (place BETWEEN 0 AND 63),
	member text NOT NULL,
	epoch bigint NOT NULL,
	beats bigint NOT NULL DEFAULT 1,
	at timestamptz NOT NULL
);
GRANT USAGE ON SCHEMA drcoord TO pg_monitor;
GRANT SELECT, INSERT, UPDATE ON drcoord.heartbeat TO pg_monitor;

-- Promote, resume, reload.  Slots come with the attribute REPLICATION.
GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO drcoord_agent;
GRANT EXECUTE ON FUNCTION pg_wal_replay_resume() TO drcoord_agent;
GRANT EXECUTE ON FUNCTION pg_reload_conf() TO drcoord_agent;

-- From 15 on settings and CHECKPOINT can be granted one by one.
DO $$
BEGIN
	IF current_setting('server_version_num')::int < 150000 THEN
		RAISE NOTICE 'before PostgreSQL 15 the agent needs a superuser';
		RETURN;
	END IF;
	EXECUTE 'GRANT ALTER SYSTEM ON PARAMETER primary_conninfo, primary_slot_name,'
		' synchronous_standby_names, wal_retrieve_retry_interval, recovery_target_timeline TO drcoord_agent';
	-- For the one statement that carries the replication password.
	EXECUTE 'GRANT SET ON PARAMETER log_statement, log_min_duration_statement,'
		' log_min_error_statement TO drcoord_agent';
	IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'pg_checkpoint') THEN
		EXECUTE 'GRANT pg_checkpoint TO drcoord_agent';
	END IF;
END
$$;

COMMIT;
