# lib.sh -- what the parts of ./check share; sourced from the top of the tree.
set -u

# Run a command; one line of result named $1, the command's output only when it fails.
try() { # what, command...
	local what=$1 out
	shift
	if out=$("$@" 2>&1); then
		echo "ok - $what"
	else
		echo "not ok - $what"
		printf '%s\n' "$out" | sed 's/^/# /'
		return 1
	fi
}

absent() { # why
	echo "1..0 # $1"
	exit 0
}

# The parts that run whole labs wait until all four programs exist.
need_programs() {
	local name
	for name in drcoordd drcoord-agent drcoord-guard drcoordctl; do
		[ -n "$(find build/release -type f -name "$name" -perm -u+x -print -quit 2>/dev/null)" ] ||
			absent "$name is not built yet"
	done
}

# Configure and build one preset; targets behind it, all without.
build_preset() { # preset, target...
	local preset=$1
	shift
	cmake --preset "$preset" --log-level=WARNING &&
		cmake --build --preset "$preset" -j "$(nproc)" ${1:+--target "$@"} -- --quiet
}

# Run the tests of one folder of a built preset: a line for each cmocka test, and one for each other program.
run_ctest() { # preset, folder, ctest options...
	local dir=build/$1/$2 out
	shift 2
	[ -f "$dir/CTestTestfile.cmake" ] || absent "$dir has no tests"
	out=$(CMOCKA_MESSAGE_OUTPUT=TAP ctest --test-dir "$dir" --verbose --no-tests=ignore "$@" 2>&1)
	printf '%s\n' "$out" | awk -f tools/parts/ctest.awk
}
