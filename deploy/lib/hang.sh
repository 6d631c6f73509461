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
name=$1 folder=$2 release=${3:-/opt/mona-lisa/current}
[ -f "$folder/$name/pack.toml" ] || { echo "portrait: $name did not arrive whole; run it again" >&2; exit 1; }

# take LIBRARY NAME RELEASE: unpacks standard input into the library. It runs as the library's owner, because root
# would follow a link that this owner puts there meanwhile.
take() {
    set -euo pipefail
    umask 022
    new=$(mktemp -d "$1/.$2.XXXXXXXX")
    trap 'rm -rf "$new"' EXIT
    tar --no-same-owner -x -C "$new"
    sync -f "$new"
    # What a power cut in the next two lines leaves aside, the program puts back (appliance/files.py).
    aside=$1/.$2.old
    rm -rf "$aside"
    if [ -d "$1/$2" ]; then mv -T "$1/$2" "$aside"; fi
    mv -T "$new/$2" "$1/$2"
    rm -rf "$aside"
    STATE_DIRECTORY="$1" "$3/venv/bin/mona-lisa" portrait use "$2"
}
tar -C "$folder" --mode=u=rwX,go=rX -c "$name" |
    runuser -u mona-lisa -- bash -c "$(declare -f take); take \"\$@\"" take /var/lib/mona-lisa "$name" "$release"
