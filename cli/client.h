/* client.h -- drcoordctl's side of a conversation with the coordinators.
 *
 * Calls block, on a loop of their own.  Several endpoints are tried in turn, a redirect to the leader is
 * followed, and what may pass is tried again, with a random wait, until the deadline: a request keeps its id
 * through all tries, so that it is carried out once.  One thread; one call at a time. */
#ifndef DR_CLI_CLIENT_H
#define DR_CLI_CLIENT_H

#include "cli/cli.h"
#include "proto/codec.h"

struct dr_client;

/* From --endpoints, --ca, --cert, --key; reads the certificates, connects to nobody yet. */
DR_MUST_USE enum dr_err dr_client_open(struct dr_client **out, const struct dr_cli *c, struct dr_error *e);
void dr_client_close(struct dr_client *cl);

/* Ask once.  OK: *answer is there (its code may be a refusal); free answer->json with dr_free().
 * UNREACHABLE: nobody answered in time, and what was asked for changes nothing or went to nobody who could have
 * carried it out; BUSY, FULL: the same, and somebody said so to the end; UNKNOWN: it was sent, and may be carried
 * out. */
DR_MUST_USE enum dr_err dr_client_call(struct dr_client *cl, const struct dr_client_request *r,
				       struct dr_client_response *answer, struct dr_error *e);

/* From now on calls give up after this long, if that is sooner than --timeout; streams are not touched. */
void dr_client_limit(struct dr_client *cl, uint32_t call_ms);

/* Ask for a stream.  `each` is called for every answer, in order; it may change r->from, which a new connection
 * then asks for, and returns false to end the stream.  Lost connections are replaced without a word; UNREACHABLE
 * when that is not possible for patience_ms; FULL or BUSY when nobody has room for a few seconds. */
typedef bool dr_client_each_fn(void *ctx, struct dr_client_request *r,
			       const struct dr_client_response *answer);
DR_MUST_USE enum dr_err dr_client_stream(struct dr_client *cl, struct dr_client_request *r,
					 uint32_t patience_ms, dr_client_each_fn *each, void *ctx,
					 struct dr_error *e);

/* A request from the command line: the verb, what its arguments and options say, a fresh id. */
enum dr_exit dr_client_request_build(struct dr_cli *c, struct dr_client_request *r);

/* What a refusal or an error of the leader's says, on stderr (and stdout with -o json); the exit code. */
enum dr_exit dr_client_refused(const struct dr_cli *c, const struct dr_client_response *answer);

/* The whole way of a simple verb: open, call, close.  OK: *answer is the caller's. */
enum dr_exit dr_client_ask(struct dr_cli *c, const struct dr_client_request *r,
			   struct dr_client_response *answer);

#endif
