/* reading.c -- what is asked of a node beside INFO, and its answers as values.  See cluster.h. */
#include "adapters/redis_cluster/cluster.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"

enum question { ASKED_NODES, ASKED_BRAKES, ASKED_LIBRARIES, ASKED_SAVE };

enum { BRAKE_LEAST = 1000000, WORDS_MAX = 16 };

void redc_library(char name[REDC_LIBRARY_MAX], const char *what, const struct dr_target *t)
{
	(void)snprintf(name, REDC_LIBRARY_MAX, "drcoord_%s_%s", what, t->service.s);
	for (char *p = name + strlen("drcoord_") + strlen(what); *p != '\0'; p++)
		*p = *p == '-' ? '_' : *p;
}

/* What a replica logs in with is asked only where it has just been overwritten: the secret itself is nobody's business here. */
unsigned redc_ask(struct dr_buf *b, const struct dr_target *t, enum dr_op_kind op, bool acted)
{
	char name[REDC_LIBRARY_MAX];
	bool deafened = acted && (op == DR_OP_FROZEN || op == DR_OP_SIGNED);

	redc_library(name, "[lb]", t);
	red_say(b, "CLUSTER", "NODES", NULL);
	red_say(b, "CONFIG", "GET", "min-replicas-to-write", "min-replicas-max-lag", "masteruser", "repl-diskless-sync-delay",
		"cluster-replica-no-failover", "cluster-allow-replica-migration", deafened ? "masterauth" : NULL, NULL);
	red_say(b, "FUNCTION", "LIST", "LIBRARYNAME", name, "WITHCODE", NULL);
	if (op != DR_OP_FIT && op != DR_OP_TENDED)
		return ASKED_SAVE;
	red_say(b, "CONFIG", "GET", "save", NULL);
	return ASKED_SAVE + 1;
}

static void take_brakes(struct red_state *s, const redisReply *r)
{
	bool lag = red_number(red_value(r, "min-replicas-max-lag")) > 0;

	s->fenced = lag && red_number(red_value(r, "min-replicas-to-write")) >= BRAKE_LEAST;
	s->unnamed = strcmp(red_value(r, "masteruser"), REDC_BRAKE_USER) == 0;
	s->deaf = s->unnamed && red_value(r, "masterauth")[0] != '\0';
	s->keeps = red_number(red_value(r, "repl-diskless-sync-delay")) >= BRAKE_LEAST;
	s->stays = strcmp(red_value(r, "cluster-replica-no-failover"), "yes") == 0 &&
		   strcmp(red_value(r, "cluster-allow-replica-migration"), "no") == 0;
}

/* The word behind a key in a library's second line: "-- drcoord epoch 4 member rc-a origin ID id ID at 17". */
static bool said(const char *code, const char *key, char *dst, size_t cap)
{
	static const char mark[] = "\n-- drcoord ";
	const char *at = strstr(code, mark);
	char words[WORDS_MAX][64];
	size_t n = 0;

	dst[0] = '\0';
	if (at == NULL)
		return false;
	for (at += strlen(mark); *at != '\0' && *at != '\n' && n < WORDS_MAX;) {
		size_t len = strcspn(at, " \n");
		if (len == 0 || len >= sizeof(words[0]))
			return false;
		memcpy(words[n], at, len);
		words[n++][len] = '\0';
		at += len + (at[len] == ' ' ? 1 : 0);
	}
	for (size_t i = 0; i + 1 < n; i += 2) {
		if (strcmp(words[i], key) == 0)
			return dr_copy_text(dst, cap, words[i + 1]);
	}
	return false;
}

static void take_lineage(struct red_lineage *l, const char *code)
{
	char text[64];

	l->epoch = said(code, "epoch", text, sizeof(text)) ? red_number(text) : 0;
	l->there = l->epoch > 0 && l->epoch <= UINT32_MAX;
	(void)said(code, "member", l->member, sizeof(l->member));
	(void)said(code, "origin", l->origin, sizeof(l->origin));
	l->identity = said(code, "id", text, sizeof(text)) ? red_identity(text) : 0;
	l->at = said(code, "at", text, sizeof(text)) ? red_number(text) : 0;
}

/* The beat counts where it is of the same stream. */
static void take_libraries(struct red_state *s, const redisReply *r)
{
	struct red_lineage beat = { .there = false };
	char text[64];

	s->lineage = (struct red_lineage){ .there = false };
	for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements; i++) {
		const char *name = red_value(r->element[i], "library_name");
		const char *code = red_value(r->element[i], "library_code");
		if (strncmp(name, "drcoord_l_", strlen("drcoord_l_")) == 0) {
			take_lineage(&s->lineage, code);
		} else if (strncmp(name, "drcoord_b_", strlen("drcoord_b_")) == 0) {
			(void)said(code, "origin", beat.origin, sizeof(beat.origin));
			beat.at = said(code, "at", text, sizeof(text)) ? red_number(text) : 0;
		}
	}
	if (s->lineage.there && strcmp(beat.origin, s->lineage.origin) == 0 && beat.at > s->lineage.at)
		s->lineage.at = beat.at;
}

void redc_take(struct red_state *s, unsigned i, const redisReply *r, const struct dr_op_args *args)
{
	switch ((enum question)i) {
	case ASKED_NODES: red_nodes_read(&s->nodes, red_text(r), &args->primary_at); break;
	case ASKED_BRAKES: take_brakes(s, r); break;
	case ASKED_LIBRARIES: take_libraries(s, r); break;
	case ASKED_SAVE: (void)dr_copy_text(s->save, sizeof(s->save), red_value(r, "save")); break;
	}
}
