/* redis.c -- Redis 7 and Valkey 8 behind adapter.h: one run of an op, from its first connection to its end (red.h).
 * README.md says what each op reads and proves.
 *
 * Everything hangs on the session's struct red_own.  A run is over (run.op == NULL) before dr_op_finish is called, and nothing
 * of it is touched afterwards. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "adapters/redis/link.h"
#include "adapters/redis/red.h"
#include "adapters/redis/sentinels.h"
#include "base/assert.h"
#include "base/parse.h"
#include "sys/file.h"

enum red_phase { PHASE_READING, PHASE_DOING };

/* What is asked at each reading, in this order; what comes from SLOT_MORE on the dialect asks. */
enum slot { SLOT_AUTH, SLOT_INFO, SLOT_MORE };

struct red_run {
	struct dr_op *op; /* NULL: no run */
	red_judge *judge;
	enum red_phase phase;
	bool at_source;         /* the connection is to the source, not to the target */
	unsigned slot, answers; /* answers: still to come */
	bool failed;
	struct dr_error error;  /* the first of this phase */
	struct red_state state, source;
	bool has_source, vetted;
	bool wrote, ends, goodbye; /* of what is being done */
	unsigned acted, looks;
	uint64_t offset_last;
};

struct red_own {
	struct dr_session *session;
	const struct red_dialect *dialect;
	struct red_link *link; /* NULL: none */
	struct red_hunt *hunt; /* UNWATCHED; NULL: none */
	uv_timer_t again;
	uint32_t handles;      /* not closed yet, `again` included */
	struct red_run run;
	char secret[RED_SECRET_MAX], replication_secret[RED_SECRET_MAX];
};
_Static_assert(sizeof(struct red_own) <= RED_OWN_SIZE, "the host gives a session RED_OWN_SIZE bytes");

/* ---- ends */

static void handle_gone(void *ctx)
{
	struct red_own *o = ctx;
	dr_assert(o->handles > 0);
	if (--o->handles == 0)
		dr_session_closed(o->session);
}

static void disconnect(struct red_own *o)
{
	if (o->link != NULL)
		red_link_drop(o->link);
	o->link = NULL;
	explicit_bzero(o->secret, sizeof(o->secret));
}

static void leave(struct red_own *o)
{
	disconnect(o);
	if (o->hunt != NULL)
		red_hunt_drop(o->hunt);
	o->hunt = NULL;
	(void)uv_timer_stop(&o->again);
	explicit_bzero(o->replication_secret, sizeof(o->replication_secret));
	o->run.op = NULL;
}

static void finish(struct red_own *o, struct dr_error *e)
{
	struct dr_op *op = o->run.op;

	leave(o);
	if (e != NULL) {
		(void)dr_wrap(e, "%s", o->session->target.member.s);
		(void)dr_copy_text(op->evidence.text, sizeof(op->evidence.text), e->msg);
	}
	dr_op_finish(op, e);
}

/* ---- reading */

enum { AGAIN_MS = 50 };

static void on_answer(void *ctx, const redisReply *r);
static void on_again(uv_timer_t *h);

/* Whoever is being promoted ends its connections, and whoever loads what it was sent answers nothing else: what follows looks
 * again, as long as its order lets it. */
static bool may_come(struct red_own *o, const struct dr_error *e)
{
	struct red_run *r = &o->run;
	bool passes = r->at_source ? dr_err_class(e->code) == DR_CLASS_RETRY : e->code == DR_E_BUSY;
	if (!passes || r->op->kind != DR_OP_FOLLOWING)
		return false;
	disconnect(o);
	(void)dr_copy_text(r->op->evidence.text, sizeof(r->op->evidence.text), e->msg);
	(void)uv_timer_start(&o->again, on_again, AGAIN_MS, 0);
	return true;
}

