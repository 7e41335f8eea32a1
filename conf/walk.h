/* walk.h -- fills a struct from a document by the rows of keys.def, and collects every problem.  Private to
 * conf/. */
#ifndef DR_CONF_WALK_H
#define DR_CONF_WALK_H

#include "conf/keys.h"
#include "conf/yaml.h"

/* *top: zeroed, the struct of `section`.  Elements keep the places that they have in the file, also those
 * with problems, so that "services[3]" is the same service in both. */
void dr_walk(struct dr_yaml *y, enum dr_section_id section, void *top);

#endif
