/* webhook.c -- the adapter for whatever leads clients to the primary and can be told by a signed request over HTTPS.
 *
 * Ops:
 *   ROUTED    the receiver answered 2xx with {"state":"done"} to our request; {"state":"pending"} is asked again, with the
 *             same idempotency key, until it is done or the time is over;
 *   OBSERVED  the same question with "ask": true: the receiver says done or pending and changes nothing.
 *
 * request.c writes what is sent, answer.c reads what comes back.  libcurl works on the call's thread by its multi interface,
 * so that a call that is to end ends at once; the receiver's certificate is always verified. */
#include "adapters/blocking.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adapters/webhook/request.h"
#include "base/buf.h"
#include "sys/clock.h"
#include "sys/file.h"

enum { SECRET_MAX = 256, ANSWER_MAX = 64 << 10, PAUSE_FIRST_MS = 100, PAUSE_MOST_MS = 1000, FAILURES_MAX = 3, POLL_MS = 20 };

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static size_t take(char *data, size_t size, size_t n, void *ctx)
{
	struct dr_buf *b = ctx;
	dr_buf_put(b, data, size * n);
	return dr_buf_ok(b) ? size * n : 0;
}

static enum dr_err code_of(CURLcode rc)
{
	switch (rc) {
	case CURLE_OPERATION_TIMEDOUT: return DR_E_TIMEOUT;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE: return DR_E_CERT;
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_SSL_CONNECT_ERROR: return DR_E_UNREACHABLE;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL: return DR_E_INVALID;
	default: return DR_E_CLOSED;
	}
}

/* Until the transfer has ended, or the call is to. */
static enum dr_err transfer(struct dr_call *c, CURLM *multi, CURL *easy, struct dr_error *e)
{
	int running = 1, left = 0;
	char errors[CURL_ERROR_SIZE] = "";
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, errors);
	for (;;) {
		(void)curl_multi_perform(multi, &running);
		if (running == 0)
			break;
		enum dr_err rv = dr_call_goes_on(c, e);
		if (rv != DR_OK)
			return rv;
		(void)curl_multi_poll(multi, NULL, 0, POLL_MS, NULL);
	}
	CURLMsg *m = curl_multi_info_read(multi, &left);
	CURLcode rc = m != NULL ? m->data.result : CURLE_RECV_ERROR;
	if (rc == CURLE_OK)
		return DR_OK;
	return dr_fail(e, code_of(rc), "%s", errors[0] != '\0' ? errors : curl_easy_strerror(rc));
}

static void set_options(CURL *easy, const struct dr_spec_route *r, struct curl_slist *headers, const char *body,
			struct dr_buf *answer)
{
	(void)curl_easy_setopt(easy, CURLOPT_URL, r->url);
	(void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
	(void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a name that is being looked up is not waited for */
	(void)curl_easy_setopt(easy, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	if (r->ca_file[0] != '\0')
		(void)curl_easy_setopt(easy, CURLOPT_CAINFO, r->ca_file);
	(void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
	(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer);
}

static enum dr_err post(struct dr_call *c, const struct dr_webhook_request *q, struct dr_buf *answer, long *status,
			struct dr_error *e)
{
	struct curl_slist *headers = NULL;
	CURL *easy = curl_easy_init();
	CURLM *multi = curl_multi_init();
	enum dr_err rv = DR_OK;
	for (unsigned i = 0; i < q->headers; i++)
		headers = curl_slist_append(headers, q->header[i]);
	if (easy == NULL || multi == NULL || headers == NULL) {
		rv = dr_fail(e, DR_E_UNKNOWN, "no memory for a request");
	} else {
		set_options(easy, &c->target->route, headers, q->body, answer);
		(void)curl_multi_add_handle(multi, easy);
		rv = transfer(c, multi, easy, e);
		(void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, status);
		(void)curl_multi_remove_handle(multi, easy);
	}
	curl_slist_free_all(headers);
	curl_easy_cleanup(easy);
	(void)curl_multi_cleanup(multi);
	return rv;
}

/* One request and its answer. */
static enum dr_err ask_once(struct dr_call *c, const char *secret, bool *done, struct dr_error *e)
{
	struct dr_webhook_request q;
	struct dr_buf answer;
	long status = 0;
	dr_webhook_request_make(&q, c, secret, (int64_t)time(NULL));
	dr_buf_init(&answer, ANSWER_MAX);
	enum dr_err rv = post(c, &q, &answer, &status, e);
	if (rv == DR_OK) {
		c->answered = true;
		rv = dr_webhook_answer_read(status, (const char *)answer.data, answer.len, done, e);
	}
	dr_buf_close(&answer);
	explicit_bzero(&q, sizeof(q));
	if (rv == DR_OK)
		(void)snprintf(c->shows, sizeof(c->shows), "%s", *done ? "done" : "pending");
	return rv;
}

static bool may_heal(enum dr_err rv)
{
	return rv != DR_OK && dr_err_class(rv) == DR_CLASS_RETRY && rv != DR_E_CANCELLED && rv != DR_E_TIMEOUT;
}

static enum dr_err ask_until_done(struct dr_call *c, const char *secret, struct dr_error *e)
{
	uint32_t pause = PAUSE_FIRST_MS;
	unsigned failures = 0;
	for (;;) {
		bool done = false;
		struct dr_error late;
		enum dr_err rv = ask_once(c, secret, &done, e);
		failures += may_heal(rv) ? 1 : 0;
		bool over = rv == DR_OK ? done || c->kind == DR_OP_OBSERVED : !may_heal(rv);
		if (over || failures == FAILURES_MAX)
			return rv;
		rv = dr_call_pause(c, pause / 2 + (uint32_t)random() % pause, &late);
		if (rv != DR_OK && failures > 0)
			return e->code; /* what failed says more than that the time is over */
		if (rv != DR_OK)
			return dr_fail(e, rv, "the receiver still says pending");
		pause = pause < PAUSE_MOST_MS ? 2 * pause : PAUSE_MOST_MS;
	}
}

static enum dr_err webhook_call(struct dr_call *c, struct dr_error *e)
{
	char secret[SECRET_MAX] = "";
	enum dr_err rv = dr_file_read_line(c->target->route.hmac_secret_file, secret, sizeof(secret), e);
	if (rv == DR_OK && secret[0] == '\0')
		rv = dr_fail(e, DR_E_INVALID, "%s is empty; expected the secret in its first line",
			     c->target->route.hmac_secret_file);
	if (rv == DR_OK)
		rv = ask_until_done(c, secret, e);
	explicit_bzero(secret, sizeof(secret));
	return rv;
}

static enum dr_err webhook_open(struct dr_session *s, struct dr_error *e)
{
	const struct dr_spec_route *r = &s->target.route;
	if (r->kind != DR_ROUTE_WEBHOOK || strncmp(r->url, "https://", 8) != 0)
		return dr_fail(e, DR_E_INVALID, "the target is no webhook route, or its url does not begin with https://");
	(void)pthread_once(&once, start_curl);
	dr_blocking_open(s, webhook_call, 0, 1);
	return DR_OK;
}

const struct dr_adapter dr_webhook_adapter = {
	.name = "webhook",
	.own_size = sizeof(struct dr_blocking),
	.open = webhook_open,
	.start = dr_blocking_start,
	.cancel = dr_blocking_cancel,
	.close = dr_blocking_close,
	.can = { [DR_OP_OBSERVED] = true, [DR_OP_ROUTED] = true },
};
