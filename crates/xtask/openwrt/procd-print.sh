# Stands in for procd: its functions print what they are called with.
# shellcheck shell=dash

printed() {
	local word text="$1"
	shift
	for word in "$@"; do
		text="$text <$word>"
	done
	printf '%s\n' "$text" >&3
}

for function in open_service close_service open_instance close_instance set_param append_param add_reload_trigger \
	add_interface_trigger open_trigger close_trigger send_signal kill add_jail add_jail_mount; do
	eval "procd_$function() { printed procd_$function \"\$@\"; }"
done

modprobe() {
	printed modprobe "$@"
}

logger() {
	printed logger "$@"
}
