/* site_rig.h -- replicated state with five services in two sites, for tests of site plans: commands go straight into it. */
#ifndef DR_TESTS_UNIT_SITE_RIG_H
#define DR_TESTS_UNIT_SITE_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "coord/core/repl.h"

enum { SERVICES = 5, A = 0, B = 1, C = 2 };

/* Made by rig_begin(), given back by rig_end(); log_index is that of the last command. */
extern struct dr_repl *repl;
extern uint64_t log_index;
extern const uint32_t group[SERVICES];

struct dr_name name(const char *text);
void apply(struct dr_cmd cmd);
struct dr_cmd command(enum dr_cmd_kind kind, uint32_t service);
void apply_spec(uint32_t services);
int rig_begin(void **state);
int rig_end(void **state);
const struct dr_site_plan *newest(void);
/* The open site plan's number, 0 without one. */
uint64_t open_now(void);
void ask(enum dr_plan_kind kind, uint64_t request);
/* Whether the service has a plan after it was asked for: by the lost site's first (site), by the turn of a site plan. */
bool opens(uint32_t service, const char *site, uint64_t site_plan, enum dr_plan_kind kind);
void close_plan(uint32_t service, bool success, enum dr_reason why);
/* The service's plan ends with another primary. */
void moves_to(uint32_t service, dr_member_ix to);
void leave(uint32_t service, enum dr_reason why);

#endif