static void on_failed(void *ctx, const struct dr_error *e)
{
	struct red_own *o = ctx;
	struct dr_error copy = *e;
	if (may_come(o, o->run.failed ? &o->run.error : e))
		return;
	if (o->run.phase == PHASE_DOING && o->run.goodbye) {
		finish(o, NULL);
		return;
	}
	/* A server that closes the door says why first. */
	finish(o, o->run.failed ? &o->run.error : &copy);
}

static enum dr_err read_secret(const char *file, char dst[RED_SECRET_MAX], struct dr_error *e)
{
	dst[0] = '\0';
	if (file[0] == '\0')
		return DR_OK;
	enum dr_err rv = dr_file_read_line(file, dst, RED_SECRET_MAX, e);
	/* A disk of ours that fails, or no descriptor left here, is no such failure of the server's. */
	if (rv != DR_OK && rv != DR_E_NOT_FOUND && rv != DR_E_DENIED)
		e->code = DR_E_UNKNOWN;
	return rv == DR_OK ? DR_OK : e->code;
}

static void ask(struct red_own *o)
{
	const struct dr_target *t = &o->session->target;
	struct red_run *r = &o->run;
	struct dr_buf b;

	dr_buf_init(&b, RED_BYTES_MAX);
	r->phase = PHASE_READING;
	r->failed = false;
	r->slot = SLOT_AUTH;
	r->answers = 1;
	if (o->secret[0] == '\0') {
		r->slot = SLOT_INFO;
	} else {
		r->answers++;
		if (t->user[0] != '\0')
			red_say(&b, "AUTH", t->user, o->secret, NULL);
		else
			red_say(&b, "AUTH", o->secret, NULL);
	}
	red_say(&b, "INFO", NULL);
	r->answers += o->dialect->ask(&b, t, r->op->kind, r->acted > 0);
	dr_assert(dr_buf_ok(&b));
	red_link_send(o->link, b.data, b.len);
	explicit_bzero(b.data, b.len);
	dr_buf_close(&b);
}

/* A fresh connection, and a reading over it. */
static enum dr_err begin(struct red_own *o, bool at_source, struct dr_error *e)
{
	const struct dr_target *t = &o->session->target;
	struct red_run *r = &o->run;
	const struct red_link_owner owner = { .ctx = o, .answer = on_answer, .failed = on_failed, .gone = handle_gone };

	disconnect(o);
	r->at_source = at_source;
	enum dr_err rv = read_secret(t->password_file, o->secret, e);
	if (rv != DR_OK)
		return rv;
	o->handles++;
	rv = red_link_open(&o->link, o->session->loop, at_source ? &r->op->args.primary_at : &t->address, t->ca_file,
			   &owner, e);
	if (rv == DR_OK)
		ask(o);
	return rv;
}

static void begin_again(struct red_own *o, bool at_source)
{
	struct dr_error e;
	if (begin(o, at_source, &e) != DR_OK)
		finish(o, &e);
}

static void take(struct red_own *o, struct red_state *s, unsigned slot, const redisReply *r)
{
	if (slot == SLOT_INFO && r->type == REDIS_REPLY_STRING)
		red_read_info(s, r->str);
	else if (slot >= SLOT_MORE)
		o->dialect->take(s, slot - SLOT_MORE, r, &o->run.op->args);
}

/* ---- judging */

static void on_again(uv_timer_t *h)
{
	struct red_own *o = h->data;
	if (o->link != NULL)
		ask(o);
	else
		begin_again(o, false);
}

static void act(struct red_own *o, const struct red_todo *t)
{
	struct red_run *r = &o->run;

	dr_assert(!r->at_source);
	r->op->evidence.untouched = false;
	r->phase = PHASE_DOING;
	r->failed = false;
	r->answers = t->count;
	r->wrote = t->wrote;
	r->ends = t->wrote || t->ends;
	r->goodbye = t->goodbye;
	r->acted++;
	r->looks = 0;
	(void)dr_copy_text(r->op->evidence.text, sizeof(r->op->evidence.text), t->text);
	red_link_send(o->link, t->commands.data, t->commands.len);
}

