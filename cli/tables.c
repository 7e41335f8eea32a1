/* tables.c -- the rows of verbs.def, options.def and exits.def as data. */
#include "cli/cli.h"

const struct dr_option dr_options[DR_OPTION_COUNT] = {
#define EVERY true
#define SOME false
#define OPTION(id, word_, letter_, argument_, every_, environment_, help_)                                   \
	[DR_OPTION_##id] = { word_, letter_, argument_, every_, environment_, help_ },
#include "cli/options.def"
#undef OPTION
#undef EVERY
#undef SOME
};

/* Roles stand in the table that the coordinators enforce. */
enum {
#define ASK_FOR(id, word, least, leader, reason) ROLE_OF_##id = DR_PEER_##least,
#include "proto/verbs.def"
#undef ASK_FOR
	ROLE_OF_NOBODY = DR_PEER_NONE
};

const struct dr_verb dr_verbs[DR_VERB_COUNT] = {
#define O(id) (UINT64_C(1) << DR_OPTION_##id)
#define VERB(id, words_, arguments_, asks, function_, options_, help_)                                       \
	[DR_VERB_##                                                                                          \
	    id] = { words_, arguments_, (enum dr_peer_kind)ROLE_OF_##asks, function_, options_, help_ },
#include "cli/verbs.def"
#undef VERB
#undef O
};

const struct dr_exit_row dr_exits[] = {
#define EXIT(number, name, help) { number, #name, help },
#include "cli/exits.def"
};
const unsigned dr_exits_count = sizeof(dr_exits) / sizeof(dr_exits[0]);

enum dr_exit dr_exit_of(enum dr_err code)
{
	switch (code) {
	case DR_E_OK:
		return DR_EXIT_OK;
#define EXIT_OF_ERROR(error, exit)                                                                           \
	case DR_E_##error:                                                                                   \
		return DR_EXIT_##exit;
#include "cli/exits.def"
	default:
		break;
	}
	switch (dr_err_class(code)) {
#define EXIT_OF_CLASS(class, exit)                                                                           \
	case DR_CLASS_##class:                                                                               \
		return DR_EXIT_##exit;
#include "cli/exits.def"
	default:
		return DR_EXIT_FAILED;
	}
}
