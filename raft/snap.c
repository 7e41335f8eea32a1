/* snap.c -- see snap.h. */
#include "raft/snap.h"

#include <openssl/sha.h>
#include <string.h>

#include "base/buf.h"

enum { FORMAT = 1, HASH_AT = 24 };
#define MAGIC UINT64_C(0x4452534e41500001)

static void put_be(uint8_t *p, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}

bool dr_snap_may_take(const struct raft *r)
{
	return r->commit_index == r->last_applied;
}

void dr_snap_seal(uint8_t header[DR_SNAP_HEADER], const uint8_t *data, size_t len)
{
	memset(header, 0, DR_SNAP_HEADER);
	put_be(header, MAGIC, 8);
	put_be(header + 8, FORMAT, 4);
	put_be(header + 16, len, 8);
	(void)SHA256(data, len, header + HASH_AT);
}

enum dr_err dr_snap_open(const uint8_t *snap, size_t size, const uint8_t **data, size_t *len,
			 struct dr_error *e)
{
	struct dr_view v = dr_view_of(snap, size);
	uint8_t hash[SHA256_DIGEST_LENGTH];
	uint32_t format;
	uint64_t n;

	if (size < DR_SNAP_HEADER || dr_view_u64be(&v) != MAGIC)
		return dr_fail(e, DR_E_CORRUPT, "the snapshot's header is damaged");
	format = dr_view_u32be(&v);
	(void)dr_view_u32be(&v);
	n = dr_view_u64be(&v);
	if (format != FORMAT)
		return dr_fail(e, DR_E_CORRUPT, "the snapshot has format %u, this program reads %d", format,
			       FORMAT);
	if (n > size - DR_SNAP_HEADER)
		return dr_fail(e, DR_E_CORRUPT, "the snapshot is cut short");
	(void)SHA256(snap + DR_SNAP_HEADER, n, hash);
	if (memcmp(hash, snap + HASH_AT, sizeof hash) != 0)
		return dr_fail(e, DR_E_CORRUPT, "the snapshot's bytes do not fit its SHA-256");
	*data = snap + DR_SNAP_HEADER;
	*len = n;
	return DR_OK;
}

uint64_t dr_snap_hash(const uint8_t *header)
{
	struct dr_view v = dr_view_of(header + HASH_AT, 8);

	return dr_view_u64be(&v);
}
