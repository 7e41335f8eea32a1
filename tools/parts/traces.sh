# traces.sh -- what a lab could leave on this machine, for the parts that run one; sourced from the top of the tree.

# One line for each thing that looks like a lab's.
traces() {
	ip netns list 2>/dev/null | awk '{ print "namespace", $1 }'
	for stat in /proc/[0-9]*/stat; do
		sed -n 's/^\([0-9]*\) (\(drcoord.*\|dr_lab.*\|postgres\|named\|knotd\)) [^Z].*/process \1 \2/p' "$stat" 2>/dev/null
	done
	find /sys/fs/cgroup -maxdepth 6 -type d \( -name "*drcoord*" -o -name "drlab*" \) -printf 'cgroup %p\n' 2>/dev/null
	ip -o link 2>/dev/null | awk -F': ' '{ print "interface", $2 }'
	nft list tables 2>/dev/null | sed 's/^/nft /'
	ls -d /tmp/drcoord[-.]* /tmp/drlab* /run/drcoord* /var/lib/drcoord* /dev/shm/*drcoord* /dev/shm/PostgreSQL* 2>/dev/null | sed 's/^/file /'
}

# Compare with what was there before; one result.
nothing_left() { # when, the earlier traces
	local new
	new=$(comm -13 <(printf '%s\n' "$2" | sort -u) <(traces | sort -u))
	if [ -z "$new" ]; then
		echo "ok - nothing is left $1"
	else
		printf '%s\n' "$new" | sed 's/^/# left: /'
		echo "not ok - nothing is left $1"
	fi
}

# Start ./quickstart, interrupt it after that many seconds, and look.
stop_after() { # seconds
	local before pid
	before=$(traces)
	# Without the env a shell's background program ignores SIGINT.
	env --default-signal=INT ./quickstart >build/check/quickstart-stopped.log 2>&1 &
	pid=$!
	sleep "$1"
	kill -INT "$pid" 2>/dev/null || echo "# it had ended by itself before $1 s"
	for _ in $(seq 600); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	if kill -0 "$pid" 2>/dev/null; then
		kill -KILL "$pid"
		echo "not ok - ./quickstart ends within 60 s of Ctrl-C at $1 s"
	fi
	wait "$pid" 2>/dev/null
	nothing_left "after Ctrl-C at $1 s" "$before"
}

# A moment between 0 and that many seconds, to the hundredth.
moment() { # seconds
	awk -v r="$RANDOM" -v s="$1" 'BEGIN { printf "%.2f", r / 32768 * s }'
}
