# shellcheck shell=bash
# What the deploy scripts share: steps that are told and logged, changes that are made once, and --dry-run.

readonly BASE=/opt/mona-lisa             # releases, the link `current`, and the record
readonly RECORD=$BASE/record             # what was changed on this machine, so that uninstall can undo it
readonly CONFIG=/etc/mona-lisa/config.toml
readonly LIBRARY=/var/lib/mona-lisa      # portraits
readonly BOOT=/boot/firmware
readonly COMMAND=/usr/local/bin/mona-lisa
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$project/deploy/lib/tell.sh"
changes=0 yes=""
umask 022 # whatever the technician's is: the service's own user reads what is put in place
set -E
trap '[ "$BASH_SUBSHELL" != 0 ] || unforeseen "$BASH_COMMAND (${BASH_SOURCE[0]:-}, line $LINENO)"' ERR

# unforeseen COMMAND: a command failed that nothing was written for. The terminal gets words, the log the command.
unforeseen() {
    log "stopped by $1"
    fail "${at:-the start} was not finished; what is wrong stands above. Run this again; journalctl -t mona-lisa-$script has more"
}

# A change by a program: counted, told, and made unless --dry-run.
run() {
    changes=$((changes + 1))
    if [ -n "$dry" ]; then say "would run: $*"; else log "run: $*"; "$@"; fi
}

# change WORDS FUNCTION [ARGUMENT...]: the same by a function of ours, whose name says nothing to anybody else.
change() {
    local words=$1
    shift
    changes=$((changes + 1))
    if [ -n "$dry" ]; then say "would $words"; else log "$words"; "$@"; fi
}

# ask QUESTION: ends unless a person says y, or --yes was given. A dry run asks nothing.
ask() {
    local answer=""
    if [ -n "$yes" ] || [ -n "$dry" ]; then return; fi
    [ -t 0 ] || fail "$1 Nobody can answer here; --yes answers y"
    read -r -p "   $(readable "$1") [y/N] " answer || echo
    if [ "$answer" != y ]; then say "nothing was changed"; exit 1; fi
}

# The same for a command that says more than anybody wants to read, as long as it goes well.
run_quietly() {
    local heard
    if [ -n "$dry" ]; then run "$@"; return; fi
    heard=$(run "$@" 2>&1) || { printf '%s\n' "$heard" >&2; fail "failed: $*"; }
    changes=$((changes + 1)) # the one above was counted in a subshell
}

# put SOURCE TARGET [MODE]: installs a file if it is not there in these very words; a power cut leaves old or new.
put() {
    local mode=${3:-644}
    if cmp -s "$1" "$2" && { [ "$(stat -c %a "$2")" = "$mode" ] || on_fat "$2"; }; then return; fi
    changes=$((changes + 1))
    if [ -n "$dry" ]; then say "would write $2"; return; fi
    say "writing $2"
    make_folder "$(dirname "$2")"
    install -m "$mode" "$1" "$2.mona-lisa-new"
    sync "$2.mona-lisa-new"
    mv -f "$2.mona-lisa-new" "$2"
}

# A card's boot partition has no modes of its own.
on_fat() { [ "$(stat -f -c %T "$1")" = msdos ]; }

# Folders that were not there are written down, so that uninstall takes away these and no others.
make_folder() {
    local lines
    if [ -d "$1" ]; then return; fi
    mapfile -t lines < <(noted folders)
    note folders "${lines[@]}" "$1"
    mkdir -p "$1"
}

# point LINK TARGET: makes a link, or turns it round in one instant.
point() {
    if [ "$(readlink "$1")" = "$2" ]; then return; fi
    changes=$((changes + 1))
    if [ -n "$dry" ]; then say "would link $1 to $2"; return; fi
    say "linking $1 to $2"
    make_folder "$(dirname "$1")"
    ln -sfn "$2" "$1.mona-lisa-new"
    mv -Tf "$1.mona-lisa-new" "$1"
    sync "$(dirname "$1")"
}

