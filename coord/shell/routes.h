/* routes.h -- routes that are brought to show the primary (routes.c). */
#ifndef DR_COORD_SHELL_ROUTES_H
#define DR_COORD_SHELL_ROUTES_H

#include "coord/shell/coord.h"

void dr_routes_carry_out(struct dr_coord *c, const struct dr_decision *d);
/* DR_FRAME_ROUTED of another coordinator. */
void dr_routes_told(struct dr_coord *c, const struct dr_name *by, const uint8_t *p, size_t n);
/* Why a server of a route could not be brought to the newest epoch by this node; "" when nothing is known. */
const char *dr_routes_why(const struct dr_coord *c, uint32_t service, uint32_t route, uint32_t server);

#endif
