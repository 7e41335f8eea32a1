/* transport.h -- libraft's connections over dr_conn: mutual TLS, the peer's certificate must bear the name
 * that the membership gives to the raft id it is dialled for.
 *
 * A link is one-way: the dialling side writes, the accepting side reads.  After the hello (hello.h) each
 * side hands libraft one end of the socketpair that dr_conn pumps.  Internal to raft/; the loop's thread. */
#ifndef DR_RAFT_TRANSPORT_H
#define DR_RAFT_TRANSPORT_H

#include <raft.h>
#include <raft/uv.h>

#include "net/conn.h"
#include "raft/hello.h"

struct dr_link;

struct dr_transport {
	struct raft_uv_transport uv; /* given to libraft */
	uv_loop_t *loop;
	struct dr_tls *tls;
	uint64_t id;
	struct dr_name name;
	struct dr_address address;
	uint32_t deadline_ms; /* of one attempt to connect */
	struct dr_link *links;
	raft_uv_accept_cb accept;
	raft_uv_transport_close_cb closed;
	bool closing;
	struct {
		uint64_t id;
		enum dr_err err;
	} said
	    [DR_COORDINATORS_MAX]; /* why the last attempt to reach it failed: logged once, not at each try */
};

void dr_transport_init(struct dr_transport *t, uv_loop_t *loop, struct dr_tls *tls, uint64_t id,
		       const struct dr_name *name, const struct dr_address *address, uint32_t deadline_ms);
/* From the connection's on_frame: answer the hello, take the stream over. */
DR_MUST_USE enum dr_err dr_transport_accept(struct dr_transport *t, struct dr_conn *c,
					    const struct dr_raft_hello *h, struct dr_error *e);

#endif
