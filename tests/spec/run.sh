#!/usr/bin/env bash
# Checks lease.pml: the models must hold, every BUG_ and HOLE_ switch must be caught, every SANITY
# state must be reached.  Needs spin (6.5) and gcc.  One line a check; 'N passed, N failed' at the end.
#   run.sh            all of it, JOBS=2 at a time (each capped by -DMEMLIM: 4800 MiB, 2800 MiB for traces; only the first comes near)
#   run.sh WORD       only the checks whose line below contains WORD
#   run.sh -t MODEL [-Dswitch ...]   the shortest trace of one switch
set -u
here=$(cd "$(dirname "$0")" && pwd)
JOBS=${JOBS:-2}

# expectation, model, switches
checks() {
	cat <<-END
	holds   LEASE    -DTTL=2 -DMAXT=3
	holds   LEASE    -DTTL=3 -DMAXT=2
	holds   LEASE    -DTTL=2 -DMAXT=2 -DRESTART_FOLLOWERS
	holds   LEASE    -DTTL=2 -DMAXT=2 -DSAFE_FROM_ELECTION
	holds   FAILSAFE -DTTL=3
	holds   FAILSAFE -DTTL=2 -DEXTEND_AFTER_EXPIRY
	holds   FAILSAFE -DTTL=2 -DBUG_PROMISE_TO_LOWER
	holds   ORDERS   -DTTL=3 -DNO=5
	reached LEASE    -DTTL=2 -DMAXT=2 -DSANITY
	reached FAILSAFE -DSANITY
	reached FAILSAFE -DSANITY -DOWN_WORD
	reached ORDERS   -DSANITY
	caught  LEASE    -DTTL=2 -DMAXT=2 -DBUG_GRANT_BEFORE_COMMIT
	caught  LEASE    -DTTL=2 -DMAXT=2 -DBUG_EARLIER_TICK
	caught  LEASE    -DTTL=2 -DMAXT=2 -DBUG_OLDER_TICK
	caught  LEASE    -DTTL=2 -DMAXT=2 -DBUG_NEW_LEADER_FORGETS
	caught  LEASE    -DTTL=2 -DMAXT=2 -DBUG_RESTART_FORGETS
	caught  LEASE    -DTTL=2 -DMAXT=2 -DBUG_LEASE_FROM_RECEIPT
	caught  LEASE    -DTTL=2 -DMAXT=2 -DBUG_NO_MARGIN
	caught  LEASE    -DTTL=2 -DMAXT=2 -DBUG_NO_EPOCH
	caught  LEASE    -DTTL=2 -DMAXT=2 -DBUG_GRANT_AFTER_EPOCH
	caught  LEASE    -DTTL=2 -DMAXT=2 -DBUG_NO_GUARD
	caught  LEASE    -DTTL=2 -DMAXT=2 -DHOLE_REELECTED
	caught  LEASE    -DTTL=2 -DMAXT=3 -DHOLE_FIRST_REACHED
	caught  LEASE    -DTTL=2 -DMAXT=2 -DHOLE_GUARD_AT_DEADLINE
	caught  LEASE    -DTTL=2 -DMAXT=2 -DHOLE_DRIFT_PER_CLOCK
	caught  LEASE    -DTTL=2 -DMAXT=2 -DHOLE_RENEWAL_ID_REUSED
	caught  LEASE    -DTTL=2 -DMAXT=2 -DHOLE_TTL_LOWERED
	caught  FAILSAFE -DBUG_PROMISE_NOT_JOURNALED
	caught  FAILSAFE -DBUG_NO_JOURNAL
	caught  FAILSAFE -DBUG_PROMISE_IGNORED
	caught  FAILSAFE -DBUG_SILENT_MEMBER
	caught  FAILSAFE -DBUG_NO_ACK
	caught  FAILSAFE -DBUG_EXTENSION_FROM_ANSWER
	caught  FAILSAFE -DBUG_PROMISE_TO_LOWER -DEXTEND_AFTER_EXPIRY
	caught  FAILSAFE -DHOLE_ACK_IN_EXTENSION
	caught  FAILSAFE -DHOLE_PROMISE_NO_MARGIN
	caught  FAILSAFE -DHOLE_NEW_PRIMARY_LIST
	caught  FAILSAFE -DHOLE_ACK_OLD_EPOCH
	caught  FAILSAFE -DHOLE_LIST_NOT_JOURNALED
	caught  FAILSAFE -DHOLE_EXPIRED_FORGOTTEN
	caught  ORDERS   -DBUG_LOWER_ORDER
	caught  ORDERS   -DBUG_NO_JOURNAL
	caught  ORDERS   -DBUG_GRANT_UNFENCES
	caught  ORDERS   -DBUG_TWO_HOLDERS
	caught  ORDERS   -DHOLE_OLD_PRIMARY_ONLY
	caught  ORDERS   -DHOLE_ANSWER_FROM_SEEN
	END
}

