# Stands in for /usr/share/libubox/jshn.sh: builds a JSON text, or passes a loaded one on.
# shellcheck shell=dash disable=SC2034

json_text=''
json_first=1
json_ends=''

json_init() {
	json_text='{' json_first=1 json_ends='}'
}

# A loaded text is kept as it is; the reader of the output judges it.
json_load() {
	json_text="$1" json_ends=''
}

# json_name NAME: the comma and the key; elements of an array have no key.
json_name() {
	[ -n "$json_first" ] || json_text="$json_text,"
	json_first=''
	case $json_ends in
		']'*) ;;
		*) json_text="$json_text\"$1\":" ;;
	esac
}

json_add_object() {
	json_name "$1"
	json_text="$json_text{" json_first=1 json_ends="}$json_ends"
}

json_add_array() {
	json_name "$1"
	json_text="${json_text}[" json_first=1 json_ends="]$json_ends"
}

json_close_object() {
	json_text="$json_text}" json_first='' json_ends="${json_ends#?}"
}

json_close_array() {
	json_text="$json_text]" json_first='' json_ends="${json_ends#?}"
}

json_add_string() {
	json_name "$1"
	json_text="$json_text\"$2\""
}

json_add_int() {
	json_name "$1"
	json_text="$json_text$2"
}

json_dump() {
	printf '%s%s\n' "$json_text" "$json_ends"
}
