/* conf.c -- see conf.h. */
#include "conf/conf.h"

#include <string.h>

#include "base/mem.h"

static const char *const kind_names[] = {
	[DR_CONF_UNKNOWN] = "unknown",
	[DR_CONF_COORDINATOR] = "coordinator",
	[DR_CONF_AGENT] = "agent",
	[DR_CONF_SPEC] = "spec",
};

const char *dr_conf_kind_name(enum dr_conf_kind k)
{
	return (unsigned)k < DR_CONF_KIND_COUNT ? kind_names[k] : kind_names[DR_CONF_UNKNOWN];
}

enum dr_conf_kind dr_conf_kind_find(const char *word)
{
	for (unsigned k = DR_CONF_COORDINATOR; k < DR_CONF_KIND_COUNT; k++) {
		if (strcmp(kind_names[k], word) == 0)
			return (enum dr_conf_kind)k;
	}
	return DR_CONF_UNKNOWN;
}

struct dr_spec *dr_conf_spec_new(void)
{
	struct dr_spec *s = dr_xcalloc(sizeof(*s));
	s->service = dr_xcalloc(sizeof(*s->service) * DR_SERVICES_MAX);
	return s;
}

void dr_conf_spec_free(struct dr_spec *s)
{
	if (s == NULL)
		return;
	dr_free(s->service);
	dr_free(s);
}
