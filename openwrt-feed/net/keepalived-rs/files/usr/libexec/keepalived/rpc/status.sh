#!/bin/sh
# Method status: the last event of each instance and group, as the hotplug script keeps them.

. /usr/share/libubox/jshn.sh

STATUS_DIR=/var/run/keepalived

# events TYPE KEY: an array of those of one type.
events() {
	local dir name when what
	json_add_array "$2"
	for dir in "$STATUS_DIR"/*_"$1"; do
		[ -d "$dir" ] || continue
		name="${dir##*/}"
		# An event that has not been yet has no time.
		when=0 what=''
		[ ! -f "$dir/TIME" ] || read -r when <"$dir/TIME"
		[ ! -f "$dir/STATUS" ] || read -r what <"$dir/STATUS"
		json_add_object
		json_add_string name "${name%_*}"
		json_add_int event "$when"
		json_add_string status "$what"
		json_close_object
	done
	json_close_array
}

status() {
	json_init
	events INSTANCE instance
	events GROUP group
	json_dump
}
