/* offline_only.c -- stands in for the verbs that ask a coordinator while the protocol is not built. */
#include "cli/files.h"

static enum dr_exit not_built(struct dr_cli *c)
{
	struct dr_error e = { 0 };
	(void)dr_fail(&e, DR_E_UNSUPPORTED, "built without the client protocol");
	return dr_say_error(c, &e);
}

enum dr_exit dr_verb_status(struct dr_cli *c)
{
	return not_built(c);
}

enum dr_exit dr_verb_watch(struct dr_cli *c)
{
	return not_built(c);
}

enum dr_exit dr_verb_show(struct dr_cli *c)
{
	return not_built(c);
}

enum dr_exit dr_verb_change(struct dr_cli *c)
{
	return not_built(c);
}

enum dr_exit dr_verb_apply(struct dr_cli *c)
{
	return not_built(c);
}

enum dr_exit dr_verb_diff(struct dr_cli *c)
{
	return c->option[DR_OPTION_OFFLINE] != NULL ? dr_files_diff(c) : not_built(c);
}
