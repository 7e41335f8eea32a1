/* keys.h -- the rows of keys.def as data.  Private to conf/. */
#ifndef DR_CONF_KEYS_H
#define DR_CONF_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/nearest.h"
#include "conf/conf.h"

enum dr_section_id {
#define SECTION(id, type, help) DR_SECTION_##id,
#include "conf/keys.def"
	DR_SECTION_COUNT
};

enum dr_key_id {
#define KEY(id, ...) DR_KEY_##id,
#define CHOICE(id, ...) DR_KEY_##id,
#define PART(id, ...) DR_KEY_##id,
#define LIST(id, ...) DR_KEY_##id,
#define SCALARS(id, ...) DR_KEY_##id,
#include "conf/keys.def"
	DR_KEY_COUNT
};

enum dr_key_type {
	DR_TYPE_NAME,     /* struct dr_name */
	DR_TYPE_TEXT,     /* char[] */
	DR_TYPE_PATH,     /* char[]; a relative one starts at the file's folder */
	DR_TYPE_ABSOLUTE, /* char[]; a path on other nodes, so it starts with a slash */
	DR_TYPE_FQDN,     /* char[]; a DNS name with its final dot */
	DR_TYPE_ADDRESS,  /* struct dr_address; may be a wildcard */
	DR_TYPE_REACHED,  /* struct dr_address that others connect to: no wildcard */
	DR_TYPE_DURATION, /* uint32_t, milliseconds */
	DR_TYPE_SIZE,     /* uint64_t, bytes */
	DR_TYPE_NUMBER,   /* uint32_t */
	DR_TYPE_BOOL,     /* bool */
	DR_TYPE_CHOICE,   /* an enum: its words */
	DR_TYPE_PROFILE,  /* the whole struct dr_timing, before its other keys */
	DR_TYPE_PART,     /* a mapping */
	DR_TYPE_LIST,     /* a list of mappings */
	DR_TYPE_SCALARS   /* a list of scalars of type `item` */
};

enum dr_key_reload { DR_RELOAD_FIXED, DR_RELOAD_RESTART, DR_RELOAD_LIVE };

/* The words of an enum: count of them, from value `first` on. */
struct dr_words {
	const char *title; /* "durability" */
	uint32_t first, count;
	const char *(*name)(uint32_t value);
};

/* Find element i of a PART, LIST or SCALARS inside the struct that holds it.  make: the reader asks for a new
 * last element, which is counted in; else NULL when there are not so many. */
typedef void *dr_place_fn(void *holder, uint32_t i, bool make);

struct dr_key {
	enum dr_section_id section;
	enum dr_key_type type;
	enum dr_key_type item; /* SCALARS */
	const char *word;
	const char *help;
	const char *fallback; /* ask dr_key_needed() and dr_key_fallback() */
	enum dr_key_reload reload;
	size_t offset, size; /* of the field in the section's struct */
	uint64_t min, max;   /* of a value, or of the number of elements */
	const struct dr_words *words;
	enum dr_section_id of; /* PART, LIST */
	dr_place_fn *place;
};

extern const struct dr_key dr_keys[DR_KEY_COUNT];

/* Whether it must be given; the text that a missing one stands for (NULL: none). */
bool dr_key_needed(const struct dr_key *k);
const char *dr_key_fallback(const struct dr_key *k);
/* Whether the struct, filled up to that key, is of a kind that has it. */
bool dr_key_applies(const struct dr_key *k, const void *holder);

const char *dr_section_name(enum dr_section_id id);
const char *dr_section_help(enum dr_section_id id);
/* The section that a file of this kind fills at its top. */
enum dr_section_id dr_section_top(enum dr_conf_kind kind);
/* The rows of a section in their order: after NULL comes the first, after the last NULL. */
const struct dr_key *dr_key_next(enum dr_section_id section, const struct dr_key *after);
/* The key of that word in a section; NULL: none. */
const struct dr_key *dr_key_find(enum dr_section_id section, const char *word);

#endif
