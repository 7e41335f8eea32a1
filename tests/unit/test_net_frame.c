/* test_net_frame.c -- the frame codec on bytes cut everywhere and on bytes that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "net/frame.h"

static void put_frame(struct dr_buf *b, uint16_t type, const void *payload, size_t len)
{
	uint8_t head[DR_FRAME_HEADER];
	dr_frame_header(head, type, payload, len);
	dr_buf_put(b, head, sizeof(head));
	dr_buf_put(b, payload, len);
}

/* Feed the bytes in pieces and count the frames; the payloads must be "a", "bb", "ccc" ... */
static enum dr_err feed(const struct dr_buf *b, size_t piece, unsigned *frames, struct dr_error *e)
{
	struct dr_frame_reader r;
	enum dr_err rv = DR_OK;
	dr_frame_reader_init(&r);
	*frames = 0;
	for (size_t at = 0; rv == DR_OK && at < b->len; at += piece) {
		/* A heap copy of exactly this size, so that the sanitizer sees a read past its end. */
		size_t len = b->len - at < piece ? b->len - at : piece;
		uint8_t *copy = malloc(len);
		assert_non_null(copy);
		memcpy(copy, b->data + at, len);
		const uint8_t *p = copy;
		bool have = true;
		while (have && rv == DR_OK) {
			struct dr_frame f;
			rv = dr_frame_next(&r, &p, &len, &f, &have, e);
			if (rv != DR_OK || !have)
				break;
			assert_int_equal(f.type, *frames + 1);
			assert_int_equal(f.len, *frames);
			for (size_t i = 0; i < f.len; i++)
				assert_int_equal(f.payload[i], 'a' + *frames);
			(*frames)++;
		}
		free(copy);
	}
	dr_frame_reader_close(&r);
	return rv;
}

static void make_frames(struct dr_buf *b, unsigned n)
{
	char payload[32];
	dr_buf_init(b, 1 << 16);
	for (unsigned i = 0; i < n; i++) {
		memset(payload, (int)('a' + i), sizeof(payload));
		put_frame(b, (uint16_t)(i + 1), payload, i);
	}
}

static void cut_everywhere(void **state)
{
	(void)state;
	struct dr_buf b;
	struct dr_error e;
	unsigned frames = 0;
	make_frames(&b, 12);
	for (size_t piece = 1; piece <= b.len; piece++) {
		assert_int_equal(feed(&b, piece, &frames, &e), DR_OK);
		assert_int_equal(frames, 12);
	}
	dr_buf_close(&b);
}

/* Whatever single byte is changed, no frame with other contents comes out. */
static void each_byte_flipped(void **state)
{
	(void)state;
	struct dr_buf b;
	struct dr_error e;
	unsigned frames = 0;
	make_frames(&b, 6);
	for (size_t i = 0; i < b.len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			struct dr_frame_reader r;
			dr_frame_reader_init(&r);
			b.data[i] ^= (uint8_t)(1u << bit);
			const uint8_t *p = b.data;
			size_t len = b.len;
			bool have = true;
			enum dr_err rv = DR_OK;
			frames = 0;
			while (rv == DR_OK && have) {
				struct dr_frame f;
				rv = dr_frame_next(&r, &p, &len, &f, &have, &e);
				if (rv == DR_OK && have) {
					for (size_t k = 0; k < f.len; k++)
						assert_int_equal(f.payload[k], 'a' + frames);
					frames++;
				}
			}
			assert_true(frames <= 6);
			dr_frame_reader_close(&r);
			b.data[i] ^= (uint8_t)(1u << bit);
		}
	}
	dr_buf_close(&b);
}

static void refused(uint8_t *head, const char *word)
{
	struct dr_frame_reader r;
	struct dr_frame f;
	struct dr_error e = { 0 };
	bool have = false;
	const uint8_t *p = head;
	size_t len = DR_FRAME_HEADER;
	dr_frame_reader_init(&r);
	assert_int_equal(dr_frame_next(&r, &p, &len, &f, &have, &e), DR_E_PROTOCOL);
	assert_non_null(strstr(e.msg, word));
	dr_frame_reader_close(&r);
}

static void lying_headers(void **state)
{
	(void)state;
	uint8_t head[DR_FRAME_HEADER];
	dr_frame_header(head, 1, "", 0);
	head[0] = 'G';
	refused(head, "not a drcoord frame");
	dr_frame_header(head, 1, "", 0);
	head[5] = 2;
	refused(head, "upgrade the older side");
	dr_frame_header(head, 1, "", 0);
	head[8] = 0xff;
	refused(head, "at most 1048576");
	dr_frame_header(head, 1, "", 0);
	head[15] ^= 1;
	refused(head, "wrong checksum");
}

/* A header that claims a full frame costs what arrived, not what it claims. */
static void memory_follows_the_bytes(void **state)
{
	(void)state;
	struct dr_frame_reader r;
	struct dr_frame f;
	struct dr_error e;
	bool have = false;
	uint8_t *payload = calloc(1, DR_FRAME_MAX);
	uint8_t head[DR_FRAME_HEADER];
	assert_non_null(payload);
	dr_frame_header(head, 1, payload, DR_FRAME_MAX);
	dr_frame_reader_init(&r);
	const uint8_t *p = head;
	size_t len = sizeof(head);
	assert_int_equal(dr_frame_next(&r, &p, &len, &f, &have, &e), DR_OK);
	assert_false(have);
	assert_true(dr_frame_reader_inside(&r));
	assert_true(r.part.cap <= 1024);
	p = payload;
	len = DR_FRAME_MAX;
	assert_int_equal(dr_frame_next(&r, &p, &len, &f, &have, &e), DR_OK);
	assert_true(have);
	assert_int_equal(f.len, DR_FRAME_MAX);
	assert_int_equal(dr_frame_next(&r, &p, &len, &f, &have, &e), DR_OK);
	assert_false(have);
	assert_false(dr_frame_reader_inside(&r));
	assert_int_equal(r.part.cap, 0); /* given back */
	dr_frame_reader_close(&r);
	free(payload);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_everywhere),
		cmocka_unit_test(each_byte_flipped),
		cmocka_unit_test(lying_headers),
		cmocka_unit_test(memory_follows_the_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
