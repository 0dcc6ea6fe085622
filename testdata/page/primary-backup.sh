#!/bin/sh
# Called by keepalived when the group changes state: hands the connection table over.
conntrackd=${CONNTRACKD:-/usr/sbin/conntrackd}
failed=0
request() {
    "$conntrackd" -C /etc/conntrackd/conntrackd.conf "$1" || failed=1
}
case "$1" in
primary)
    request -c # what the peer told us goes into the kernel
    request -f # both caches are stale now
    request -R # read the kernel's table again
    request -B # and tell the peer all of it
    ;;
backup)
    request -t # forget connections that are not ours any more, later
    request -n # ask the new primary for its table
    ;;
fault)
    request -t
    ;;
*)
    echo "usage: $0 primary|backup|fault" >&2
    exit 1
    ;;
esac
exit $failed
