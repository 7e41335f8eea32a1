#!/bin/sh
# cli_docs.sh DRCOORDCTL [--rewrite] -- what is made from the tables of cli/ and conf/ is what they say now.
set -u
cd "$(dirname "$0")/../.." || exit 1
ctl=$1
rewrite=${2:-}
failed=0
said=$(mktemp) || exit 1
trap 'rm -f "$said"' EXIT

# FILE WORD...: `drcoordctl help WORD...` makes it.
made() {
	file=$1
	shift
	"$ctl" help "$@" >"$said" || failed=1
	[ -s "$said" ] || { echo "not ok - help $* says nothing"; failed=1; }
	if [ "$rewrite" = --rewrite ]; then
		cp "$said" "$file"
	elif ! diff -u "$file" "$said"; then
		echo "not ok - $file: run tests/unit/cli_docs.sh DRCOORDCTL --rewrite"
		failed=1
	fi
}

made docs/configuration.md config --markdown
made docs/drcoordctl.1 man
made deploy/completion/drcoordctl.bash completion
bash -n deploy/completion/drcoordctl.bash || failed=1
[ "$failed" -eq 0 ] && echo "ok"
exit "$failed"
