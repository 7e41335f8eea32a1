/* files.h -- spec files as verbs take them, and changes between specs as verbs show them. */
#ifndef DR_CLI_FILES_H
#define DR_CLI_FILES_H

#include <jansson.h>

#include "cli/cli.h"
#include "conf/conf.h"

/* Read and check a spec; problems are said on stderr.  OK: *out is the caller's (dr_conf_spec_free). */
enum dr_exit dr_files_spec(struct dr_cli *c, const char *path, struct dr_spec **out);

/* What leads from one spec to another: [{"path", "change", "before", "after"}]; and that for people, which returns how
 * many there are. */
json_t *dr_files_changes(const struct dr_spec *before, const struct dr_spec *after);
size_t dr_files_print_changes(const json_t *changes, FILE *to);

/* diff --offline OLD NEW: exit DIFFERS when they do. */
enum dr_exit dr_files_diff(struct dr_cli *c);

#endif
