/* transport.h -- libraft's messages over dr_conn: mutual TLS, the peer's certificate must bear the name that the
 * membership gives to the raft id it is dialled for.
 *
 * libraft's own transport wants byte streams; here its send function is answered instead (struct raft_io's send), and
 * what comes is given to the function that it receives with.  A link is one-way: the dialling side sends.  After
 * the hello (hello.h) each message is one frame, or several when it is large, which go as the kernel takes them.
 *
 * While a link is being made its newest few messages wait; when it breaks, what waits on it is given up, which Raft
 * allows for.  Internal to raft/; the loop's thread. */
#ifndef DR_RAFT_TRANSPORT_H
#define DR_RAFT_TRANSPORT_H

#include <raft.h>
#include <raft/uv.h>

#include "net/conn.h"
#include "raft/hello.h"

struct dr_link;
struct dr_sent;

struct dr_transport {
	struct raft_uv_transport uv; /* given to libraft, which never asks it for a stream; its end is ours too */
	uv_loop_t *loop;
	struct dr_tls *tls;
	uint64_t id;
	struct dr_name name;
	struct dr_address address;
	uint32_t deadline_ms; /* of one attempt to connect */
	struct dr_link *links;
	unsigned n_links;
	struct dr_sent *sent, **sent_tail; /* messages whose end libraft is to hear of */
	uv_prepare_t tell;                 /* that it does before the loop waits next */
	uv_timer_t again;                  /* dial anew */
	struct dr_buf bytes;               /* of the message in hand */
	raft_uv_transport_close_cb closed;
	bool started, closing;
	unsigned closes;
};

void dr_transport_init(struct dr_transport *t, uv_loop_t *loop, struct dr_tls *tls, uint64_t id,
		       const struct dr_name *name, const struct dr_address *address, uint32_t deadline_ms);
/* Before the first send; libraft closes it through t->uv. */
void dr_transport_start(struct dr_transport *t);
/* struct raft_io's send: the message is copied at once; cb is called later, from the loop or from the close. */
int dr_transport_send(struct dr_transport *t, struct raft_io_send *req, const struct raft_message *m, raft_io_send_cb cb);
/* From the connection's on_frame: answer the hello. */
DR_MUST_USE enum dr_err dr_transport_accept(struct dr_transport *t, struct dr_conn *c,
					    const struct dr_raft_hello *h, struct dr_error *e);

#endif
