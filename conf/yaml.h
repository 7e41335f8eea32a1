/* yaml.h -- one YAML document with libyaml, bounded, and the problems found in it.  Private to conf/.
 *
 * What comes in is hostile: before the document is built, a pass over its events bounds depth, anchors and
 * nodes (libyaml searches its anchors one by one).  Aliases stay references here, so that an alias bomb costs
 * nothing; a walk stays bounded because it follows the table of keys. */
#ifndef DR_CONF_YAML_H
#define DR_CONF_YAML_H

#include <yaml.h>

#include "conf/conf.h"

struct dr_yaml {
	yaml_document_t document;
	bool has_document;
	char folder[DR_PATH_MAX]; /* of the file, with the final slash; empty: the current one */
	struct dr_conf_problems *problems;
};

void dr_problems_init(struct dr_conf_problems *p, const char *file);
/* line and column count from 1; 0, 0: the whole file. */
void dr_problems_add(struct dr_conf_problems *p, bool warning, size_t line, size_t column, const char *fmt,
		     ...) DR_PRINTF(5, 6);
void dr_problems_sort(struct dr_conf_problems *p);

/* Parse text.  Syntax errors, an empty file and a second document are problems; INVALID then, and y needs
 * no close. */
DR_MUST_USE enum dr_err dr_yaml_open(struct dr_yaml *y, const void *text, size_t len,
				     struct dr_conf_problems *problems);
void dr_yaml_close(struct dr_yaml *y);

yaml_node_t *dr_yaml_root(struct dr_yaml *y);
yaml_node_t *dr_yaml_node(struct dr_yaml *y, yaml_node_item_t item);
/* The value of a key of a mapping (the first one); NULL: none, or no mapping. */
yaml_node_t *dr_yaml_value(struct dr_yaml *y, const yaml_node_t *mapping, const char *key);
/* Follow a path like "services[3].members[0].site" as far as it goes. */
yaml_node_t *dr_yaml_at(struct dr_yaml *y, const char *path);
/* A scalar's text; NULL: no scalar, or one with a NUL in it. */
const char *dr_yaml_text(const yaml_node_t *n);

/* A problem at a node (NULL: the whole file). */
void dr_yaml_bad(struct dr_yaml *y, const yaml_node_t *at, const char *fmt, ...) DR_PRINTF(3, 4);
void dr_yaml_warn(struct dr_yaml *y, const yaml_node_t *at, const char *fmt, ...) DR_PRINTF(3, 4);

/* Text of the file for a message: quoted, cut, without control characters.  dst is returned. */
enum { DR_QUOTED_MAX = 80 };
const char *dr_quote(char dst[DR_QUOTED_MAX], const char *s);

#endif
