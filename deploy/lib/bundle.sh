# shellcheck shell=bash
# A bundle: one tar file with the project, models, wheels and Debian packages for one release and architecture.

readonly UNPACKED=/var/tmp/mona-lisa-bundle

# open_bundle FILE: checks it and unpacks it; `opened` is then its folder, `project` the project in it.
open_bundle() {
    local made_for
    step "bundle $1"
    made_for=$(tar -xOf "$1" ./for 2>/dev/null) || fail "$1: not a bundle made by deploy/bundle, or not all of one"
    [ "$made_for" = "$codename $arch" ] || fail "$1 is for $made_for, this machine is $codename $arch; make one with: deploy/bundle --release $codename --arch $arch"
    rm -rf "$UNPACKED"
    mkdir -m 755 "$UNPACKED"
    trap close_bundle EXIT
    tar --no-same-owner -xf "$1" -C "$UNPACKED" || fail "$1: damaged; copy it again"
    (cd "$UNPACKED" && sha256sum --quiet --strict -c SHA256SUMS) || fail "$1: damaged; copy it again"
    opened=$UNPACKED project=$UNPACKED/project
    say "whole; made for $made_for"
}

close_bundle() { rm -rf "$UNPACKED"; }