# drop PATH...: removes what is there.
drop() {
    local path
    for path in "$@"; do
        if [ -e "$path" ] || [ -L "$path" ]; then
            changes=$((changes + 1))
            if [ -n "$dry" ]; then say "would remove $path"; else say "removing $path"; rm -rf "$path"; fi
        fi
    done
}

# note NAME LINE...: writes lines into the record; noted NAME prints them.
note() {
    local name=$1
    shift
    [ -n "$dry" ] && return
    mkdir -p "$RECORD"
    printf '%s\n' "$@" >"$RECORD/$name.new"
    sync "$RECORD/$name.new"
    mv -f "$RECORD/$name.new" "$RECORD/$name"
}
noted() { cat "$RECORD/$1" 2>/dev/null || true; }

is_pi() { grep -qsa "Raspberry Pi" /proc/device-tree/model; }

# need_root DEED: whoever is no root on another machine than a Pi has rather forgotten which machine is meant.
need_root() {
    if [ "$(id -u)" = 0 ]; then return; fi
    is_pi || fail "must be root to $1 on this machine, $(uname -n), which is no Raspberry Pi; for another machine give its USER@HOST, for this one run it with sudo"
    fail "must be root to $1; run it with sudo"
}

need_installed() {
    [ -x "$BASE/current/venv/bin/mona-lisa" ] ||
        fail "nothing is installed on this machine ($(uname -n)); deploy/provision does that, and USER@HOST reaches another one"
}
running_systemd() { [ -d /run/systemd/system ]; }
release_now() { basename "$(readlink "$BASE/current" || true)"; }

# One script at a time changes this machine; the lock ends with the script, however that ends.
lock() {
    [ -n "$dry" ] && return
    exec 9>/run/mona-lisa-deploy.lock || fail "/run/mona-lisa-deploy.lock: cannot be written"
    flock -n 9 || fail "another deploy script is at work on this machine; wait for it"
}

# Sets `codename` and `arch`, or refuses with the reason.
check_machine() {
    local name
    step "looking at this machine"
    name=$(. /etc/os-release && printf '%s' "${PRETTY_NAME:-unknown}")
    codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
    arch=$(dpkg --print-architecture 2>/dev/null) || fail "$name: expected Raspberry Pi OS or Debian"
    case "$arch" in
        arm64 | amd64) ;;
        *) fail "$name is 32-bit ($arch), which has no model runtime; write the card with a 64-bit image" ;;
    esac
    case "$(. /etc/os-release && printf '%s' "${ID:-}") $codename" in
        "debian bookworm" | "debian trixie") ;; # Raspberry Pi OS calls itself so, too
        *) fail "$name: expected Raspberry Pi OS (or Debian) Bookworm or Trixie" ;;
    esac
    say "$name, $arch, $(uname -r)"
}

# Refuses when the disk that holds / has fewer MB free than asked for.
check_space() {
    free_before=$(df --output=avail -m / | tail -1 | tr -d ' ')
    [ "$free_before" -ge "$1" ] || fail "$free_before MB free on /, expected at least $1 MB; use a larger card"
    say "$free_before MB free on the card"
}

# check_config FILE: refuses a wrong one before anything is changed; a laptop whose Python is older than 3.11 cannot tell.
check_config() {
    local fault
    if ! python3 -c 'import tomllib' 2>/dev/null; then return; fi
    fault=$(PYTHONPATH=$project python3 -B -m appliance config check "$1" 2>&1) || fail "${fault#mona-lisa: }"
}

# Says how long it took and what it took, or that there was nothing to do.
finish() {
    local free taken
    free=$(df --output=avail -m / | tail -1 | tr -d ' ')
    if [ -n "$dry" ]; then step "dry run: $changes changes would be made"
    elif [ "$changes" = 0 ]; then step "nothing to change ($SECONDS s)"
    else
        taken="$((free_before - free)) MB of the card taken"
        if [ "$free" -ge "$free_before" ]; then taken="$((free - free_before)) MB of the card given back"; fi
        step "done: $changes changes in $((SECONDS / 60)) min $((SECONDS % 60)) s; $taken, $free MB free"
    fi
}
