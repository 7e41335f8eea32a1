/* request.h -- what a webhook is sent and what its answer means.  No I/O; any thread.
 *
 *   POST, Content-Type: application/json
 *   Idempotency-Key: CLUSTER/SERVICE/ROUTE/EPOCH        the same for every repetition, by whichever leader
 *   X-Drcoord-Timestamp: SECONDS since 1970
 *   X-Drcoord-Signature: sha256=HEX                     HMAC-SHA256 over "TIMESTAMP.BODY" with the route's secret
 *
 * A receiver checks the signature, refuses timestamps that are minutes old, refuses an epoch below the newest that it has
 * seen of the service, and carries one idempotency key out once. */
#ifndef DR_ADAPTERS_WEBHOOK_REQUEST_H
#define DR_ADAPTERS_WEBHOOK_REQUEST_H

#include "adapters/blocking.h"

enum { DR_WEBHOOK_BODY_MAX = 2048, DR_WEBHOOK_HEADERS = 5, DR_WEBHOOK_HEADER_MAX = 256 };

struct dr_webhook_request {
	char body[DR_WEBHOOK_BODY_MAX];
	unsigned headers;
	char header[DR_WEBHOOK_HEADERS][DR_WEBHOOK_HEADER_MAX];
};

void dr_webhook_request_make(struct dr_webhook_request *q, const struct dr_call *c, const char *secret, int64_t now_s);
/* "sha256=HEX" over "TIMESTAMP.BODY". */
void dr_webhook_sign(const char *secret, int64_t now_s, const char *body, char out[80]);
/* 2xx with {"state":"done"} or {"state":"pending"}.  REFUSED: 4xx; AUTH: 401, 403; BUSY: 408, 425, 429; STALE: 409 with
 * {"state":"stale"}; FAILED: 5xx; PROTOCOL: anything else. */
DR_MUST_USE enum dr_err dr_webhook_answer_read(long status, const char *text, size_t len, bool *done, struct dr_error *e);

#endif
