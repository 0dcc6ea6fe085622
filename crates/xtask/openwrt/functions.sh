# Stands in for /lib/functions.sh: reads UCI files as the shell words that they are. CONFIG_DIR holds them.
# shellcheck shell=dash disable=SC2034,SC2154

CONFIG_DIR="${CONFIG_DIR:-/etc/config}"

# A section is a number N: its type is KIND_N, its name NAME_N; an option is OPTION_N_name, a list LIST_N_name_1 and so on.
sections=0

config() {
	sections=$((sections + 1))
	# The braces keep a name with odd letters from being evaluated.
	eval "KIND_$sections=\$1 NAME_$sections=\${2:-cfg$sections}"
}

option() {
	eval "OPTION_${sections}_$1=\$2"
}

list() {
	local count
	eval "count=\$((\${COUNT_${sections}_$1:-0} + 1)); COUNT_${sections}_$1=\$count"
	eval "LIST_${sections}_$1_$count=\$2"
	eval "OPTION_${sections}_$1=\"\${OPTION_${sections}_$1:+\$OPTION_${sections}_$1 }\$2\""
}

package() {
	:
}

config_load() {
	local name
	for name in $(set | sed -n 's/^\(\(KIND\|NAME\|OPTION\|COUNT\|LIST\)_[0-9][A-Za-z0-9_]*\)=.*/\1/p'); do
		unset "$name"
	done
	sections=0
	[ -f "$CONFIG_DIR/$1" ] || return 1
	# shellcheck source=/dev/null
	. "$CONFIG_DIR/$1"
}

# number SECTION: by its name, in $found.
number() {
	local at=0 name
	found=''
	while [ "$at" -lt "$sections" ]; do
		at=$((at + 1))
		eval "name=\$NAME_$at"
		[ "$name" != "$1" ] || found=$at
	done
	[ -n "$found" ]
}

# config_get VARIABLE SECTION OPTION [DEFAULT]
config_get() {
	local found
	case $3 in *[!A-Za-z0-9_]*) return 0 ;; esac
	if number "$2"; then
		eval "$1=\${OPTION_${found}_$3:-\$4}"
	else
		eval "$1=\$4"
	fi
}

config_get_bool() {
	local truth
	config_get truth "$2" "$3" "$4"
	case $truth in
		1 | on | true | yes | enabled) truth=1 ;;
		0 | off | false | no | disabled) truth=0 ;;
		*) truth=$4 ;;
	esac
	eval "$1=\$truth"
}

# config_foreach FUNCTION [TYPE [WORDS]]
config_foreach() {
	local each="$1" wanted="$2" at_section=0 kind name
	shift
	[ $# -eq 0 ] || shift
	while [ "$at_section" -lt "$sections" ]; do
		at_section=$((at_section + 1))
		eval "kind=\$KIND_$at_section name=\$NAME_$at_section"
		if [ -z "$wanted" ] || [ "$kind" = "$wanted" ]; then
			"$each" "$name" "$@"
		fi
	done
	return 0
}

# config_list_foreach SECTION OPTION FUNCTION [WORDS]
config_list_foreach() {
	local found count entry at_entry=0 option="$2" each="$3"
	number "$1" || return 0
	local section="$found"
	shift 3
	eval "count=\${COUNT_${section}_$option:-0}"
	while [ "$at_entry" -lt "$count" ]; do
		at_entry=$((at_entry + 1))
		eval "entry=\$LIST_${section}_${option}_$at_entry"
		"$each" "$entry" "$@"
	done
}

# list_contains VARIABLE WORD
list_contains() {
	local all
	eval "all=\" \$$1 \""
	case $all in *" $2 "*) return 0 ;; esac
	return 1
}

# append VARIABLE TEXT [SEPARATOR]
append() {
	eval "$1=\"\${$1:+\${$1}${3- }}\$2\""
}

# include DIRECTORY
include() {
	local file
	for file in "$1"/*.sh; do
		# shellcheck source=/dev/null
		[ ! -f "$file" ] || . "$file"
	done
}
