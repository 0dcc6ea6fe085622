#!/bin/sh
# rpcd.sh DAEMON CONFIGURATION FILES: as the first process of a pid namespace, starts keepalived and asks the plugin and the
# hotplug script in FILES as rpcd and keepalived do; prints the answers, each after a line that starts with ==.
# shellcheck shell=dash

daemon="$1" configuration="$2" files="$3"

# Those of a router's shell, not of the machine that runs this.
pidof() {
	busybox pidof "$@"
}

sleep() {
	busybox sleep "$@"
}

plugin() (
	set -- "$@"
	# shellcheck source=/dev/null
	. "$files/rpcd"
)

echo '== list'
plugin list
echo '== dump without a daemon'
plugin call dump
"$daemon" -n -f "$configuration" >/dev/null 2>&1 &
busybox sleep 6
echo '== dump'
plugin call dump
echo '== no such method'
plugin call nothing
for event in 'NOTIFY_BACKUP INSTANCE E1' 'NOTIFY_MASTER INSTANCE E1' 'NOTIFY_MASTER GROUP G1' 'NOTIFY GROUP G1' 'startup'; do
	# shellcheck disable=SC2086 # its words
	set -- $event
	# shellcheck disable=SC2034 # the script reads them
	(
		ACTION="$1" TYPE="$2" NAME="$3"
		# shellcheck source=/dev/null
		. "$files/01-ubus"
	)
done
echo '== status'
plugin call status
echo '== processes'
busybox pidof "$daemon" | busybox wc -w
