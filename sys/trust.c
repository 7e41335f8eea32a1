/* trust.c -- see trust.h. */
#include "sys/trust.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"

static enum dr_err judge(const char *path, struct dr_error *e)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return dr_fail(e, errno == ENOENT ? DR_E_NOT_FOUND : DR_E_DENIED, "%s: %s", path, strerror(errno));
	bool sticky = S_ISDIR(st.st_mode) && (st.st_mode & S_ISVTX) != 0;
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return dr_fail(e, DR_E_REFUSED, "%s belongs to user %u, who could have us run anything: `chown root %s`", path,
			       (unsigned)st.st_uid, path);
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky)
		return dr_fail(e, DR_E_REFUSED, "%s may be written by others than its owner (mode %04o): `chmod go-w %s`", path,
			       (unsigned)st.st_mode & 07777, path);
	return DR_OK;
}

/* The path and each folder above it. */
static enum dr_err judge_all(const char *path, struct dr_error *e)
{
	char part[PATH_MAX];
	enum dr_err rv = judge("/", e);
	if (path[0] != '/' || !dr_copy_text(part, sizeof(part), path))
		return dr_fail(e, DR_E_REFUSED, "%s is no absolute path, or too long", path);
	for (char *p = part + 1; rv == DR_OK; p++) {
		char kept = *p;
		if (kept != '/' && kept != '\0')
			continue;
		*p = '\0';
		rv = judge(part, e);
		*p = kept;
		if (kept == '\0')
			break;
	}
	return rv;
}

enum dr_err dr_trust_program(const char *path, struct dr_error *e)
{
	char real[PATH_MAX];
	enum dr_err rv = judge_all(path, e);
	if (rv == DR_OK && realpath(path, real) == NULL)
		rv = dr_fail(e, DR_E_DENIED, "%s: %s", path, strerror(errno));
	return rv == DR_OK && strcmp(real, path) != 0 ? judge_all(real, e) : rv;
}

static bool begins_with(const char *path, const char *folder)
{
	size_t n = strlen(folder);
	while (n > 0 && folder[n - 1] == '/')
		n--;
	return strncmp(path, folder, n) == 0 && path[n] == '/';
}

static bool goes_up(const char *path)
{
	for (const char *p = strstr(path, "/.."); p != NULL; p = strstr(p + 1, "/..")) {
		if (p[3] == '/' || p[3] == '\0')
			return true;
	}
	return false;
}

enum dr_err dr_trust_in_folder(const char *path, const char *folder, struct dr_error *e)
{
	char real[PATH_MAX], real_folder[PATH_MAX];
	bool is_there = realpath(path, real) != NULL && realpath(folder, real_folder) != NULL;
	bool words = begins_with(path, folder) && !goes_up(path);
	if (is_there ? begins_with(real, real_folder) : words)
		return DR_OK;
	if (is_there && words)
		return dr_fail(e, DR_E_REFUSED, "%s leads out of %s, to %s", path, folder, real);
	return dr_fail(e, DR_E_REFUSED, "%s is not in %s", path, folder);
}
