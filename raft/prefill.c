/* prefill.c -- libraft's segments are written with zeros before they are used.
 *
 * libraft reserves the room of a segment with posix_fallocate(3) and does no more.  The first write to each of its blocks
 * then has the file system note down that it was written: that does not go without waiting (RWF_NOWAIT), so libraft gives
 * such a write to a thread, and with O_DSYNC it waits for the journal.  Over blocks that were written before it does
 * neither (docs/decisions/0011-segments-of-zeros.md).
 *
 * libraft has no setting for it, and calls the function by its name.  So this is that function for the whole program: what
 * POSIX says, and the zeros that a new file's room reads as really written.  What a file holds is never touched.
 *
 * Runs on libuv's threads. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum { PART = 256 << 10 }; /* synced one by one: a commit's own write waits for no more than that */

/* Whatever goes wrong: the room is there, only slower. */
static int write_zeros(int fd, off_t at, off_t end)
{
	static uint8_t zeros[PART];

	while (at < end) {
		struct iovec part = { zeros, (size_t)(end - at < PART ? end - at : PART) };
		ssize_t n = pwritev2(fd, &part, 1, at, RWF_DSYNC);

		if (n < 0 && errno != EINTR)
			return errno;
		at += n > 0 ? n : 0;
	}
	/* Pages in memory would stand in the way of RWF_NOWAIT, too. */
	return posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static int reserve(int fd, off_t offset, off_t len)
{
	int rv;

	do {
		rv = fallocate(fd, 0, offset, len);
	} while (rv != 0 && errno == EINTR);
	return rv == 0 ? 0 : errno;
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
	struct stat st;
	bool is_new = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= offset;
	int err = reserve(fd, offset, len), filled;

	if (!is_new || (err != 0 && err != EOPNOTSUPP))
		return err;
	filled = write_zeros(fd, offset, offset + len);
	return err == 0 ? 0 : filled; /* where nothing can be reserved, writing it does */
}
