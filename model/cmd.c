/* cmd.c -- see cmd.h. */
#include "model/cmd.h"

struct row {
	const char *name;
	bool durable;
};

static const struct row rows[DR_CMD_KIND_MAX] = {
#define COMMAND(id, name, durable, fields) [id] = { #name, (durable) != 0 },
#include "model/commands.def"
#undef COMMAND
};

bool dr_cmd_known(enum dr_cmd_kind k)
{
	return (unsigned)k < DR_CMD_KIND_MAX && rows[k].name != NULL;
}

const char *dr_cmd_name(enum dr_cmd_kind k)
{
	return dr_cmd_known(k) ? rows[k].name : "NONE";
}

bool dr_cmd_durable(enum dr_cmd_kind k)
{
	return dr_cmd_known(k) && rows[k].durable;
}
