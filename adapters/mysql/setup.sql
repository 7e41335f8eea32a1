-- setup.sql -- the least that drcoord's accounts need in a MySQL or MariaDB service.
--
-- Run once on the primary, as an administrator; it replicates to the standbys.  It may be run again at any time.
--
--   mariadb < setup.sql          (or: mysql < setup.sql)
--
-- Then give the accounts their passwords (ALTER USER ... IDENTIFIED BY ...), put the same text into the first line of the
-- password files that the spec and the node files name, and narrow '%' to your hosts.
--
-- 1. drcoord: the coordinators' probing account (spec: `user`).  It reads states and writes one row.
-- 2. drcoord_agent: the agents' account (node file: `user`), which makes a server read-only, writable, a replica.
--    Whoever can do that can make a second primary: keep its password file to the agent's user.
-- 3. replicator: what the standbys replicate as (node file: `replication_user`).

CREATE DATABASE IF NOT EXISTS drcoord;
CREATE TABLE IF NOT EXISTS drcoord.heartbeat (place INT PRIMARY KEY, member VARCHAR(64) NOT NULL,
	epoch BIGINT UNSIGNED NOT NULL, beats BIGINT UNSIGNED NOT NULL, at DATETIME(6) NOT NULL) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS drcoord.lineage (epoch BIGINT UNSIGNED PRIMARY KEY, member VARCHAR(64) NOT NULL,
	origin VARCHAR(36) NOT NULL, at DATETIME(6) NOT NULL) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS drcoord.identity (id BIGINT UNSIGNED PRIMARY KEY) ENGINE=InnoDB;
INSERT INTO drcoord.identity SELECT 1 + FLOOR(RAND() * 9223372036854775806) FROM DUAL
	WHERE NOT EXISTS (SELECT 1 FROM drcoord.identity);

CREATE TABLE IF NOT EXISTS drcoord.events (db VARCHAR(64) NOT NULL, event VARCHAR(64) NOT NULL,
	epoch BIGINT UNSIGNED NOT NULL, running TINYINT NOT NULL, PRIMARY KEY (db, event)) ENGINE=InnoDB
	CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE USER IF NOT EXISTS 'drcoord'@'%';
CREATE USER IF NOT EXISTS 'drcoord_agent'@'%';
CREATE USER IF NOT EXISTS 'replicator'@'%';
GRANT SELECT, INSERT, UPDATE ON drcoord.heartbeat TO 'drcoord'@'%';
GRANT SELECT ON drcoord.* TO 'drcoord'@'%';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON drcoord.* TO 'drcoord_agent'@'%';
GRANT REPLICATION SLAVE ON *.* TO 'replicator'@'%';

-- What else the first two need has other names in each product.
/*M!100502 GRANT REPLICA MONITOR, BINLOG MONITOR ON *.* TO 'drcoord'@'%' */;
/*M!100502 GRANT REPLICA MONITOR, BINLOG MONITOR, REPLICATION SLAVE ADMIN, REPLICATION MASTER ADMIN, READ_ONLY ADMIN, BINLOG ADMIN,
	CONNECTION ADMIN, RELOAD, PROCESS, LOCK TABLES, EVENT, SET USER, SUPER ON *.* TO 'drcoord_agent'@'%' */;
/*M!100502 GRANT SELECT ON mysql.* TO 'drcoord_agent'@'%' */;
/*!80000 GRANT REPLICATION CLIENT ON *.* TO 'drcoord'@'%' */;
/*!80000 GRANT SELECT ON performance_schema.global_status TO 'drcoord'@'%' */;
/*!80000 GRANT SELECT ON performance_schema.* TO 'drcoord_agent'@'%' */;
/*!80000 GRANT REPLICATION CLIENT, REPLICATION_SLAVE_ADMIN, SYSTEM_VARIABLES_ADMIN, PERSIST_RO_VARIABLES_ADMIN, CONNECTION_ADMIN,
	RELOAD, PROCESS, CLONE_ADMIN, BACKUP_ADMIN, EVENT, SYSTEM_USER ON *.* TO 'drcoord_agent'@'%' */;
/*!80200 GRANT SET_ANY_DEFINER ON *.* TO 'drcoord_agent'@'%' */;
