#!/bin/bash
# cli_offline.sh DRCOORDCTL -- what drcoordctl does without a coordinator: exit codes, guesses, pki, diff, completion.
set -u
here=$(cd "$(dirname "$0")/../.." && pwd)
ctl=$1
failed=0
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
unset DRCOORD_ENDPOINTS DRCOORD_CA DRCOORD_CERT DRCOORD_KEY

# CODE TEXT ARGUMENT...: ends in CODE and says TEXT, on whichever channel.
expect() {
	local code=$1 text=$2 said got
	shift 2
	said=$("$ctl" "$@" 2>&1)
	got=$?
	if [ "$got" -ne "$code" ] || ! grep -qF -- "$text" <<<"$said"; then
		echo "not ok - drcoordctl $*: exit $got, wanted $code and \"$text\"; it said:"
		echo "$said"
		failed=1
	fi
}

expect 2 "Verbs:"
expect 0 "Exit codes:" --help
expect 0 "drcoordctl 0" --version
expect 0 '{"version":"' version -o json
expect 2 'did you mean "status"?' statsu
expect 2 'did you mean "service adopt"?' service adpot orders
expect 2 'node what?' node
expect 2 'no verb "node ls"; did you mean "node list"?' node ls
expect 2 'did you mean --force?' failover orders --forse
expect 2 'there is no option -x' validate -qx a
expect 2 'needs a value' status --endpoints
expect 2 'given twice' validate x -q -q
expect 2 'takes no option --force' status --force
expect 2 'SERVICE is missing' failover
expect 2 'one argument too many' failover a b
expect 2 'expected table, json or yaml' -o xml version
expect 2 '--site SITE for all of a site' switchover
expect 2 'it takes no SERVICE' failover orders --site az-a
expect 2 'it takes no --to' switchover --site az-a --to pg-b
expect 2 '--site is missing' failback
expect 2 'is no name' failback --site Az_A -e 127.0.0.1:1 --ca a --cert b --key c
expect 2 'expected a duration' -t 5 version
expect 3 'give --endpoints' status
expect 3 '"code":"invalid"' status -o json
expect 3 'is no address' status -e host:1 --ca a --cert b --key c
expect 2 'is no name' failover Orders_1 -e 127.0.0.1:1 --ca a --cert b --key c
expect 2 'is no whole number' approve x -e 127.0.0.1:1 --ca a --cert b --key c
for bound in 0s 721h; do
	expect 2 'at most 720h' pause x --for "$bound" -e 127.0.0.1:1 --ca a --cert b --key c
done
expect 8 'cannot open a' pause x --for 720h -e 127.0.0.1:1 --ca a --cert b --key c
for bad in $'caf\xe9' $'\xc0\xaf' $'\xed\xa0\x80' $'cut \xc3'; do
	expect 2 'expected text in UTF-8' failover x --reason "$bad" -e 127.0.0.1:1 --ca a --cert b --key c
done
expect 0 'drcoordd --config x --recover --yes-a-majority-is-gone' node recover --config x
expect 0 'promote a standby' failover --help
expect 0 'Role: operator' help failover
expect 2 'there is no help about' help nothing
expect 0 'hmac-sha256' help config

# validate: kinds told by their keys, the worst file decides.
expect 0 'RTO about' validate "$here/deploy/examples/cluster.yaml" "$here/deploy/examples/agent.yaml"
expect 3 'alias-bomb.yaml:' validate "$here/deploy/examples/cluster.yaml" "$here/tests/bad/alias-bomb.yaml"
# A spec and node files together are judged together.
expect 0 'node file of coordinator' validate "$here"/deploy/examples/{cluster,coordinator,agent}.yaml
sed -e 's/300ms, heartbeat/900ms, heartbeat/' -e 's/site: az-a/site: az-x/' "$here/deploy/examples/coordinator.yaml" >"$dir/c.yaml"
expect 3 'Emax + (L + C + L) does not hold' validate "$here/deploy/examples/cluster.yaml" "$dir/c.yaml"
expect 3 'the spec has no site "az-x"' validate "$dir/c.yaml" "$here/deploy/examples/cluster.yaml"
expect 0 'ok, node file' validate "$dir/c.yaml"
sed -e 's/member: pg-a/member: pg-b/' "$here/deploy/examples/agent.yaml" >"$dir/a.yaml"
expect 3 'agent "agent-b" speaks for pg-b' validate "$dir/a.yaml" "$here/deploy/examples/cluster.yaml"
expect 3 'has pg-b at 10.2.0.20:5432' validate "$dir/a.yaml" "$here/deploy/examples/cluster.yaml"
expect 8 'cannot' validate "$dir/none.yaml"
expect 2 'expected coordinator' validate --as nothing "$here/deploy/examples/agent.yaml"
expect 3 'no key here' validate --as spec "$here/deploy/examples/agent.yaml"
"$ctl" -o json validate "$here/deploy/examples/cluster.yaml" "$here/tests/bad/wrong-values.yaml" |
	/usr/bin/python3 -c 'import json, sys
