/* forecast_rig.h -- a leader's core with one healthy service, for tests of what is forecast of it. */
#ifndef DR_TESTS_UNIT_FORECAST_RIG_H
#define DR_TESTS_UNIT_FORECAST_RIG_H

#include "coord/core/ready.h"

enum { MEMBERS = 3, NOW = 5000000, WALL = 90000000, POSITION = 100000 };

/* Made by rig_begin(). */
extern struct dr_core *live;
extern struct dr_forecast_room *room;
extern struct dr_past past;

int rig_begin(void **state);
/* All anew: a healthy service at place 1, its primary in site a, a standby in b and c each; place 0 is somebody else's. */
void healthy(enum dr_durability durability);
struct dr_service *service(void);
struct dr_member_view *seen(unsigned m);
struct dr_forecast_ask ask(bool lost, enum dr_request_kind request);
struct dr_forecast forecast(struct dr_forecast_ask q);

#endif
