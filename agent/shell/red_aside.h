/* red_aside.h -- before a Redis server fetches everything anew: what it has is moved aside whole (local.h). */
#ifndef DR_AGENT_SHELL_RED_ASIDE_H
#define DR_AGENT_SHELL_RED_ASIDE_H

#include "agent/shell/local.h"

DR_MUST_USE enum dr_err dr_red_aside(const struct dr_local_server *s, char where[DR_PATH_MAX], struct dr_error *e);

#endif
