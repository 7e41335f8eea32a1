/* spec_diff.h -- what differs between two specs, as typed changes in a stable order.
 *
 * Sites, services, members and routes are matched by name, so that moving one in the file is no change. */
#ifndef DR_CONF_SPEC_DIFF_H
#define DR_CONF_SPEC_DIFF_H

#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "model/spec.h"

enum dr_change_kind { DR_CHANGE_ADDED, DR_CHANGE_REMOVED, DR_CHANGE_CHANGED };

enum { DR_CHANGE_VALUE_MAX = 128, DR_CHANGE_PATH_MAX = 4 * DR_NAME_MAX };

struct dr_spec_change {
	enum dr_change_kind kind;
	struct dr_name service;           /* empty: timing, sites, cluster */
	struct dr_name member;            /* empty: the service itself or a route */
	char key[DR_NAME_MAX];            /* the word in the file that changed: "k", "members", "ttl" */
	char path[DR_CHANGE_PATH_MAX];    /* "services.orders.members.pg-c" */
	char before[DR_CHANGE_VALUE_MAX]; /* as in YAML, cut when longer; empty for ADDED */
	char after[DR_CHANGE_VALUE_MAX];  /* empty for REMOVED */
};

/* Write at most max changes that lead from `before` to `after`; returns how many there are, which may be
 * more than max.  An added or removed service is one change, whatever is in it. */
uint32_t dr_spec_diff(const struct dr_spec *before, const struct dr_spec *after, struct dr_spec_change *out,
		      uint32_t max);

/* One line: "services.orders.members.pg-c: added", "services.orders.sync.k: 1 -> 2". */
void dr_spec_change_print(const struct dr_spec_change *c, struct dr_buf *out);

#endif
