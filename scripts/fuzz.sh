#!/bin/sh
# Runs every fuzz target of the module for FUZZTIME (10s), one after the other.
# A target that fails ends the run; finding no target at all is a failure too.
set -eu
: "${GO:=go}" "${FUZZTIME:=10s}"

total=0
for package in $($GO list ./...); do
	for target in $($GO test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "== $package $target"
		$GO test -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZTIME" "$package"
		total=$((total + 1))
	done
done
if [ "$total" -eq 0 ]; then
	echo "no fuzz targets found" >&2
	exit 1
fi
echo "$total fuzz targets passed"
