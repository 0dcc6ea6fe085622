#!/bin/sh
# init.sh SCRIPT ACTION CONFIGURATION: one action of an init script, with procd's calls printed and the configuration written to
# a file of our choice. CONFIG_DIR and STUBS say where things are.
# shellcheck shell=dash disable=SC2034

# shellcheck source=/dev/null
. "$STUBS/functions.sh"
# shellcheck source=/dev/null
. "$STUBS/procd-print.sh"
exec 3>&1
# shellcheck source=/dev/null
. "$1"
[ -z "${KEEPALIVED_CONF+set}" ] || KEEPALIVED_CONF="$3"
case $2 in
	start) printf 'START=%s STOP=%s USE_PROCD=%s\n' "$START" "$STOP" "$USE_PROCD" && start_service ;;
	reload) reload_service ;;
	triggers) service_triggers ;;
esac
