# shellcheck shell=bash
# A bundle: one tar file with the project, models, wheels and Debian packages for one release and architecture.

# bundle_is_for FILE: prints the release and the architecture of a bundle, such as "trixie arm64".
bundle_is_for() { tar -xOf "$1" ./for 2>/dev/null || fail "$1: not a bundle made by deploy/bundle, or not all of one"; }

# open_bundle FILE: checks it and unpacks it; `opened` is then its folder, `project` the project in it.
open_bundle() {
    local made_for
    step "bundle $1"
    made_for=$(bundle_is_for "$1") || exit 1
    [ "$made_for" = "$codename $arch" ] || fail "$1 is for $made_for, this machine is $codename $arch; make one with: deploy/bundle --release $codename --arch $arch"
    # Of root's alone: what runs that were cut off left there.
    find /var/tmp -maxdepth 1 -user root -type d -name 'mona-lisa-bundle*' -exec rm -rf {} +
    opened=$(mktemp -d /var/tmp/mona-lisa-bundle.XXXXXX) || fail "no space in /var/tmp"
    trap close_bundle EXIT
    chmod 755 "$opened" # apt reads it as a user of its own
    tar --no-same-owner -xf "$1" -C "$opened" || fail "$1: damaged; copy it again"
    (cd "$opened" && sha256sum --quiet --strict -c SHA256SUMS) || fail "$1: damaged; copy it again"
    project=$opened/project
    say "whole; made for $made_for"
}

close_bundle() { [ -z "${opened:-}" ] || rm -rf "$opened"; }