static void hold(struct red_own *o, const struct red_todo *t)
{
	struct dr_op *op = o->run.op;

	op->evidence.divergence = t->divergence;
	if (op->kind == DR_OP_FOLLOWING)
		op->evidence.upstream = op->args.primary;
	if (op->kind == DR_OP_TENDED)
		(void)snprintf(op->evidence.caution, sizeof(op->evidence.caution), "%.*s", DR_CAUTION_MAX - 1, t->text);
	(void)dr_copy_text(op->evidence.text, sizeof(op->evidence.text), t->text);
	finish(o, NULL);
}

static void carry_out(struct red_own *o, const struct red_todo *t)
{
	struct red_run *r = &o->run;
	struct dr_error e;

	switch (t->verdict) {
	case RED_HOLDS: hold(o, t); break;
	case RED_DO:
		if (!r->at_source) {
			act(o, t);
			break;
		}
		r->vetted = true;
		begin_again(o, false);
		break;
	case RED_WAIT:
		(void)dr_copy_text(r->op->evidence.text, sizeof(r->op->evidence.text), t->text);
		r->looks++;
		r->offset_last = r->state.offset;
		(void)uv_timer_start(&o->again, on_again, t->pause_ms, 0);
		break;
	case RED_SOURCE: begin_again(o, true); break;
	case RED_FAIL:
		(void)dr_fail(&e, t->code, "%s", t->text);
		finish(o, &e);
		break;
	}
}

static void judge(struct red_own *o)
{
	struct red_run *r = &o->run;
	struct red_todo t = { .verdict = RED_FAIL, .code = DR_E_INTERNAL };
	struct dr_error e;
	const struct red_sight sight = { .args = &r->op->args, .target = &o->session->target, .mine = &r->state,
					 .replication_secret = o->replication_secret,
					 .source = r->has_source ? &r->source : NULL, .vetted = r->vetted,
					 .acted = r->acted, .looks = r->looks, .offset_last = r->offset_last };

	if (r->op->kind == DR_OP_FOLLOWING &&
	    read_secret(o->session->target.replication_password_file, o->replication_secret, &e) != DR_OK) {
		finish(o, &e);
		return;
	}
	dr_buf_init(&t.commands, RED_BYTES_MAX);
	r->judge(&sight, &t);
	dr_assert(dr_buf_ok(&t.commands));
	carry_out(o, &t);
	if (t.commands.len > 0)
		explicit_bzero(t.commands.data, t.commands.len);
	dr_buf_close(&t.commands);
}

static void have_read(struct red_own *o)
{
	struct red_run *r = &o->run;
	struct red_state *s = r->at_source ? &r->source : &r->state;

	if (s->version == 0 || s->id[0] == '\0') {
		(void)dr_fail(&r->error, DR_E_PROTOCOL, "it is no Redis server: its INFO names no version or replication id");
		finish(o, &r->error);
		return;
	}
	red_place(s);
	if (r->at_source)
		r->has_source = true;
	else
		red_tell(s, &r->op->evidence);
	judge(o);
}

static void have_done(struct red_own *o)
{
	struct red_run *r = &o->run;

	if (!r->ends) {
		begin_again(o, false);
		return;
	}
	r->op->evidence.wrote = r->wrote;
	finish(o, NULL);
}

/* What hides a password from whoever reads the error. */
static void note_error(struct red_own *o, const char *text)
{
	struct red_run *r = &o->run;
	const char *secrets[] = { o->secret, o->replication_secret };

	if (r->failed)
		return;
	r->failed = true;
	(void)red_error(text, &r->error);
	r->op->evidence.too_few = strncmp(text, "NOREPLICAS", 10) == 0;
	for (size_t i = 0; i < 2; i++) {
		size_t n = strlen(secrets[i]);
		for (char *at = n > 0 ? strstr(r->error.msg, secrets[i]) : NULL; at != NULL; at = strstr(at, secrets[i]))
			memset(at, '*', n);
	}
	if (r->error.code == DR_E_AUTH)
		(void)dr_target_not_let_in(&o->session->target, &r->error);
	if (r->at_source)
		(void)dr_wrap(&r->error, "the primary");
}

