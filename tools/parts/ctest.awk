# ctest.awk -- turn `ctest --verbose` with cmocka's TAP output into the lines that ./check counts.
/^[0-9]+: (not )?ok [0-9]+ - / {
	n = $1; line = $0
	sub(/^[0-9]+: /, "", line)
	bad = line ~ /^not /
	sub(/^(not )?ok [0-9]+ - /, "", line)
	inside[n]++; if (bad) bad_inside[n]++
	results = results (bad ? "not ok - " : "ok - ") line "\n"
}
/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: / {
	total++
	match($0, /#[0-9]+: /)
	n = substr($0, RSTART + 1, RLENGTH - 2)
	rest = substr($0, RSTART + RLENGTH)
	split(rest, w, " ")
	good = rest ~ /   Passed /
	if (good && !inside[n]) results = results "ok - " w[1] "\n"
	if (!good && !bad_inside[n]) results = results "not ok - " w[1] " (" rest ")\n"
	if (!good) { any_bad = 1; bad_tests = bad_tests (bad_tests ? " " : "") n }
}
/^[0-9]+: / { said[$1] = said[$1] "# " $0 "\n" }
{ all = all "# " $0 "\n" }
END {
	if (any_bad || total == 0) printf "%s", all
	# Once more, last: whoever sees only the end must see why.
	k = split(bad_tests, b, " ")
	for (i = 1; i <= k; i++) printf "%s", said[b[i]]
	printf "%s", results
	if (total == 0) print "1..0 # no such test yet"
}
