/* proto_samples.h -- values for the tests of the codecs: every one is different, texts are checked to fit. */
#ifndef PROTO_SAMPLES_H
#define PROTO_SAMPLES_H

#include "proto/codec.h"

uint64_t sample_u64(void); /* above 2^63 */
uint32_t sample_u32(void); /* above 2^31 */
struct dr_name sample_name(const char *s);
void sample_text(char *dst, size_t cap, const char *s);
struct dr_address sample_address(const char *host, uint16_t port);
void sample_timing(struct dr_timing *t);
void sample_result(struct dr_order_result *r);
/* Into memory that is zero, so that what lies between the fields is too. */
void sample_peer(struct dr_order_peer *p, const char *member, bool listed);
void sample_core(struct dr_order_core *o);
/* Two services with every field set; dr_spec_free. */
struct dr_spec *sample_spec(void);
void sample_step(struct dr_runbook_step *s, const char *name);

#endif
