/* ready.h -- readiness: would a service move by itself if its primary's host, or its site, were lost now; and what else
 * stands in the way of a good end.  The verdict comes from a forecast, so from the code that would move it.
 *
 * Pure.  One thread; the caller owns all memory. */
#ifndef DR_COORD_CORE_READY_H
#define DR_COORD_CORE_READY_H

#include "coord/core/forecast.h"

enum dr_ready {
	DR_READY_UNKNOWN, /* not judged, or in mode observe */
	DR_READY_YES,
	DR_READY_LIMITED, /* it would move; something is not as it should be */
	DR_READY_NO
};
const char *dr_ready_name(enum dr_ready r); /* "unknown", "yes", "limited", "no" */

/* One thing that is not as it should be. */
struct dr_ready_note {
	enum dr_reason reason;
	uint64_t a, b;
	dr_member_ix member; /* NONE: it is about no member */
	bool blocks;         /* because of it the verdict is no */
};

enum { DR_READY_NOTES_MAX = 16 };
struct dr_readiness {
	enum dr_ready host, site;  /* when the primary's host is lost; when its whole site is */
	uint64_t host_ms, site_ms; /* predicted: from the loss to the first write on the new primary; 0: none */
	uint32_t moves;            /* automatic ones that it is itself when its site is lost: they count for `limits` */
	uint32_t notes;
	struct dr_ready_note note[DR_READY_NOTES_MAX];
};

/* of: by services' places, zeroed where none was judged yet; of[service] is overwritten.  The others are read: what goes before it
 * when the site is lost is as it was judged last. */
void dr_ready_judge(const struct dr_core *live, struct dr_forecast_room *room, uint32_t service, const struct dr_past *past,
		    struct dr_readiness *of);

/* Add what only the caller knows; once each.  More than fit are left out. */
void dr_ready_note(struct dr_readiness *r, struct dr_ready_note note);

/* How many of the cluster's coordinators stand elsewhere than in the site, and how many there are. */
void dr_ready_coordinators(const struct dr_repl *r, const struct dr_name *site, uint32_t *elsewhere, uint32_t *all);

#endif