# A folder of its own for one check, gone at its end however that comes.
own_dir() {
	dir=$(mktemp -d) && cd "$dir" || exit 1
	trap "cd / && rm -rf '$dir'" EXIT # now, since dir is the caller's own
	trap 'exit 130' INT TERM HUP
}

build() {                       # in the current directory; $1: pan's switches
	cp "$here/lease.pml" . &&
	spin -DMODEL_$model $switches -a lease.pml >spin.out 2>&1 &&
	gcc -O2 -DSAFETY $1 -DVECTORSZ=1024 -w -o pan pan.c 2>gcc.out
}

one() {
	local want=$1 model=$2 result=failed got=unknown dir s0=$SECONDS
	shift 2
	local switches=$*
	own_dir
	case $want in
	holds) build "-DMEMLIM=4800" && timeout --foreground 500 ./pan -m100000 -w25 >out 2>&1 ;;
	*)     build "-DBFS -DMEMLIM=2800" && timeout --foreground 300 ./pan -w24 >out 2>&1 ;;
	esac
	[ -f out ] || cat spin.out gcc.out >&2
	if grep -q 'end state in claim reached' out; then got=violated
	elif grep -qE 'not completed|too small|out of memory|assertion violated|block in d_step|array index' out; then got=incomplete
	elif grep -q 'errors: 0' out; then got=none
	fi
	case $want-$got in
	holds-none | caught-violated | reached-violated) result=ok ;;
	esac
	printf '%-6s %-7s %-8s %-52s %9s states %4ss%s\n' "$result" "$want" "$model" "$switches" \
		"$(awk '/states, stored/ {print $1; exit}' out)" $((SECONDS - s0)) \
		"$([ $result = ok ] || echo "  ($got)")"
}

trace() {                       # the shortest run, each step with what it changed
	local model=$1 dir
	shift
	local switches=$*
	own_dir
	build "-DBFS -DMEMLIM=2800" && ./pan -w24 >out 2>&1
	spin -DMODEL_$model $switches -t -p -g -w lease.pml 2>/dev/null | awk '
		function flush(  k, line) {
			for (k in new) { if (old[k] != new[k] && k != "i" && k != "j") line = line " " k "=" new[k]; old[k] = new[k] }
			if (line != "" && step > 1) print step line
			split("", new)
		}
		/proc .*lease.pml:/ { split($1, s, ":"); if (s[1] != step) { flush(); step = s[1] } next }
		/^[ \t]+[A-Za-z]+(\[[0-9]+\])? = / { new[$1] = $3 }
		END { flush() }'
}

case ${1:-} in
-t) shift; trace "$@"; exit ;;
--one) shift; one "$@"; exit ;;
esac
results=$(mktemp)
trap 'rm -f "$results"' EXIT
trap 'exit 130' INT TERM HUP
checks | grep -e "${1:-.}" | xargs -P "$JOBS" -L 1 "$here/run.sh" --one | tee "$results"
failed=$(grep -cv '^ok' "$results")
passed=$(grep -c '^ok' "$results")
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
