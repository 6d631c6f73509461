#!/usr/bin/env bash
# hang.sh NAME FOLDER [RELEASE], as root on the screen: takes the rendered portrait FOLDER/NAME into the library, whole or
# not at all, and hangs it.
set -euo pipefail
umask 022
if [ $# -lt 2 ]; then
    sed -n '2,3s/^# //p' "$0"
    [ "${1:-}" = --help ] || exit 2
    exit 0
fi
library=/var/lib/mona-lisa
name=$1 release=${3:-/opt/mona-lisa/current}
[ -f "$2/$name/pack.toml" ] || { echo "portrait: $name did not arrive whole; run it again" >&2; exit 1; }
new=$(mktemp -d "$library/.$name.XXXXXXXX")
trap 'rm -rf "$new"' EXIT
cp -r "$2/$name" "$new/$name"
chmod -R u=rwX,go=rX "$new/$name"
chown -R mona-lisa:mona-lisa "$new"
sync -f "$new"
# What a power cut in the next two lines leaves aside, the program puts back (appliance/files.py).
aside=$library/.$name.old
rm -rf "$aside"
if [ -d "$library/$name" ]; then mv -T "$library/$name" "$aside"; fi
mv -T "$new/$name" "$library/$name"
rm -rf "$aside"
runuser -u mona-lisa -- env STATE_DIRECTORY="$library" "$release/venv/bin/mona-lisa" portrait use "$name"
