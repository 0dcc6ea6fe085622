#!/bin/sh
# storm.sh SIGNAL PID ROUNDS: the signal to a process and to its children, again and again; ends with 1 once the process is gone.
# shellcheck shell=dash

round=0
while [ "$round" -lt "$3" ]; do
	round=$((round + 1))
	read -r children <"/proc/$2/task/$2/children"
	for pid in $2 $children; do
		kill "-$1" "$pid" 2>/dev/null
	done
	kill -0 "$2" 2>/dev/null || exit 1
done
