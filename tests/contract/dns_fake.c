/* dns_fake.c -- see dns_fake.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dns_fake.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "dns_servers.h"
#include "sys/clock.h"

struct fake_conn {
	uv_tcp_t tcp;
	struct dns_fake *fake;
	struct fake_conn *next;
	bool open;
	size_t len;
	uint8_t in[70000];
};

struct write {
	uv_write_t req;
	uint8_t bytes[2 + DR_DNS_OUT_MAX];
};

static void on_closed(uv_handle_t *h)
{
	struct dns_fake *f = h->data;
	f->open--;
}

static void conn_close(struct fake_conn *c)
{
	if (!c->open)
		return;
	c->open = false;
	c->tcp.data = c->fake;
	uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void on_written(uv_write_t *w, int status)
{
	(void)status;
	free(w);
}

static void answer(struct fake_conn *c, const void *data, size_t len)
{
	struct write *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	w->bytes[0] = (uint8_t)(len >> 8);
	w->bytes[1] = (uint8_t)len;
	memcpy(w->bytes + 2, data, len);
	uv_buf_t b = uv_buf_init((char *)w->bytes, (unsigned)len + 2);
	assert_int_equal(uv_write(&w->req, (uv_stream_t *)&c->tcp, &b, 1, on_written), 0);
}

static void put_set(struct dr_dns_out *o, const struct dr_dns_name *name, uint16_t type,
		    const struct dr_dns_set *s)
{
	for (size_t i = 0; i < s->used;) {
		size_t len = (size_t)s->data[i] << 8 | s->data[i + 1];
		dr_dns_put_rr(o, DR_DNS_ANSWER, name, type, DR_DNS_IN, s->ttl, s->data + i + 2, len);
		i += 2 + len;
	}
}

static void answer_query(struct fake_conn *c, const struct dr_dns_msg *m)
{
	static struct dr_dns_out o;
	struct dns_fake *f = c->fake;
	dr_dns_begin(&o, m->id, DR_DNS_QR | DR_DNS_AA);
	dr_dns_put_question(&o, &m->qname, m->qtype);
	if (m->qtype == DR_DNS_SOA)
		dr_dns_put_rr(&o, DR_DNS_ANSWER, &f->names.zone, DR_DNS_SOA, DR_DNS_IN, 60,
			      "\0\0"
			      "\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1",
			      22);
	else if (m->qtype == DR_DNS_A)
		put_set(&o, &f->names.record, DR_DNS_A, &f->a);
	else if (m->qtype == DR_DNS_TXT)
		put_set(&o, &f->names.marker, DR_DNS_TXT, &f->marker);
	answer(c, o.data, o.len);
}

/* Prerequisites are left to the real servers; here an update replaces what it names. */
static void apply(struct dns_fake *f, const struct dr_dns_msg *m)
{
	memset(&f->a, 0, sizeof(f->a));
	memset(&f->marker, 0, sizeof(f->marker));
	for (unsigned i = 0; i < m->rrs; i++) {
		const struct dr_dns_rr *rr = &m->rr[i];
		if (rr->section != DR_DNS_UPDATE || rr->class != DR_DNS_IN)
			continue;
		if (rr->type == DR_DNS_A || rr->type == DR_DNS_TXT)
			dr_dns_set_add(rr->type == DR_DNS_A ? &f->a : &f->marker, rr->ttl, rr->rdata,
				       rr->rdlen);
	}
}

static void answer_update(struct fake_conn *c, const struct dr_dns_msg *m, const uint8_t *data)
{
	static struct dr_dns_out o;
	struct dns_fake *f = c->fake;
	struct dr_tsig_mac request = { 0 }, mine;
	uint64_t now_s = dr_clock_wall_ms() / 1000;
	bool conflict = f->mode == FAKE_CONTENDED && f->updates < f->conflicts;

	f->updates++;
	if (dr_tsig_verify(data, m, &f->key, NULL, now_s, NULL) == DR_OK)
		f->verified++;
	if (f->mode != FAKE_IGNORES && f->mode != FAKE_FORGED && !conflict)
		apply(f, m);
	if (f->mode == FAKE_SILENT) {
		conn_close(c);
		return;
	}
	dr_dns_begin(&o, m->id, (uint16_t)(DR_DNS_QR | DR_DNS_OP_UPDATE | (conflict ? DR_DNS_NXRRSET : 0)));
	dr_dns_put_question(&o, &f->names.zone, DR_DNS_SOA);
	if (f->mode != FAKE_UNSIGNED && m->has_tsig && m->tsig.mac_len <= sizeof(request.bytes)) {
		request.len = m->tsig.mac_len;
		memcpy(request.bytes, m->tsig.mac, request.len);
		request.bytes[0] ^= f->mode == FAKE_FORGED ? 1 : 0;
		dr_tsig_sign(&o, &f->key, now_s, &request, &mine);
	}
	answer(c, o.data, o.len);
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *out)
{
	struct fake_conn *c = h->data;
	(void)hint;
	*out = uv_buf_init((char *)c->in + c->len, (unsigned)(sizeof(c->in) - c->len));
}