static void on_answer(void *ctx, const redisReply *reply)
{
	struct red_own *o = ctx;
	struct red_run *r = &o->run;
	const char *refusal = red_refusal(reply);
	struct dr_error e;

	if (r->answers == 0) {
		(void)dr_fail(&e, DR_E_PROTOCOL, "the server answered with what nobody asked for");
		finish(o, &e);
		return;
	}
	if (refusal != NULL)
		note_error(o, refusal);
	if (r->phase == PHASE_READING) {
		if (r->slot == SLOT_INFO) {
			struct red_state *s = r->at_source ? &r->source : &r->state;
			memset(s, 0, sizeof(*s));
		}
		if (refusal == NULL)
			take(o, r->at_source ? &r->source : &r->state, r->slot, reply);
		r->slot++;
	}
	if (--r->answers > 0)
		return;
	if (r->phase == PHASE_DOING && r->goodbye)
		finish(o, NULL); /* it will not: a signal does it */
	else if (r->failed && may_come(o, &r->error))
		return;
	else if (r->failed)
		finish(o, &r->error);
	else if (r->phase == PHASE_READING)
		have_read(o);
	else
		have_done(o);
}

/* ---- UNWATCHED */

static void on_hunted(void *ctx, const struct dr_error *e, const char *text)
{
	struct red_own *o = ctx;
	struct dr_error copy = { .code = DR_OK };
	if (e != NULL)
		copy = *e;
	(void)dr_copy_text(o->run.op->evidence.text, sizeof(o->run.op->evidence.text), text);
	o->run.op->evidence.reached = e == NULL;
	finish(o, e != NULL ? &copy : NULL);
}

static enum dr_err hunt(struct red_own *o, struct dr_error *e)
{
	const struct dr_target *t = &o->session->target;
	const struct red_hunt_owner owner = { .ctx = o, .done = on_hunted, .gone = handle_gone };
	char theirs[RED_SECRET_MAX];
	enum dr_err rv = read_secret(t->password_file, o->secret, e);
	if (rv == DR_OK)
		rv = read_secret(t->sentinels.password_file, theirs, e);
	if (rv != DR_OK)
		return rv;
	o->handles++;
	rv = red_hunt_open(&o->hunt, o->session->loop, t, o->secret, theirs, &owner, e);
	explicit_bzero(theirs, sizeof(theirs));
	return rv;
}

/* ---- the adapter */

static bool is_literal(const char *host)
{
	unsigned char address[16];
	return uv_inet_pton(AF_INET, host, address) == 0 || uv_inet_pton(AF_INET6, host, address) == 0;
}

enum dr_err red_open(struct dr_session *s, const struct red_dialect *dialect, struct dr_error *e)
{
	const struct dr_target *t = &s->target;
	struct red_own *o = s->own;

	if (t->address.port == 0)
		return dr_fail(e, DR_E_INVALID, "%s: no port", t->member.s);
	if (!is_literal(t->address.host))
		return dr_fail(e, DR_E_INVALID, "%s: %s is no address literal", t->member.s, t->address.host);
	o->session = s;
	o->dialect = dialect;
	(void)uv_timer_init(s->loop, &o->again);
	o->again.data = o;
	o->handles = 1;
	return DR_OK;
}

enum dr_err red_start(struct dr_session *s, struct dr_op *op, struct dr_error *e)
{
	struct red_own *o = s->own;

