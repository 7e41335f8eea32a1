/* user.c -- accounts (proc.h).  Apart from proc.c, because a static program must not pull in NSS. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

#include "base/parse.h"
#include "sys/proc.h"

enum dr_err dr_os_user_find(const char *name, struct dr_os_user *out, struct dr_error *e)
{
	char text[4096];
	struct passwd pw;
	struct passwd *found = NULL;
	int n = DR_PROC_GROUPS_MAX;
	memset(out, 0, sizeof(*out));
	int err = getpwnam_r(name, &pw, text, sizeof(text), &found);
	if (found == NULL)
		return err == 0 || err == ENOENT ? dr_fail(e, DR_E_NOT_FOUND, "no account named %s", name)
						 : dr_fail_errno(e, err, "cannot look up account %s", name);
	out->uid = pw.pw_uid;
	out->gid = pw.pw_gid;
	(void)dr_copy_text(out->home, sizeof(out->home), pw.pw_dir);
	if (getgrouplist(name, pw.pw_gid, out->group, &n) < 0)
		return dr_fail(e, DR_E_RANGE, "account %s is in more than %d groups", name,
			       DR_PROC_GROUPS_MAX);
	out->groups = (size_t)n;
	return DR_OK;
}
