/* inbox.c -- what comes on the connections that other members send raft's messages on. */
#include <inttypes.h>

#include "base/mem.h"
#include "raft/internal.h"
#include "raft/message.h"

struct dr_raft_inbox {
	uint64_t from;
	char address[DR_RAFT_ADDRESS_MAX]; /* the very text of the membership: libraft compares it, and keeps it */
	struct dr_buf parts;               /* of a message whose end has not come */
};

/* A known id belongs to one name; an unknown one may be a member that we have not heard of yet. */
static enum dr_err check_name(const struct dr_raft *r, const struct dr_raft_hello *h, struct dr_error *e)
{
	struct dr_raft_status st;

	dr_raft_status(r, &st);
	for (uint32_t i = 0; i < st.members; i++) {
		if (st.member[i].id == h->from && !dr_name_eq(&st.member[i].name, &h->name))
			return dr_fail(e, DR_E_AUTH, "'%s' says hello as raft id %" PRIu64 ", which is '%s'",
				       h->name.s, h->from, st.member[i].name.s);
	}
	return DR_OK;
}

enum dr_err dr_raft_accept(struct dr_raft *r, struct dr_conn *c, const struct dr_raft_hello *h,
			   struct dr_raft_inbox **out, struct dr_error *e)
{
	struct dr_raft_inbox *in;
	enum dr_err rv;

	if (r->closing)
		return dr_fail(e, DR_E_CLOSED, "closing");
	if ((rv = check_name(r, h, e)) != DR_OK || (rv = dr_transport_accept(&r->transport, c, h, e)) != DR_OK)
		return rv;
	in = dr_xcalloc(sizeof *in);
	in->from = h->from;
	dr_raft_address_format(&h->name, &h->address, in->address);
	dr_buf_init(&in->parts, DR_MESSAGE_MAX);
	*out = in;
	return DR_OK;
}

static enum dr_err take_whole(struct dr_raft *r, const struct dr_raft_inbox *in, const uint8_t *bytes, size_t len,
			      struct dr_error *e)
{
	struct raft_message m;
	uint64_t to;
	enum dr_err rv = dr_message_decode(&m, &to, bytes, len, e);

	if (rv != DR_OK)
		return rv;
	if (m.server_id != in->from || to != r->raft.id) {
		dr_message_drop(&m);
		return dr_fail(e, DR_E_PROTOCOL, "a raft message from %" PRIu64 " to %" PRIu64 " on a link from %" PRIu64,
			       (uint64_t)m.server_id, to, in->from);
	}
	m.server_address = in->address;
	dr_storage_recv(&r->storage, &m);
	return DR_OK;
}

enum dr_err dr_raft_take(struct dr_raft *r, struct dr_raft_inbox *in, uint16_t type, const uint8_t *payload,
			 size_t len, struct dr_error *e)
{
	enum dr_err rv;

	if (r->closing || r->storage.recv == NULL)
		return DR_OK;
	if (type != DR_FRAME_RAFT && type != DR_FRAME_RAFT_PART)
		return dr_fail(e, DR_E_PROTOCOL, "a frame of type %u among raft's messages", type);
	if (type == DR_FRAME_RAFT && in->parts.len == 0)
		return take_whole(r, in, payload, len, e);
	dr_buf_put(&in->parts, payload, len);
	if (!dr_buf_ok(&in->parts))
		return dr_fail(e, DR_E_PROTOCOL, "a raft message of more than %d bytes", DR_MESSAGE_MAX);
	if (type == DR_FRAME_RAFT_PART)
		return DR_OK;
	rv = take_whole(r, in, in->parts.data, in->parts.len, e);
	dr_buf_close(&in->parts);
	dr_buf_init(&in->parts, DR_MESSAGE_MAX);
	return rv;
}

void dr_raft_inbox_close(struct dr_raft_inbox *in)
{
	if (in == NULL)
		return;
	dr_buf_close(&in->parts);
	dr_free(in);
}
