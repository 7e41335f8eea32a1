/* dnsq.h -- the lab client's own DNS lookup: one A question, one A answer.
 *
 * A client must see what the authoritative servers say, without a resolver's cache or its retry times
 * between, so it asks them itself.  Codec only: no socket, no clock.  Any thread. */
#ifndef DR_LAB_DNSQ_H
#define DR_LAB_DNSQ_H

#include <stddef.h>
#include <stdint.h>

#define DNSQ_MSG_MAX 512

/* Put the question "name A IN" with this id into buf.  Returns its length, 0 when the name is no DNS name. */
size_t dnsq_build(uint16_t id, const char *name, uint8_t buf[DNSQ_MSG_MAX]);

/* Read an answer to the question with this id.  Returns 1 and the first A record (network order), 0 when
 * it is a valid answer without one, -1 when it is not an answer to this id or is damaged. */
int dnsq_parse(uint16_t id, const uint8_t *msg, size_t len, uint32_t *addr_be);

#endif
