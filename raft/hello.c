/* hello.c -- see hello.h.
 *
 * Layout: u8 kind, u64be from, u64be to, name and NUL, "host:port" and NUL. */
#include "raft/hello.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"

static void address_text(const struct dr_address *a, char *out, size_t cap)
{
	bool six = strchr(a->host, ':') != NULL;

	(void)snprintf(out, cap, six ? "[%s]:%u" : "%s:%u", a->host, (unsigned)a->port);
}

void dr_raft_hello_encode(const struct dr_raft_hello *h, struct dr_buf *out)
{
	char text[DR_HOST_MAX + 16];

	address_text(&h->address, text, sizeof text);
	dr_buf_put_u8(out, DR_HELLO_RAFT);
	dr_buf_put_u64be(out, h->from);
	dr_buf_put_u64be(out, h->to);
	dr_buf_put(out, h->name.s, strlen(h->name.s) + 1);
	dr_buf_put(out, text, strlen(text) + 1);
}

/* The next NUL-terminated text, of at most max bytes with its NUL; NULL when there is none. */
static const char *view_text(struct dr_view *v, size_t max)
{
	size_t left = dr_view_left(v);
	size_t n;

	if (v->bad)
		return NULL;
	n = strnlen((const char *)v->data + v->at, left);
	if (n == left || n >= max)
		return NULL;
	return (const char *)dr_view_bytes(v, n + 1);
}

enum dr_err dr_raft_hello_decode(const uint8_t *payload, size_t len, struct dr_raft_hello *h,
				 struct dr_error *e)
{
	struct dr_view v = dr_view_of(payload, len);
	const char *name, *address;

	*h = (struct dr_raft_hello){ 0 };
	if (dr_view_u8(&v) != DR_HELLO_RAFT)
		return dr_fail(e, DR_E_PROTOCOL, "hello: not raft's kind");
	h->from = dr_view_u64be(&v);
	h->to = dr_view_u64be(&v);
	name = view_text(&v, DR_NAME_MAX);
	address = name == NULL ? NULL : view_text(&v, DR_HOST_MAX + 16);
	if (v.bad || address == NULL || dr_view_left(&v) != 0 || h->from == 0 || h->to == 0)
		return dr_fail(e, DR_E_PROTOCOL, "hello: malformed");
	if (!dr_name_set(&h->name, name))
		return dr_fail(e, DR_E_PROTOCOL, "hello: the sender's name is none");
	if (dr_parse_host_port(address, h->address.host, &h->address.port) != DR_OK)
		return dr_fail(e, DR_E_PROTOCOL, "hello: the sender's address is none");
	return DR_OK;
}

void dr_raft_address_format(const struct dr_name *name, const struct dr_address *address,
			    char out[DR_RAFT_ADDRESS_MAX])
{
	char text[DR_HOST_MAX + 16];

	address_text(address, text, sizeof text);
	(void)snprintf(out, DR_RAFT_ADDRESS_MAX, "%s@%s", name->s, text);
}

enum dr_err dr_raft_address_parse(const char *text, struct dr_name *name, struct dr_address *address,
				  struct dr_error *e)
{
	const char *at = strchr(text, '@');
	char word[DR_NAME_MAX];
	size_t n;

	*address = (struct dr_address){ 0 };
	if (at == NULL || (n = (size_t)(at - text)) >= sizeof word)
		return dr_fail(e, DR_E_INVALID, "raft address '%s' is not name@host:port", text);
	memcpy(word, text, n);
	word[n] = '\0';
	if (!dr_name_set(name, word) || dr_parse_host_port(at + 1, address->host, &address->port) != DR_OK)
		return dr_fail(e, DR_E_INVALID, "raft address '%s' is not name@host:port", text);
	return DR_OK;
}
