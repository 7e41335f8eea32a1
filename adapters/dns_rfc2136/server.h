/* server.h -- private to this adapter: the op in flight, and each server's part in it.
 *
 * Every server has its own little machine (server.c); they share what is wanted and the highest epoch that
 * any of them has shown.  A dead server holds up nobody but itself. */
#ifndef DR_ADAPTERS_DNS_RFC2136_SERVER_H
#define DR_ADAPTERS_DNS_RFC2136_SERVER_H

#include "adapters/adapter.h"
#include "adapters/dns_rfc2136/link.h"
#include "adapters/dns_rfc2136/route.h"
#include "adapters/dns_rfc2136/tsig.h"

struct dr_dns;

enum dr_dns_phase { DR_DNS_IDLE, DR_DNS_READING, DR_DNS_UPDATING, DR_DNS_PAUSED };

struct dr_dns_server {
	struct dr_dns *dns;
	struct dr_address at;
	uv_timer_t timer; /* the exchange's time, or the pause */
	struct dr_dns_link *link;
	enum dr_dns_phase phase;
	uint16_t id[DR_DNS_ASKS]; /* of the asks; [0] of an update */
	struct dr_tsig_mac mac;   /* of the update sent */
	struct dr_dns_seen seen;
	struct dr_dns_seen before; /* what the last update started from */
	bool accepted;             /* the last update was answered, signed, with success */
	unsigned updates, troubles, unchanged;
	/* the result, read by report.c */
	bool answered; /* it showed the route at least once; shown is what it showed last */
	struct dr_dns_seen shown;
	bool ok;
	struct dr_error why; /* when not ok; the last trouble while it runs */
};

struct dr_dns {
	struct dr_session *session;
	struct dr_op *op; /* NULL when idle */
	struct dr_dns_route route;
	struct dr_tsig_key key;
	uint64_t highest;     /* epoch shown by any server in this op */
	uint32_t exchange_ms; /* the most one connection's exchange may take */
	uv_timer_t budget;    /* a little before the op's deadline: report what is known then */
	unsigned running;     /* servers whose part has not ended */
	unsigned handles;     /* links and timers still open */
	unsigned servers;
	struct dr_dns_server server[DR_ROUTE_SERVERS_MAX];
};

/* Begin this server's part; it ends by dr_dns_server_ended(), possibly from inside this call. */
void dr_dns_server_begin(struct dr_dns_server *sv);
/* End it from outside, with the last trouble as the reason. */
void dr_dns_server_give_up(struct dr_dns_server *sv);
/* Drop what it holds, without a word. */
void dr_dns_server_drop(struct dr_dns_server *sv);

/* dns_rfc2136.c: a server's part ended; a handle was closed. */
void dr_dns_server_ended(struct dr_dns_server *sv);
void dr_dns_handle_gone(void *dns);

#endif
