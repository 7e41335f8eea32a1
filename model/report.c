/* report.c -- see report.h. */
#include "model/report.h"

const char *dr_server_state_name(enum dr_server_state s)
{
	static const char *const names[] = { "unknown", "stopped", "starting", "standby", "primary" };
	return (unsigned)s < sizeof(names) / sizeof(names[0]) ? names[s] : "unknown";
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
