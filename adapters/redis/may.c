/* may.c -- whether our ACL user may do all that later ops need, asked while nothing hangs on it. */
#include "adapters/redis/red.h"

/* Each command as an op sends it (judge.c), so that keys and subcommands are looked at too.  Nothing of it is carried out. */
static const char script[] =
	"local no = '' "
	"for _, c in ipairs({{'HSET', KEYS[1], 'at', '0'}, {'HGETALL', KEYS[1]}, {'DEL', KEYS[1]}, {'MULTI'}, {'EXEC'}, "
	"{'REPLICAOF', 'NO', 'ONE'}, {'SHUTDOWN', 'NOSAVE'}, {'WAIT', '1', '1'}, {'CONFIG', 'SET', 'masterauth', ''}, "
	"{'CONFIG', 'GET', 'save'}, "
	"{'CLIENT', 'KILL', 'TYPE', 'normal'}}) do "
	"if not redis.acl_check_cmd(unpack(c)) then "
	"local two = c[1] == 'CONFIG' or c[1] == 'CLIENT' "
	"no = no .. ' +' .. string.lower(c[1]) .. (two and '|' .. string.lower(c[2]) or '') "
	"end end "
	"return no";

void red_say_may(struct dr_buf *b)
{
	red_say(b, "EVAL", script, "1", RED_LINEAGE, NULL);
}
