/* docs.c -- the rows of keys.def for people. */
#include <string.h>

#include "conf/scalar.h"

static const char *reload_text(enum dr_key_reload r)
{
	return r == DR_RELOAD_LIVE ? "apply" : r == DR_RELOAD_RESTART ? "restart" : "fixed";
}

static void default_of(const struct dr_key *k, struct dr_buf *out)
{
	const char *text = dr_key_fallback(k);
	if (k->section == DR_SECTION_timing && text == NULL)
		text = "by profile";
	dr_buf_printf(out, "%s", dr_key_needed(k) ? "required" : text != NULL ? text : "-");
}

static bool holds(const struct dr_key *k)
{
	return k->type == DR_TYPE_PART || k->type == DR_TYPE_LIST;
}

static void row(const struct dr_key *k, bool markdown, struct dr_buf *out)
{
	struct dr_buf range, fallback;
	dr_buf_init(&range, 512);
	dr_buf_init(&fallback, 512);
	dr_scalar_describe(k, &range);
	default_of(k, &fallback);
	const char *reload = holds(k) ? "" : reload_text(k->reload);
	dr_buf_printf(out,
		      markdown ? "| `%s` | %.*s | %.*s | %s | %s |\n" : "  %-26s %.*s; %.*s; %s\n      %s\n",
		      k->word, (int)range.len, (const char *)range.data, (int)fallback.len,
		      (const char *)fallback.data, reload, k->help);
	dr_buf_close(&range);
	dr_buf_close(&fallback);
}

/* One section, then those inside it; path is the way to it: "services[].members[]". */
static void section(enum dr_section_id id, const char *path, bool markdown, struct dr_buf *out)
{
	dr_buf_printf(
	    out,
	    markdown
		? "\n### `%s`\n\n%s.\n\n| key | value | default | changes by | meaning |\n|---|---|---|---|---|\n"
		: "\n%s: %s\n",
	    path, dr_section_help(id));
	for (const struct dr_key *k = dr_key_next(id, NULL); k != NULL; k = dr_key_next(id, k))
		row(k, markdown, out);
	for (const struct dr_key *k = dr_key_next(id, NULL); k != NULL; k = dr_key_next(id, k)) {
		if (!holds(k))
			continue;
		struct dr_buf inner;
		dr_buf_init(&inner, 256);
		dr_buf_printf(&inner, "%s.%s%s", path, k->word, k->type == DR_TYPE_LIST ? "[]" : "");
		dr_buf_put_u8(&inner, 0);
		section(k->of, (const char *)inner.data, markdown, out);
		dr_buf_close(&inner);
	}
}

static void profiles(struct dr_buf *out)
{
	static const char *const words[] = { "default", "metro", "geo" };
	dr_buf_printf(
	    out,
	    "\n## Profiles\n\n"
	    "| profile | renew | ttl | fence_budget | guard_margin | probe | probe_deadline | detect_after | drift_ppm |\n"
	    "|---|---|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		const struct dr_timing *t = dr_timing_profile(words[i]);
		dr_buf_printf(out, "| %s | %ums | %ums | %ums | %ums | %ums | %ums | %ums | %u |\n", words[i],
			      t->renew_ms, t->ttl_ms, t->fence_budget_ms, t->guard_margin_ms, t->probe_ms,
			      t->probe_deadline_ms, t->detect_after_ms, t->drift_ppm);
	}
}

void dr_conf_docs(struct dr_buf *out, bool markdown)
{
	if (markdown)
		dr_buf_printf(
		    out,
		    "# Configuration\n\n"
		    "Made from `conf/keys.def` by `drcoordctl help config --markdown`; do not edit.\n\n"
		    "Durations are a whole number and a unit: `250ms`, `5s`, `2m`, `1h`. Sizes likewise: `512KiB`, "
		    "`16MiB`, `1GiB`. Booleans are `true` and `false`. Relative paths start at the file's folder.\n"
		    "*changes by*: `restart` of the program, `apply` of the spec, or `fixed` for good.\n");
	for (unsigned k = DR_CONF_COORDINATOR; k < DR_CONF_KIND_COUNT; k++) {
		enum dr_section_id top = dr_section_top((enum dr_conf_kind)k);
		dr_buf_printf(out, markdown ? "\n## %s\n" : "\n== %s\n", dr_section_help(top));
		section(top, dr_conf_kind_name((enum dr_conf_kind)k), markdown, out);
	}
	if (markdown)
		profiles(out);
}
