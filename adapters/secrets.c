/* secrets.c -- which files a spec may have a coordinator read and show to somebody, those in its folder secrets_in; and which
 * file to look into where a password is refused. */
#include "adapters/adapter.h"
#include "sys/trust.h"

/* What stands in the union is of its kind alone. */
static const char *route_secret(const struct dr_spec_route *r)
{
	switch (r->kind) {
	case DR_ROUTE_DNS_RFC2136: return r->tsig_secret_file;
	case DR_ROUTE_PGBOUNCER: return r->pool_password_file;
	case DR_ROUTE_WEBHOOK: return r->hmac_secret_file;
	default: return "";
	}
}

static enum dr_err judge(const char *path, const char *folder, struct dr_error *e)
{
	enum dr_err rv = path[0] != '\0' ? dr_trust_in_folder(path, folder, e) : DR_OK;
	return rv == DR_OK ? DR_OK : dr_wrap(e, "a secret that the spec names: put it into secrets_in of the node file");
}

enum dr_err dr_target_secrets_in(const struct dr_target *t, const char *folder, struct dr_error *e)
{
	enum dr_err rv = judge(t->password_file, folder, e);
	return rv == DR_OK ? judge(route_secret(&t->route), folder, e) : rv;
}

enum dr_err dr_target_not_let_in(const struct dr_target *t, struct dr_error *e)
{
	if (t->password_file[0] == '\0')
		return dr_wrap(e, "no password_file is named");
	return dr_wrap(e, "password_file %s", t->password_file);
}