good, bad = json.load(sys.stdin)
assert good["ok"] and good["services"][0]["rpo_zero"]
assert not bad["ok"] and bad["errors"] == len(bad["problems"]) > 0' ||
	{ echo "not ok - validate -o json"; failed=1; }

# diff of files
cp "$here/deploy/examples/cluster.yaml" "$dir/old.yaml"
sed -e 's/set_max: 1/set_max: 2/' -e '/name: pg-c/d' "$dir/old.yaml" >"$dir/new.yaml"
expect 0 '' diff --offline "$dir/old.yaml" "$dir/old.yaml"
expect 9 'services.orders.sync.set_max: 1 -> 2' diff --offline "$dir/old.yaml" "$dir/new.yaml"
expect 9 'services.orders.members.pg-c: removed' diff --offline "$dir/old.yaml" "$dir/new.yaml"
expect 9 '"change":"removed"' -o json diff --offline "$dir/old.yaml" "$dir/new.yaml"
expect 3 'is no key here' diff --offline "$dir/old.yaml" "$here/tests/bad/alias-bomb.yaml"
expect 2 'compares two files' diff --offline "$dir/old.yaml"

# pki
expect 2 '--cluster NAME is missing' pki init --dir "$dir/pki"
expect 0 'written:' pki init --dir "$dir/pki" --cluster demo
expect 4 'ca' pki init --dir "$dir/pki" --cluster demo
expect 2 '--kind boss: expected' pki issue --dir "$dir/pki" --kind boss --name x --out "$dir/x"
expect 2 'expected a-z' pki issue --dir "$dir/pki" --kind agent --name X_1 --out "$dir/x"
expect 2 'expected a whole number' pki issue --dir "$dir/pki" --kind agent --name x --out "$dir/x" --days 0
expect 0 'c-a.key' -o json pki issue --dir "$dir/pki" --kind coordinator --name c-a --out "$dir/c-a"
openssl verify -CAfile "$dir/pki/ca.crt" "$dir/c-a.crt" >/dev/null || { echo "not ok - c-a.crt"; failed=1; }
openssl x509 -in "$dir/c-a.crt" -noout -ext subjectAltName | grep -qF 'URI:drcoord:coordinator/c-a' ||
	{ echo "not ok - c-a.crt names nobody"; failed=1; }
[ "$(stat -c %a "$dir/c-a.key")" = 600 ] || { echo "not ok - mode of c-a.key"; failed=1; }

# The arguments are fine and nobody listens: told within the deadline, with the address.
expect 6 '127.0.0.1:1' status -t 1s -e 127.0.0.1:1 --ca "$dir/pki/ca.crt" --cert "$dir/c-a.crt" --key "$dir/c-a.key"

# Colour only on a terminal, and not when NO_COLOR says so.
if "$ctl" diff --offline "$dir/old.yaml" "$dir/new.yaml" | grep -q "$(printf '\033')"; then
	echo "not ok - colour in a pipe"
	failed=1
fi
if command -v script >/dev/null; then
	colour=$(TERM=xterm script -qec "$ctl diff --offline $dir/old.yaml $dir/new.yaml" /dev/null)
	plain=$(NO_COLOR=1 TERM=xterm script -qec "$ctl diff --offline $dir/old.yaml $dir/new.yaml" /dev/null)
	grep -q "$(printf '\033')" <<<"$colour" || { echo "not ok - no colour on a terminal"; failed=1; }
	grep -q "$(printf '\033')" <<<"$plain" && { echo "not ok - colour in spite of NO_COLOR"; failed=1; }
fi

# Completion offers verbs, their second words and their options.
source "$here/deploy/completion/drcoordctl.bash"
complete_at() {
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	COMPREPLY=()
	_drcoordctl
	echo "${COMPREPLY[*]}"
}
[ "$(complete_at drcoordctl failo)" = failover ] || { echo "not ok - completes no verb"; failed=1; }
[ "$(complete_at drcoordctl service a)" = adopt ] || { echo "not ok - completes no second word"; failed=1; }
[ "$(complete_at drcoordctl failover x --acc)" = --accept-loss ] || { echo "not ok - completes no option"; failed=1; }

[ "$failed" -eq 0 ] && echo "ok"
exit "$failed"