static void take(struct fake_conn *c, const uint8_t *data, size_t len)
{
	static struct dr_dns_msg m;
	if (c->fake->mode == FAKE_GARBAGE)
		answer(c, "\377\377garbage", 9);
	else if (dr_dns_decode(data, len, &m, NULL) != DR_OK)
		conn_close(c);
	else if ((m.flags & DR_DNS_OPCODE_MASK) == DR_DNS_OP_UPDATE)
		answer_update(c, &m, data);
	else
		answer_query(c, &m);
}

static void on_read(uv_stream_t *st, ssize_t n, const uv_buf_t *buf)
{
	struct fake_conn *c = st->data;
	(void)buf;
	if (n < 0) {
		conn_close(c);
		return;
	}
	c->len += (size_t)n;
	size_t at = 0;
	while (c->open && c->len - at >= 2) {
		size_t len = (size_t)c->in[at] << 8 | c->in[at + 1];
		if (c->len - at - 2 < len)
			break;
		take(c, c->in + at + 2, len);
		at += 2 + len;
	}
	memmove(c->in, c->in + at, c->len - at);
	c->len -= at;
}

static void on_connection(uv_stream_t *st, int status)
{
	struct dns_fake *f = st->data;
	struct fake_conn *c = calloc(1, sizeof(*c));
	assert_non_null(c);
	assert_int_equal(status, 0);
	c->fake = f;
	c->next = f->conns;
	f->conns = c;
	c->open = true;
	f->open++;
	assert_int_equal(uv_tcp_init(&f->rig->loop, &c->tcp), 0);
	c->tcp.data = c;
	assert_int_equal(uv_accept(st, (uv_stream_t *)&c->tcp), 0);
	assert_int_equal(uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read), 0);
}

void dns_fake_start(struct rig *r, struct dns_fake *f, enum dns_fake_mode mode, const char *record)
{
	struct dr_spec_route spec = { .zone = DNS_ZONE, .ttl_s = 5 };
	struct sockaddr_in a;
	int len = sizeof(a);
	memset(f, 0, sizeof(*f));
	f->rig = r;
	f->mode = mode;
	(void)dr_copy_text(spec.record, sizeof(spec.record), record);
	assert_int_equal(dr_dns_route_names(&f->names, &spec, NULL), DR_OK);
	assert_int_equal(dr_tsig_key_parse(&f->key, DNS_KEY, DR_TSIG_HMAC_SHA256, DNS_SECRET, NULL), DR_OK);
	assert_int_equal(uv_tcp_init(&r->loop, &f->listener), 0);
	f->open = 1;
	f->listener.data = f;
	assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &a), 0);
	assert_int_equal(uv_tcp_bind(&f->listener, (struct sockaddr *)&a, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&f->listener, 16, on_connection), 0);
	assert_int_equal(uv_tcp_getsockname(&f->listener, (struct sockaddr *)&a, &len), 0);
	(void)dr_copy_text(f->at.host, sizeof(f->at.host), "127.0.0.1");
	f->at.port = ntohs(a.sin_port);
}

void dns_fake_stop(struct dns_fake *f)
{
	uv_close((uv_handle_t *)&f->listener, on_closed);
	for (struct fake_conn *c = f->conns; c != NULL; c = c->next)
		conn_close(c);
	for (int i = 0; i < 1000 && f->open > 0; i++)
		(void)uv_run(&f->rig->loop, UV_RUN_ONCE);
	assert_int_equal(f->open, 0);
	while (f->conns != NULL) {
		struct fake_conn *next = f->conns->next;
		free(f->conns);
		f->conns = next;
	}
}
