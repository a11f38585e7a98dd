#!/bin/sh
# Ctrl-C while the program is at work: what was done is reported and can be asked for, and it does end.
# SPDX-License-Identifier: BSL-1.0
#
# interrupt_test.sh SIGNAL PROGRAM ARGUMENTS...: says how the program has ended after its output.
signal=$1
shift
errors=$(mktemp)
output=$(mktemp)
trap 'rm -f "$errors" "$output"' EXIT

"$@" < /dev/null > "$output" 2> "$errors" &
# The first lines of progress come after five seconds; then something has been done.
waited=0
until grep -q 'user 1: .*, [1-9][0-9]* chunks' "$errors" || [ $((waited += 1)) -gt 600 ]; do sleep 0.1; done
kill -s "$signal" $!
wait $!
status=$?
cat "$errors" "$output"
echo "status $status"
