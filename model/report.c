/* report.c -- see report.h. */
#include "model/report.h"

const char *dr_server_state_name(enum dr_server_state s)
{
	static const char *const names[] = { "unknown", "stopped", "starting", "standby", "primary" };
	return (unsigned)s < sizeof(names) / sizeof(names[0]) ? names[s] : "unknown";
}

static const struct {
	const char *word;
	enum dr_reason reason;
	enum dr_failure_policy policy;
} failures[DR_FAILURE_MAX] = {
#define FAILURE(id, name, word, reason, policy, help) [id] = { word, DR_REASON_##reason, DR_FAILURE_##policy },
#include "model/failures.def"
#undef FAILURE
};

const char *dr_failure_name(enum dr_failure f)
{
	return (unsigned)f < DR_FAILURE_MAX && failures[f].word != NULL ? failures[f].word : "none";
}

enum dr_reason dr_failure_reason(enum dr_failure f)
{
	return (unsigned)f < DR_FAILURE_MAX ? failures[f].reason : DR_REASON_NONE;
}

enum dr_failure_policy dr_failure_policy(enum dr_failure f)
{
	return (unsigned)f < DR_FAILURE_MAX ? failures[f].policy : DR_FAILURE_TELL;
}

enum dr_failure dr_failure_of(enum dr_reason r)
{
	for (unsigned f = 1; r != DR_REASON_NONE && f < DR_FAILURE_MAX; f++) {
		if (failures[f].reason == r)
			return (enum dr_failure)f;
	}
	return DR_FAILURE_NONE;
}

const char *dr_failsafe_name(enum dr_failsafe f)
{
	static const char *const names[] = { "none", "missing", "ready", "running" };
	return (unsigned)f < sizeof(names) / sizeof(names[0]) ? names[f] : "none";
}

const char *dr_member_role_name(enum dr_member_role r)
{
	static const char *const names[] = { "none", "standby", "primary", "fenced" };
	return (unsigned)r < sizeof(names) / sizeof(names[0]) ? names[r] : "none";
}
