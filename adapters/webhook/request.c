/* request.c -- see request.h.  All names that stand in the body were checked when they were read (letters, digits, - . _), so
 * nothing in it has to be quoted. */
#include "adapters/webhook/request.h"

#include <inttypes.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "model/plan.h"

void dr_webhook_sign(const char *secret, int64_t now_s, const char *body, char out[80])
{
	char signed_text[DR_WEBHOOK_BODY_MAX + 32];
	uint8_t mac[EVP_MAX_MD_SIZE] = { 0 };
	unsigned len = 0;
	int n = snprintf(signed_text, sizeof(signed_text), "%" PRId64 ".%s", now_s, body);
	dr_assert(n > 0 && (size_t)n < sizeof(signed_text));
	(void)HMAC(EVP_sha256(), secret, (int)strlen(secret), (const uint8_t *)signed_text, (size_t)n, mac, &len);
	int at = snprintf(out, 80, "sha256=");
	for (unsigned i = 0; i < 32; i++)
		at += snprintf(out + at, 80 - (size_t)at, "%02x", mac[i]);
}

static void put_header(struct dr_webhook_request *q, const char *name, const char *value)
{
	dr_assert(q->headers < DR_WEBHOOK_HEADERS);
	(void)snprintf(q->header[q->headers++], DR_WEBHOOK_HEADER_MAX, "%s: %s", name, value);
}

static void route_body(struct dr_webhook_request *q, const struct dr_call *c, char *key, size_t cap)
{
	const struct dr_op_args *a = &c->args;
	const struct dr_target *t = c->target;
	(void)snprintf(key, cap, "%s/%s/%s/%" PRIu64, t->cluster.s, t->service.s, t->route.name.s, a->epoch);
	(void)snprintf(q->body, sizeof(q->body),
		       "{\"cluster\":\"%s\",\"service\":\"%s\",\"route\":\"%s\",\"epoch\":%" PRIu64 ",\"plan\":%" PRIu64
		       ",\"step\":\"%s\",\"drill\":false,\"ask\":%s,\"idempotency_key\":\"%s\","
		       "\"old\":{\"primary\":\"%s\",\"host\":\"%s\",\"port\":%u},"
		       "\"new\":{\"primary\":\"%s\",\"host\":\"%s\",\"port\":%u}}",
		       t->cluster.s, t->service.s, t->route.name.s, a->epoch, a->plan, dr_step_name((enum dr_step)a->step),
		       c->kind == DR_OP_OBSERVED ? "true" : "false", key, a->old.s, a->old_at.host, a->old_at.port, a->primary.s,
		       a->primary_at.host, a->primary_at.port);
}

static void step_body(struct dr_webhook_request *q, const struct dr_call *c, char *key, size_t cap)
{
	const struct dr_target *t = c->target;
	(void)snprintf(key, cap, "%s", t->step.key);
	(void)snprintf(q->body, sizeof(q->body),
		       "{\"cluster\":\"%s\",\"site\":\"%s\",\"plan\":%" PRIu64 ",\"plan_kind\":\"%s\",\"step\":\"%s\","
		       "\"undo\":%s,\"drill\":false,\"ask\":%s,\"idempotency_key\":\"%s\"}",
		       t->cluster.s, t->step.site.s, c->args.plan, dr_plan_name((enum dr_plan_kind)t->step.plan_kind),
		       t->route.name.s, t->step.undo ? "true" : "false", c->kind == DR_OP_OBSERVED ? "true" : "false", key);
}

void dr_webhook_request_make(struct dr_webhook_request *q, const struct dr_call *c, const char *secret, int64_t now_s)
{
	const struct dr_target *t = c->target;
	char key[DR_WEBHOOK_HEADER_MAX - 32], stamp[24], signature[80];
	memset(q, 0, sizeof(*q));
	if (t->step.key[0] != '\0')
		step_body(q, c, key, sizeof(key));
	else
		route_body(q, c, key, sizeof(key));
	(void)snprintf(stamp, sizeof(stamp), "%" PRId64, now_s);
	dr_webhook_sign(secret, now_s, q->body, signature);
	put_header(q, "Content-Type", "application/json");
	put_header(q, "Idempotency-Key", key);
	put_header(q, "X-Drcoord-Timestamp", stamp);
	put_header(q, "X-Drcoord-Signature", signature);
	put_header(q, "Expect", "");
}
static enum dr_err code_of(long status)
{
	switch (status) {
	case 401:
	case 403: return DR_E_AUTH;
	case 408:
	case 425:
	case 429: return DR_E_BUSY;
	default: break;
	}
	if (status >= 500 && status < 600)
		return DR_E_FAILED;
	return status >= 400 && status < 500 ? DR_E_REFUSED : DR_E_PROTOCOL;
}

enum dr_err dr_webhook_answer_read(long status, const char *text, size_t len, bool *done, struct dr_error *e)
{
	json_error_t ignored;
	char state[32] = "";
	json_t *v = text != NULL ? json_loadb(text, len, 0, &ignored) : NULL;
	const char *said = json_string_value(json_object_get(v, "state"));
	(void)snprintf(state, sizeof(state), "%s", said != NULL ? said : "");
	json_decref(v);
	*done = strcmp(state, "done") == 0;
	if (status == 409 && strcmp(state, "stale") == 0)
		return dr_fail(e, DR_E_STALE, "the receiver has seen a newer epoch");
	if (status < 200 || status > 299)
		return dr_fail(e, code_of(status), "the receiver answers %ld", status);
	if (!*done && strcmp(state, "pending") != 0)
		return dr_fail(e, DR_E_PROTOCOL,
			       "the receiver answers %ld without {\"state\":\"done\"} or {\"state\":\"pending\"}", status);
	return DR_OK;
}
