# shellcheck shell=bash
# Turning from one release to another, watching it, and turning back.

# switch_release NAME SECONDS: turns to a release and watches it; a bad one is taken back by itself.
switch_release() {
    local before
    before=$(noted trial) # an update that was cut off while it was watched is watched again
    if [ -n "$before" ]; then owe_restart; else before=$(release_now); fi
    if [ "$before" = "$1" ] || [ -z "$before" ]; then
        activate "$1"
        drop "$RECORD/trial"
        return
    fi
    look_before
    note previous "$before"
    note trial "$before"
    activate "$1"
    if running_systemd && [ -z "$dry" ] && ! healthy "$2"; then
        step "release $1 is not well: going back to $before"
        activate "$before"
        note previous "$1"
        drop "$RECORD/trial"
        fail "$1 was taken back after $cause; $before runs again. journalctl -u mona-lisa tells more"
    fi
    [ -n "$dry" ] || rm -f "$RECORD/trial"
    prune
}

# activate NAME: its units, the link, and a restart if anything changed.
activate() {
    local folder=$BASE/releases/$1
    if [ -n "$dry" ]; then folder=$project; fi
    install_units "$folder"
    own_library
    step "start"
    if [ "$(release_now)" != "$1" ]; then owe_restart; fi
    point "$BASE/current" "releases/$1"
    point "$COMMAND" "$BASE/current/venv/bin/mona-lisa"
    for unit in mona-lisa.service mona-lisa-boot.service; do
        if ! systemctl is-enabled -q "$unit" 2>/dev/null; then run systemctl enable -q "$unit"; fi
    done
    if ! running_systemd; then say "systemd is not running here: the service starts at the next boot"
    elif [ -f "$RECORD/restart-owed" ]; then read_again
    elif ! up; then run systemctl start --no-block mona-lisa.service; fi
}

# own_library: what an earlier version, run as root, left in the library becomes the service's user's, who must be able
# to replace it. By its folder and without following links: that user may plant some meanwhile.
own_library() {
    local roots=(find "$LIBRARY" -xdev -mindepth 1 -user root '(' -type d -o -type f -links 1 ')')
    if [ -d "$LIBRARY" ] && [ -n "$("${roots[@]}" -print -quit)" ]; then
        run "${roots[@]}" -execdir chown -h mona-lisa:mona-lisa {} +
    fi
}

# Running, or on its way there.
up() { case "$(systemctl is-active mona-lisa.service)" in active | activating | reloading) ;; *) return 1 ;; esac; }

# The first picture may take a while on a slow card; a monitor that is missing is waited for.
wait_until_lit() {
    if ! running_systemd || [ -n "$dry" ]; then return; fi
    for ((i = 0; i < 90; i++)); do
        if systemctl is-active -q mona-lisa.service; then say "the portrait is lit"; return; fi
        sleep 1
    done
    say "no picture after 90 s (is the monitor on?): systemctl status mona-lisa tells more"
}

# A picture on the card need not wait for the next boot, where mona-lisa-boot.service starts this.
start_card_portrait() {
    if ! running_systemd || [ -n "$dry" ]; then return; fi
    systemctl start --no-block mona-lisa-card-portrait.service
}

# well: `mona-lisa status` says so. A camera that was missing before the update is no fault of the update.
well() { "$COMMAND" status >/dev/null 2>&1; }

# A monitor that is off keeps a version from starting; if it did so before the update it is no fault of the update.
waiting() { [ "$(systemctl show -P SubState mona-lisa.service 2>/dev/null)" = start ]; }
started() { systemctl is-active -q mona-lisa.service || { [ "$was_waiting" = yes ] && waiting; }; }

look_before() {
    was_well=no was_waiting=no
    if well; then was_well=yes; fi
    if waiting; then was_waiting=yes; fi
}

# healthy SECONDS: up within 90 s, and for that long no restart; sets `cause` when not.
healthy() {
    local end restarts
    step "watching $(release_now) for $1 s"
    for ((i = 0; i < 90; i++)); do
        restarts=$(systemctl show -P NRestarts mona-lisa.service)
        if [ "${restarts:-0}" -ge 2 ] || systemctl is-active -q mona-lisa.service; then break; fi
        sleep 1
    done
    end=$((SECONDS + $1))
    cause="it did not start"
    started || return 1
    cause="it did not stay up"
    while :; do
        started || return 1
        [ "$(systemctl show -P NRestarts mona-lisa.service)" = "$restarts" ] || return 1
        [ "$SECONDS" -lt "$end" ] || break
        sleep 1
    done
    cause="it said: $("$COMMAND" status 2>&1 | sed -n 1p)"
    [ "$was_well" = no ] || well
}

# Keeps the present release and the one before it.
prune() {
    local home
    for home in "$BASE"/releases/*; do
        case "$(basename "$home")" in
            "$(release_now)" | "$(noted previous)") ;;
            *) drop "$home" ;;
        esac
    done
}
