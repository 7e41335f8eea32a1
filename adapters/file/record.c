/* record.c -- see record.h. */
#include "adapters/file/record.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/parse.h"
#include "sys/file.h"

enum { RECORD_MAX = 1024, NAME_MAX_ = DR_PATH_MAX + 128 };

void dr_file_hash(const void *data, size_t len, char out[DR_FILE_HASH])
{
	uint8_t digest[EVP_MAX_MD_SIZE] = { 0 };
	unsigned n = 0;
	(void)EVP_Digest(data, len, digest, &n, EVP_sha256(), NULL);
	for (size_t i = 0; i < 32; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static void name_of(const char *path, char out[NAME_MAX_])
{
	(void)snprintf(out, NAME_MAX_, "%s.drcoord", path);
}

/* Cuts "KEY=VALUE\n" off *text; NULL: something else stands there. */
static const char *take_field(char **text, const char *key)
{
	size_t n = strlen(key);
	char *value = *text + n + 1, *end = strchr(*text, '\n');
	if (end == NULL || strncmp(*text, key, n) != 0 || (*text)[n] != '=')
		return NULL;
	*end = '\0';
	*text = end + 1;
	return value;
}

static bool take_number(char **text, const char *key, uint64_t *out)
{
	const char *value = take_field(text, key);
	return value != NULL && dr_parse_u64(value, 0, UINT64_MAX, out) == DR_OK;
}

static bool take_hash(char **text, const char *key, char out[DR_FILE_HASH])
{
	const char *value = take_field(text, key);
	return value != NULL && dr_copy_text(out, DR_FILE_HASH, value);
}

/* Records of older versions have none. */
static bool take_service(char **text, struct dr_name *out)
{
	if (strncmp(*text, "service=", strlen("service=")) != 0)
		return true;
	const char *value = take_field(text, "service");
	return value != NULL && dr_name_set(out, value);
}

static bool read_fields(char *text, struct dr_file_record *out)
{
	uint64_t reloaded = 0;
	bool whole = take_service(&text, &out->service) && take_number(&text, "epoch", &out->epoch) &&
		     take_number(&text, "plan", &out->plan) && take_hash(&text, "is", out->is) &&
		     take_hash(&text, "was", out->was) && take_number(&text, "reloaded", &reloaded);
	out->reloaded = reloaded == 1;
	return whole && *text == '\0';
}

enum dr_err dr_file_record_read(const char *path, struct dr_file_record *out, struct dr_error *e)
{
	char name[NAME_MAX_], text[RECORD_MAX + 1];
	struct dr_buf b;
	memset(out, 0, sizeof(*out));
	name_of(path, name);
	dr_buf_init(&b, RECORD_MAX);
	enum dr_err rv = dr_file_read(name, &b, e);
	if (rv == DR_E_NOT_FOUND) {
		dr_buf_close(&b);
		return DR_OK;
	}
	if (rv == DR_OK) {
		(void)snprintf(text, sizeof(text), "%.*s", (int)b.len, (const char *)b.data);
		out->known = read_fields(text, out);
		if (!out->known)
			rv = dr_fail(e, DR_E_CONFLICT,
				     "%s is no record of drcoord's; remove it and the file beside it, then both are written anew",
				     name);
	}
	dr_buf_close(&b);
	return rv;
}

enum dr_err dr_file_record_write(const char *path, const struct dr_file_record *r, struct dr_error *e)
{
	char name[NAME_MAX_], text[RECORD_MAX];
	name_of(path, name);
	int n = r->service.s[0] == '\0' ? 0 : snprintf(text, sizeof(text), "service=%s\n", r->service.s);
	n += snprintf(text + n, sizeof(text) - (size_t)n, "epoch=%" PRIu64 "\nplan=%" PRIu64 "\nis=%s\nwas=%s\nreloaded=%d\n",
		      r->epoch, r->plan, r->is, r->was, r->reloaded ? 1 : 0);
	return dr_file_replace(name, text, (size_t)n, 0644, e);
}
