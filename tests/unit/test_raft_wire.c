/* test_raft_wire.c -- what of another coordinator's bytes reaches libraft: its own messages, and no lie about lengths. */
#include <raft.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "raft/wire.h"

static uint8_t said[4096];
static size_t len;

static void le(uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		said[len++] = (uint8_t)(v >> (8 * i));
}

/* A preamble, and the numbers that a header begins with. */
static void begin(uint8_t type, uint64_t header, unsigned words)
{
	le(type | 1 << 16, 8);
	le(header, 8);
	for (unsigned i = 0; i < words; i++)
		le(i + 1, 8);
}

static void configuration(uint64_t servers, uint64_t id)
{
	static const char address[] = "c-a@10.1.0.10:7400";

	le(1, 1);
	le(servers, 8);
	le(id, 8);
	memcpy(said + len, address, sizeof address);
	len += sizeof address;
	le(RAFT_VOTER, 5);
	le(0, 7); /* up to 48 bytes */
}

static void append(uint64_t entries, unsigned type, uint64_t bytes)
{
	begin(RAFT_APPEND_ENTRIES, 32 + 8 + 16 + 8, 4);
	le(entries, 8);
	le(3, 8);
	le(type, 4);
	le(bytes, 4);
	le(0, 8);
}

static void install(uint64_t conf, uint64_t bytes)
{
	begin(RAFT_INSTALL_SNAPSHOT, 32 + 8 + 48 + 16, 4);
	le(conf, 8);
	configuration(1, 7);
	le(bytes, 8);
	le(0, 8);
}

/* Whole, and byte by byte. */
static enum dr_err verdict(void)
{
	struct dr_error e = { 0 };
	struct dr_wire w;
	enum dr_err whole, rv = DR_OK;

	dr_wire_init(&w);
	whole = dr_wire_take(&w, said, len, &e);
	dr_wire_close(&w);
	dr_wire_init(&w);
	for (size_t i = 0; i < len && rv == DR_OK; i++)
		rv = dr_wire_take(&w, said + i, 1, &e);
	assert_int_equal(rv, whole);
	dr_wire_close(&w);
	if (rv != DR_OK) {
		assert_int_equal(rv, DR_E_PROTOCOL);
		assert_true(e.msg[0] != '\0');
	}
	len = 0;
	return rv;
}

static void test_passes(void **state)
{
	(void)state;
	begin(RAFT_REQUEST_VOTE, 40, 5);
	begin(RAFT_REQUEST_VOTE_RESULT, 24, 3);
	begin(RAFT_APPEND_ENTRIES_RESULT, 32, 4);
	begin(RAFT_TIMEOUT_NOW, 24, 3);
	append(1, RAFT_COMMAND, 16);
	le(0, 8);
	le(0, 8);
	append(1, RAFT_CHANGE, 48);
	configuration(1, 7);
	install(48, 11);
	memcpy(said + len, "replicated", 11);
	len += 11;
	append(0, 0, 0); /* a heartbeat with room behind it */
	append(1, RAFT_BARRIER, 8);
	assert_int_equal(verdict(), DR_OK); /* and the last payload has yet to come */
}

static void test_lies(void **state)
{
	static const uint64_t lengths[] = { 0, 1, 39, DR_WIRE_HEADER_MAX + 1, UINT64_MAX };
	static const uint64_t entries[] = { 2, 1 << 20, UINT64_C(0x1000000000000001), UINT64_MAX };
	static const uint64_t bytes[] = { 0, 7, 12, DR_WIRE_ENTRY_MAX + 8, UINT32_MAX };
	static const uint64_t snapshots[] = { 0, DR_WIRE_PAYLOAD_MAX + UINT64_C(1), UINT64_MAX };

	(void)state;
	for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		begin(RAFT_APPEND_ENTRIES, lengths[i], 0);
		assert_int_equal(verdict(), DR_E_PROTOCOL);
	}
	for (unsigned i = 0; i < sizeof entries / sizeof entries[0]; i++) {
		append(entries[i], RAFT_COMMAND, 8);
		assert_int_equal(verdict(), DR_E_PROTOCOL);
	}
	for (unsigned i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
		append(1, RAFT_COMMAND, bytes[i]);
		assert_int_equal(verdict(), DR_E_PROTOCOL);
	}
	for (unsigned i = 0; i < sizeof snapshots / sizeof snapshots[0]; i++) {
		install(48, snapshots[i]);
		assert_int_equal(verdict(), DR_E_PROTOCOL);
	}
	begin(RAFT_REQUEST_VOTE, 32, 4); /* as an older libraft sent it: this one's decoder reads 8 bytes more */
	assert_int_equal(verdict(), DR_E_PROTOCOL);
	append(1, 9, 8); /* an entry of no known type */
	assert_int_equal(verdict(), DR_E_PROTOCOL);
	begin(77, 40, 5);
	assert_int_equal(verdict(), DR_E_PROTOCOL);
}

static void test_memberships(void **state)
{
	static const uint64_t sizes[] = { 0, 8, 35, 49, UINT64_MAX };

	(void)state;
	for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		install(sizes[i], 11);
		assert_int_equal(verdict(), DR_E_PROTOCOL);
	}
	append(1, RAFT_CHANGE, 48);
	configuration(2, 7); /* and tells of one */
	assert_int_equal(verdict(), DR_E_PROTOCOL);
	append(1, RAFT_CHANGE, 48);
	configuration(1, 0);
	assert_int_equal(verdict(), DR_E_PROTOCOL);
	append(1, RAFT_CHANGE, 24);
	configuration(1, 7); /* its address has no end within 24 bytes */
	assert_int_equal(verdict(), DR_E_PROTOCOL);
	install(48, 11);
	said[len - 17 - 11] = 9; /* its role */
	assert_int_equal(verdict(), DR_E_PROTOCOL);
	append(1, RAFT_CHANGE, DR_WIRE_CONFIGURATION_MAX + 8);
	assert_int_equal(verdict(), DR_E_PROTOCOL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_passes), cmocka_unit_test(test_lies),
					    cmocka_unit_test(test_memberships) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
