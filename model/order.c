/* order.c -- see order.h. */
#include "model/order.h"

struct row {
	const char *name; /* the word */
	bool lease;
	uint32_t secs;
};

static const struct row rows[DR_ORDER_MAX] = {
#define ORDER(id, name, word, lease, secs, help) [id] = { word, (lease) != 0, secs },
#include "model/orders.def"
#undef ORDER
};

static bool known(enum dr_order_kind k)
{
	return (unsigned)k < DR_ORDER_MAX && rows[k].name != NULL;
}

const char *dr_order_name(enum dr_order_kind k)
{
	return known(k) ? rows[k].name : "none";
}

bool dr_order_needs_lease(enum dr_order_kind k)
{
	return known(k) && rows[k].lease;
}

uint32_t dr_order_limit_ms(enum dr_order_kind k)
{
	return known(k) ? rows[k].secs * 1000 : 0;
}

const char *dr_outcome_name(enum dr_outcome o)
{
	static const char *const names[] = { "none", "accepted", "done", "failed", "refused" };
	return (unsigned)o < sizeof(names) / sizeof(names[0]) ? names[o] : "none";
}
