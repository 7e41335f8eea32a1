#!/bin/sh
# validate_golden.sh DRCOORDCTL [--rewrite] -- what `drcoordctl validate` says of every file in tests/bad/ is what
# stands beside it in NAME.expected; with --rewrite that is written anew, to be reviewed as a diff.
set -u
cd "$(dirname "$0")/../bad" || exit 1
ctl=$1
rewrite=${2:-}
failed=0
count=0
said=$(mktemp) || exit 1
trap 'rm -f "$said"' EXIT
for file in *.yaml; do
	name=${file%.yaml}
	"$ctl" validate "$file" >"$said" 2>&1
	echo "exit $?" >>"$said"
	count=$((count + 1))
	if [ "$rewrite" = --rewrite ]; then
		cp "$said" "$name.expected"
	elif ! diff -u "$name.expected" "$said"; then
		echo "not ok - $file"
		failed=1
	fi
done
for file in *.expected; do
	[ -e "${file%.expected}.yaml" ] || { echo "not ok - $file belongs to no file"; failed=1; }
done
[ "$count" -ge 20 ] || { echo "not ok - only $count files were looked at"; failed=1; }
[ "$failed" -eq 0 ] && echo "ok - $count files"
exit "$failed"
