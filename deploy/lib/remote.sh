# shellcheck shell=bash
# Other machines, over SSH: one connection, this project sent along, sudo's password asked once.

# connect HOST: sets `ssh`, a command that runs what follows on HOST.
connect() {
    command -v ssh >/dev/null || fail "ssh is missing; install it: sudo apt-get install openssh-client"
    control=$(mktemp -d)
    # shellcheck disable=SC2206  # options for ssh, several words on purpose
    ssh=(ssh -o ControlMaster=auto -o "ControlPath=$control/%C" -o ControlPersist=120 -o ConnectTimeout=15
        -o ServerAliveInterval=15 ${MONA_LISA_SSH:-} "$1")
    # With a terminal progress is shown, and what is interrupted here is interrupted there.
    terminal=()
    if [ -t 0 ] && [ -t 1 ]; then terminal=(-t); fi
    step "connecting to $1"
    "${ssh[@]}" true || fail "$1: no connection; check that \`ssh $1\` works from here"
}

disconnect() {
    "${ssh[@]}" -O exit 2>/dev/null || true
    rm -rf "$control"
}

# ask_for_sudo: whether sudo will ask for its password, which needs a terminal.
ask_for_sudo() {
    if "${ssh[@]}" sudo -n true 2>/dev/null; then return; fi
    [ -t 0 ] || fail "$host: sudo asks for a password there; run this in a terminal"
    terminal=(-t)
    say "sudo on $host will ask for its password"
}

# remote HOST [ARGUMENT...]: this same script there, and its end is the end of this one; arguments that name files here
# go along.
remote() {
    local host=$1 argument file folder sudo="" words=() code=0
    shift
    connect "$host"
    folder=$("${ssh[@]}" 'mktemp -d /var/tmp/mona-lisa.XXXXXX') || fail "$host: no space in /var/tmp"
    # shellcheck disable=SC2064  # the value of now
    trap "clear_away '$folder'" EXIT
    if [ "$("${ssh[@]}" id -u)" != 0 ]; then sudo=sudo; ask_for_sudo; fi
    step "sending this project"
    sources | "${ssh[@]}" "tar -xz --no-same-owner -C '$folder'" || fail "$host: the project did not arrive whole; run this again"
    for argument in "$@"; do
        if [ -f "$argument" ]; then
            file=$folder/given/$(basename "$argument")
            say "sending $argument ($(($(stat -c %s "$argument") / 1000000)) MB)"
            "${ssh[@]}" "mkdir -p '$folder/given' && cat >$(printf '%q' "$file")" <"$argument" ||
                fail "$host: $argument did not arrive whole; run this again"
            argument=$file
        fi
        words+=("$(printf '%q' "$argument")")
    done
    "${ssh[@]}" "${terminal[@]}" "$sudo $folder/deploy/$script ${words[*]}" || code=$?
    [ "$code" != 255 ] || fail "$host: the connection was lost; run this again, it goes on where it was"
    exit "$code"
}

clear_away() {
    "${ssh[@]}" "rm -rf '$1' 2>/dev/null || sudo -n rm -rf '$1'" 2>/dev/null || true
    disconnect
}
