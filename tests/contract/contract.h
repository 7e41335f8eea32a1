/* contract.h -- what each adapter brings to the contract test: real servers, and what to ask of them.
 *
 * One fixture per line of adapters.def, in fixture_FOLDER.c as contract_FOLDER; a missing one does not link. */
#ifndef DR_TESTS_CONTRACT_CONTRACT_H
#define DR_TESTS_CONTRACT_CONTRACT_H

#include "rig.h"

enum { CONTRACT_STEPS_MAX = 16 };

/* One op on one target, as it can succeed on the servers that the fixture started. */
struct contract_step {
	enum dr_op_kind kind;
	struct dr_target target;
	struct dr_op_args args;
	uint32_t deadline_ms; /* more than it needs */
	struct dr_address at; /* the server that is asked, and its process */
	pid_t pid;
};

struct contract_fixture {
	/* Start the servers and fill steps; false, with the reason printed, where they are not installed. */
	bool (*start)(struct contract_step *steps, unsigned *n);
	void (*stop)(void);
	/* Whether its product has no such op; NULL: it has all. */
	bool (*lacks)(enum dr_op_kind kind);
	/* Let the target's server (all of them) be at this address instead. */
	void (*aim)(struct dr_target *t, const struct dr_address *at);
	/* Whether the op compares the target's address with what the server says, so that no other leads there; NULL: none does. */
	bool (*by_address)(enum dr_op_kind kind);
	bool not_slow;       /* the server itself refuses a first packet that comes in parts */
	bool whole_requests; /* the server itself loses what follows when a request comes in parts */
	/* In place of aim where there is no server, only this host: let the target's commands hang; false: the op runs none. */
	bool (*hang)(struct dr_target *t, enum dr_op_kind kind);
};

#define ADAPTER(word, folder, variable) extern const struct contract_fixture contract_##folder;
#include "adapters/adapters.def"
#undef ADAPTER

/* The adapter of MySQL and MariaDB on MySQL, beside the MariaDB of its own fixture. */
extern const struct contract_fixture contract_real_mysql;

#endif
