# traces.sh -- what our commands could leave on this machine, for the parts that run or stop them; sourced from the
# top of the tree.
#
# Their processes are known by a word in the environment that they inherit, their temporary files by TMPDIR;
# for the rest the machine is compared with what it was before.  So others may work on it at the same time, as
# long as they run no lab.

# System V segments are told from others' by a namespace for this part.
[ -n "${DR_OWN_IPC:-}" ] || ! unshare --ipc true 2>/dev/null || DR_OWN_IPC=1 exec unshare --ipc "$0" "$@"
logs=build/check/stopped # of what is stopped
mkdir -p "$logs"
running=0 # pid, and process group, of the command that is to be stopped
own_tmp=$(mktemp -d /tmp/drtraced-XXXXXX) || exit 1 # short: a socket's path may have 107 bytes
chmod 1777 "$own_tmp"
# Ours are all made below the one that we are in.
cgroups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)$(sed -n 's/^0:://p' /proc/self/cgroup)
mark="DR_TRACED=$$.$RANDOM"
trap 'rm -rf "$own_tmp"' EXIT
traced=(env "$mark" "TMPDIR=$own_tmp" "CHECK_LOGS=$logs") # in front of a command of ours

# One line for each thing that looks like one of ours.
traces() {
	ip netns list 2>/dev/null | awk '{ print "namespace", $1 }'
	find "$cgroups" -mindepth 1 -maxdepth 1 -type d \( -name "drcoord*" -o -name "drlab*" -o -name "drcheck-*" \) \
		-printf 'cgroup %p\n' 2>/dev/null
	ip -o link 2>/dev/null | awk -F': ' '{ print "interface", $2 }'
	nft list tables 2>/dev/null | sed 's/^/nft /'
	awk '{ print "mount", $5 }' /proc/self/mountinfo
	awk '$7 == 0 { print "shm", $1, $2 }' /proc/sysvipc/shm # nobody is attached
	ls -d /tmp/drlab* /run/drcoord* /var/lib/drcoord* /dev/shm/*drcoord* \
		/dev/shm/PostgreSQL* 2>/dev/null | sed 's/^/file /'
}

# The living processes that were started under the mark.
processes() {
	local pid
	for pid in $(grep -lzx -- "$mark" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3); do
		! grep -q '^State:[[:space:]]*[^ZX]' "/proc/$pid/status" 2>/dev/null ||
			echo "process $pid $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
	done
}

# What is new since `traces` said that.
new_since() { # the earlier traces
	comm -13 <(printf '%s\n' "$1" | sort -u) <(traces | sort -u)
}

# One result; what somebody else may just be making is looked at twice.
nothing_left() { # when, the earlier traces
	local new
	new=$(processes; find "$own_tmp" -mindepth 1 -maxdepth 1 -printf 'file %p\n')
	[ -z "$(new_since "$2")" ] || sleep 3
	new+=$(echo; new_since "$2")
	find "$own_tmp" -mindepth 1 -delete
	if [ -z "${new//$'\n'/}" ]; then
		echo "ok - nothing is left $1"
	else
		printf '%s\n' "$new" | sed '/^$/d; s/^/# left: /'
		echo "not ok - nothing is left $1"
	fi
}

# Whoever stops this part stops what it runs, which has a process group of its own.
pass_on() {
	trap '' INT TERM HUP
	[ "$running" -eq 0 ] || { kill -TERM "$running" 2>/dev/null && wait "$running"; }
	exit 130
}
trap pass_on INT TERM HUP

# Start a command, stop it after that many seconds, and look.  INT goes to its whole process group, as a terminal
# sends it; TERM to it alone.
stop_after() { # INT or TERM, seconds, command...
	local signal=$1 after=$2 before target
	shift 2
	before=$(traces)
	# Without --default-signal a shell's background program ignores SIGINT.
	"${traced[@]}" setsid env --default-signal=INT "$@" >"$logs/output" 2>&1 &
	running=$!
	target=$running
	[ "$signal" = TERM ] || target=-$running
	sleep "$after" &
	wait $!
	if ! kill "-$signal" -- "$target" 2>/dev/null; then
		echo "# it had ended by itself before $after s:"
		tail -n 20 "$logs/output" | sed 's/^/# /'
	fi
	for _ in $(seq 600); do
		kill -0 "$running" 2>/dev/null || break
		sleep 0.1
	done
	if kill -0 "$running" 2>/dev/null; then
		kill -KILL -- "-$running"
		echo "not ok - $* ends within 60 s of $signal at $after s"
	fi
	wait "$running" 2>/dev/null
	running=0
	nothing_left "after $* and $signal at $after s" "$before"
}

# A moment at random in the k-th of n equal parts of so many seconds, to the hundredth.
moment() { # seconds, k from 0, n
	awk -v r="$RANDOM" -v s="$1" -v k="${2:-0}" -v n="${3:-1}" 'BEGIN { printf "%.2f", (k + r / 32768) / n * s }'
}
