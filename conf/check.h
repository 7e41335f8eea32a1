/* check.h -- what no single key can tell: references, inequalities, things that stand twice.  Private to
 * conf/.  Each works on a struct that dr_walk() has filled, also with problems: what is empty was said. */
#ifndef DR_CONF_CHECK_H
#define DR_CONF_CHECK_H

#include "conf/yaml.h"

/* What a key means for this kind of service: changes the spec.  Before dr_check_spec. */
void dr_check_settle(struct dr_yaml *y, struct dr_spec *spec);
void dr_check_spec(struct dr_yaml *y, const struct dr_spec *spec);
void dr_check_runbook(struct dr_yaml *y, const struct dr_spec *spec);
void dr_check_coordinator(struct dr_yaml *y, const struct dr_conf_coordinator *c);
void dr_check_agent(struct dr_yaml *y, const struct dr_conf_agent *a);

/* The node of a path like "services[%u].members[%u].site", as far as it exists. */
yaml_node_t *dr_check_at(struct dr_yaml *y, const char *fmt, ...) DR_PRINTF(2, 3);

#endif