	memset(&o->run, 0, sizeof(o->run));
	o->run.op = op;
	o->run.judge = o->dialect->judge[op->kind];
	dr_assert(o->run.judge != NULL || op->kind == DR_OP_UNWATCHED);
	op->evidence.untouched = op->kind == DR_OP_WRITABLE;
	enum dr_err rv = op->kind == DR_OP_UNWATCHED ? hunt(o, e) : begin(o, false, e);
	if (rv != DR_OK)
		leave(o);
	return rv;
}

void red_cancel(struct dr_session *s, struct dr_op *op)
{
	(void)op;
	leave(s->own);
}

static void again_closed(uv_handle_t *h)
{
	handle_gone(h->data);
}

void red_close(struct dr_session *s)
{
	struct red_own *o = s->own;
	uv_close((uv_handle_t *)&o->again, again_closed);
}

/* ---- one primary with replicas */

/* In this order: the lineage for everybody, the others for the server's own agent. */
enum question { ASKED_LINEAGE, ASKED_BRAKE, ASKED_SAVE, ASKED_SENTINELS, ASKED_DENIED };

static unsigned single_ask(struct dr_buf *b, const struct dr_target *t, enum dr_op_kind op, bool acted)
{
	(void)t;
	(void)acted;
	red_say(b, "HGETALL", RED_LINEAGE, NULL);
	bool looks = op == DR_OP_FIT || op == DR_OP_TENDED;
	if (op != DR_OP_POSITIONS && op != DR_OP_SYNC_SET && !looks)
		return ASKED_BRAKE;
	red_say(b, "CONFIG", "GET", "min-replicas-*", NULL);
	if (!looks)
		return ASKED_SAVE;
	red_say(b, "CONFIG", "GET", "save", NULL);
	red_say(b, "PUBSUB", "NUMSUB", "__sentinel__:hello", NULL);
	if (op != DR_OP_FIT)
		return ASKED_DENIED;
	red_say_may(b);
	return ASKED_DENIED + 1;
}

static void single_take(struct red_state *s, unsigned i, const redisReply *r, const struct dr_op_args *args)
{
	const redisReply *second = r->type == REDIS_REPLY_ARRAY && r->elements >= 2 ? r->element[1] : NULL;

	(void)args;
	switch ((enum question)i) {
	case ASKED_LINEAGE: red_read_lineage(s, r); break;
	case ASKED_BRAKE: red_read_brake(s, r); break;
	case ASKED_SAVE: (void)dr_copy_text(s->save, sizeof(s->save), red_value(r, "save")); break;
	case ASKED_SENTINELS:
		if (second != NULL && second->type == REDIS_REPLY_INTEGER && second->integer > 0)
			s->sentinels = (uint64_t)second->integer;
		break;
	case ASKED_DENIED: (void)dr_copy_text(s->denied, sizeof(s->denied), red_text(r)); break;
	}
}

static const struct red_dialect single = {
	.ask = single_ask,
	.take = single_take,
	.judge = {
		[DR_OP_PROBE] = red_judge_probe,         [DR_OP_PROBE_WRITE] = red_judge_probe_write,
		[DR_OP_POSITIONS] = red_judge_probe,     [DR_OP_FROZEN] = red_judge_frozen,
		[DR_OP_FOLLOWING] = red_judge_following, [DR_OP_WRITABLE] = red_judge_writable,
		[DR_OP_SYNC_SET] = red_judge_sync_set,   [DR_OP_COMPARED] = red_judge_compared,
		[DR_OP_CLOSED] = red_judge_closed,       [DR_OP_FIT] = red_judge_fit,
		[DR_OP_SIGNED] = red_judge_signed,       [DR_OP_TENDED] = red_judge_tended,
	},
};

static enum dr_err open_single(struct dr_session *s, struct dr_error *e)
{
	return red_open(s, &single, e);
}

const struct dr_adapter dr_redis_adapter = {
	.name = "redis",
	.own_size = RED_OWN_SIZE,
	.open = open_single,
	.start = red_start,
	.cancel = red_cancel,
	.close = red_close,
	.can = { RED_CAN, [DR_OP_UNWATCHED] = true },
};
