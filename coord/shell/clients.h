/* clients.h -- those who ask: what they are told, in which turn of the loop, and those who watch. */
#ifndef DR_COORD_SHELL_CLIENTS_H
#define DR_COORD_SHELL_CLIENTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "model/event.h"

struct dr_answer;
struct dr_coord;
struct dr_event_record;
struct dr_in;

/* An answer that is the same for all who ask, without the id. */
struct dr_made {
	bool valid;
	uint64_t version; /* what it was made of */
	struct dr_buf answer;
};

enum dr_read_state { DR_READ_NONE, DR_READ_WAITS, DR_READ_DUE };

/* clients.c */
void dr_clients_frame(struct dr_in *in, uint16_t type, const uint8_t *p, size_t n);
void dr_clients_closed(struct dr_in *in);
/* Tell whoever connected why it is sent away (a client shows it; others log it as garbled). */
void dr_clients_refuse(struct dr_in *in, enum dr_err code, const char *why);
/* Whether one more client of this identity is let in; else FULL and why. */
DR_MUST_USE enum dr_err dr_clients_admit(const struct dr_in *in, struct dr_error *e);
/* Carry out one request; its turn has come. */
void dr_clients_request(struct dr_in *in, const uint8_t *p, size_t n);
/* The core's word on the request that it was given just now. */
void dr_clients_answered(struct dr_coord *c, const struct dr_answer *answer);
void dr_clients_proposed(struct dr_coord *c, uint64_t tag, enum dr_err outcome);
/* A refusal or an error for a request of this id. */
void dr_clients_error(struct dr_in *in, uint64_t id, enum dr_err code, const char *message);
/* An answer of one's own; json is taken. */
void dr_clients_json(struct dr_in *in, uint64_t id, json_t *json);
/* A refusal for a reason without values. */
void dr_clients_refused(struct dr_in *in, uint64_t id, enum dr_reason why);
/* Who leads, to one who asked for what only a leader does. */
void dr_clients_not_leader(struct dr_in *in, uint64_t id);
/* Make an answer that many get, from json (taken); give it to one. */
void dr_clients_make(struct dr_made *m, json_t *json);
void dr_clients_made(struct dr_in *in, uint64_t id, const struct dr_made *m);
/* One more event for one who watches; json is only read. */
void dr_clients_event(struct dr_in *in, char *json);
/* A change of the membership is under way. */
bool dr_clients_changing(void);

/* stream.c */
void dr_stream_open(struct dr_coord *c);
/* An event as JSON; made once, valid until so many others were asked for. */
char *dr_stream_text(struct dr_coord *c, const struct dr_event_record *e);
/* There may be new events: send them once the present work is done. */
void dr_stream_soon(struct dr_coord *c);
/* From an index on, 0: the next event's, under that request's id. */
void dr_stream_begin(struct dr_in *in, uint64_t id, uint64_t from);
void dr_stream_closed(struct dr_in *in);

/* turn.c */
void dr_turn_open(struct dr_coord *c);
/* Whether a request that has come may be carried out in this turn; else it is kept, and is in one to come. */
bool dr_turn_may(struct dr_in *in, const uint8_t *request, size_t n);
/* A client's request took so long; may make the client's next ones wait. */
void dr_turn_took(struct dr_in *in, uint64_t ns);
/* Hear nothing of this client until it is queued; then its turn comes in a turn of the loop. */
void dr_turn_park(struct dr_in *in);
void dr_turn_queue(struct dr_in *in);
void dr_turn_soon(struct dr_coord *c);
void dr_turn_closed(struct dr_in *in);

/* reads.c */
/* Answer once nothing committed is missing; until then the client asks nothing else. */
void dr_reads_ask(struct dr_in *in, uint64_t id);
/* Begin for those who wait, if nothing is under way; not inside Raft's callbacks. */
void dr_reads_begin(struct dr_coord *c);
void dr_reads_answer(struct dr_in *in);
void dr_reads_closed(struct dr_in *in);

#endif
