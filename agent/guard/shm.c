/* shm.c -- see shm.h. */
#include "agent/guard/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"

#define MAGIC 0x6472677561726431u /* "drguard1" */

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "the guard memory needs lock-free 64 bit words");

enum dr_err dr_guard_mem_make(struct dr_guard_mem **mem, int *fd, struct dr_error *e)
{
	*mem = NULL;
	*fd = memfd_create("drcoord-guard", MFD_CLOEXEC);
	if (*fd < 0)
		return dr_fail_errno(e, errno, "cannot make the guard memory");
	void *p = MAP_FAILED;
	if (ftruncate(*fd, (off_t)sizeof(struct dr_guard_mem)) == 0)
		p = mmap(NULL, sizeof(struct dr_guard_mem), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (p == MAP_FAILED) {
		enum dr_err rv = dr_fail_errno(e, errno, "cannot map the guard memory");
		(void)close(*fd);
		*fd = -1;
		return rv;
	}
	*mem = p;
	memset(p, 0, sizeof(**mem));
	(*mem)->version = DR_GUARD_MEM_VERSION;
	(*mem)->size = (uint32_t)sizeof(**mem);
	(*mem)->magic = MAGIC;
	return DR_OK;
}

enum dr_err dr_guard_mem_map(int fd, struct dr_guard_mem **mem, struct dr_error *e)
{
	struct stat st;
	*mem = NULL;
	if (fstat(fd, &st) != 0)
		return dr_fail_errno(e, errno, "the guard memory that was handed down isn't open");
	if (st.st_size != (off_t)sizeof(struct dr_guard_mem))
		return dr_fail(e, DR_E_PROTOCOL, "the guard memory has %lld bytes, not %zu: another version?",
			       (long long)st.st_size, sizeof(struct dr_guard_mem));
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
		return dr_fail_errno(e, errno, "cannot keep the guard memory from children");
	struct dr_guard_mem *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return dr_fail_errno(e, errno, "cannot map the guard memory");
	if (p->magic != MAGIC || p->version != DR_GUARD_MEM_VERSION || p->size != sizeof(*p)) {
		dr_guard_mem_unmap(p);
		return dr_fail(e, DR_E_PROTOCOL, "the guard memory is of another version");
	}
	*mem = p;
	return DR_OK;
}

void dr_guard_mem_unmap(struct dr_guard_mem *mem)
{
	if (mem != NULL)
		(void)munmap(mem, sizeof(*mem));
}

enum dr_err dr_guard_env_take(int *memfd, int32_t *guard_pid, struct dr_error *e)
{
	char text[64];
	uint64_t fd = 0, pid = 0;
	*memfd = -1;
	*guard_pid = 0;
	const char *set = getenv(DR_GUARD_ENV);
	if (set == NULL)
		return dr_fail(e, DR_E_NOT_FOUND, "%s isn't set", DR_GUARD_ENV);
	bool fits = dr_copy_text(text, sizeof(text), set);
	(void)unsetenv(DR_GUARD_ENV);
	char *colon = strchr(text, ':');
	if (!fits || colon == NULL)
		return dr_fail(e, DR_E_INVALID, "%s isn't MEMFD:PID", DR_GUARD_ENV);
	*colon = '\0';
	if (dr_parse_u64(text, 3, 65535, &fd) != DR_OK ||
	    dr_parse_u64(colon + 1, 0, INT32_MAX, &pid) != DR_OK)
		return dr_fail(e, DR_E_INVALID, "%s isn't MEMFD:PID", DR_GUARD_ENV);
	*memfd = (int)fd;
	*guard_pid = (int32_t)pid;
	return DR_OK;
}

void dr_guard_env_text(char *dst, size_t cap, int memfd, int32_t guard_pid)
{
	(void)snprintf(dst, cap, "%s=%d:%d", DR_GUARD_ENV, memfd, guard_pid);
}
