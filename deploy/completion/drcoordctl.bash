# Made from the tables of cli/ by "drcoordctl help completion"; do not edit.
_drcoordctl()
{
	local word="${COMP_WORDS[COMP_CWORD]}" verb="${COMP_WORDS[1]}" words=""
	if [ "$COMP_CWORD" -eq 1 ]; then
		words="status watch explain ready simulate failover switchover failback approve abort pause resume fence unfence member service apply spec diff validate node pki help version"
	elif [ "$COMP_CWORD" -eq 2 ]; then
		case "$verb" in
		simulate) words="$words failover" ;;&
		simulate) words="$words switchover" ;;&
		simulate) words="$words failback" ;;&
		member) words="$words fenced" ;;&
		service) words="$words adopt" ;;&
		service) words="$words observe" ;;&
		node) words="$words list" ;;&
		node) words="$words add" ;;&
		node) words="$words remove" ;;&
		node) words="$words transfer" ;;&
		node) words="$words recover" ;;&
		pki) words="$words init" ;;&
		pki) words="$words issue" ;;&
		esac
	fi
	if [ -n "$words" ]; then
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
		return
	fi
	case "$verb" in service | node | pki) verb="$verb ${COMP_WORDS[2]}" ;; esac
	case "$verb" in
	"status") words="" ;;
	"watch") words="--from --count" ;;
	"explain") words="" ;;
	"ready") words="--site --service" ;;
	"simulate failover") words="--to --force --site" ;;
	"simulate switchover") words="--to --force --site" ;;
	"simulate failback") words="--force --site" ;;
	"failover") words="--reason --to --force --accept-loss --assert-fenced --site" ;;
	"switchover") words="--reason --to --force --site" ;;
	"failback") words="--reason --force --for --site" ;;
	"approve") words="--reason --accept-loss --assert-fenced" ;;
	"abort") words="--reason" ;;
	"pause") words="--reason --for" ;;
	"resume") words="--reason" ;;
	"fence") words="--reason --force" ;;
	"unfence") words="--reason --to --force" ;;
	"member fenced") words="--reason" ;;
	"service adopt") words="--reason" ;;
	"service observe") words="--reason --force" ;;
	"apply") words="--reason --force --file --if-version --dry-run" ;;
	"spec") words="" ;;
	"diff") words="--offline" ;;
	"validate") words="--as --quiet --no-warnings" ;;
	"node list") words="" ;;
	"node add") words="--reason --site --id" ;;
	"node remove") words="--reason" ;;
	"node transfer") words="--reason" ;;
	"node recover") words="--force --config" ;;
	"pki init") words="--dir --cluster --days" ;;
	"pki issue") words="--dir --kind --name --out --days" ;;
	"help") words="--markdown" ;;
	"version") words="" ;;
	esac
	words="$words --endpoints --ca --cert --key --output --timeout --help --version"
	case "$word" in
	-*) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word") ;;
	*) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
	esac
}
complete -F _drcoordctl drcoordctl
