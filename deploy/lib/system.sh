# shellcheck shell=bash
# The machine around the appliance: user, units, config, portrait, boot options; put in place and taken away.

. "$(dirname "${BASH_SOURCE[0]}")/keys.sh"

# Where a file of systemd/ belongs.
place_of() {
    case "$1" in
        udev/*) printf '/etc/%s' "$1" ;;
        sysusers.d/* | tmpfiles.d/* | sysctl.d/*) printf '/etc/%s' "$1" ;;
        journald.conf.d/* | system.conf.d/*) printf '/etc/systemd/%s' "$1" ;;
        *.service | *.timer | *.path | *.target | *.d/*.conf) printf '/etc/systemd/system/%s' "$1" ;;
    esac
}

# create_user FOLDER: the user and its folders, as FOLDER's systemd/ has them.
create_user() {
    step "user"
    put "$1/systemd/sysusers.d/mona-lisa.conf" /etc/sysusers.d/mona-lisa.conf
    put "$1/systemd/tmpfiles.d/mona-lisa.conf" /etc/tmpfiles.d/mona-lisa.conf
    if ! getent passwd mona-lisa >/dev/null; then run_quietly systemd-sysusers /etc/sysusers.d/mona-lisa.conf; fi
    if [ ! -d "$LIBRARY" ] || [ ! -d /etc/mona-lisa ]; then run systemd-tmpfiles --create /etc/tmpfiles.d/mona-lisa.conf; fi
}

# Everything in systemd/ of this project and of the releases that are here.
unit_files() { find "$project/systemd" "$BASE"/releases/*/systemd -type f -printf '%P\n' 2>/dev/null | sort -u; }

# install_units FOLDER: units and drop-ins, exactly as FOLDER's systemd/ has them; what only other releases have goes.
install_units() {
    local file target
    step "units"
    while read -r file; do
        target=$(place_of "$file")
        if [ -z "$target" ] || [ ! -e "$target" ] || [ -e "$1/systemd/$file" ]; then continue; fi
        owe_restart
        drop "$target"
    done < <(unit_files)
    while read -r file; do
        target=$(place_of "$file")
        if [ -z "$target" ] || cmp -s "$1/systemd/$file" "$target"; then continue; fi
        owe_restart
        put "$1/systemd/$file" "$target"
    done < <(cd "$1/systemd" && find . -type f -printf '%P\n' | sort)
}

# What was changed must be read again by whoever reads it; remembered, in case this script is cut off before.
owe_restart() { [ -n "$dry" ] || { mkdir -p "$RECORD" && touch "$RECORD/restart-owed"; }; }

read_again() {
    [ -d /var/log/journal ] || note journal "made by the appliance"
    run systemctl daemon-reload
    run systemctl restart systemd-journald
    read_sysrq
    change "read the rules for devices again" read_rules
    run systemctl reset-failed mona-lisa.service
    run systemctl restart --no-block mona-lisa.service
    [ -n "$dry" ] || rm -f "$RECORD/restart-owed"
}

# A card's first boot that failed is tried again at every boot: not once this machine is provisioned in another way.
no_first_boot() { drop /etc/systemd/system/{,multi-user.target.wants/}mona-lisa-first-boot.service; }

drop_units() {
    local file target folder
    step "units and user"
    no_first_boot
    while read -r file; do
        target=$(place_of "$file")
        if [ -z "$target" ]; then continue; fi
        drop "$target"
    done < <(unit_files)
    for folder in $(noted folders); do
        [ -n "$dry" ] || rmdir --ignore-fail-on-non-empty "$folder" 2>/dev/null || true
    done
    if getent passwd mona-lisa >/dev/null; then run userdel mona-lisa; fi
    if getent group mona-lisa >/dev/null; then run groupdel mona-lisa; fi
}

# configure [FILE]: a config of your own, checked before; or the one with every default and its explanation.
configure() {
    local release=$BASE/releases/$name told
    step "config"
    if [ -n "${1:-}" ]; then
        if [ -f "$CONFIG" ] && ! cmp -s "$1" "$CONFIG"; then put "$CONFIG" "$CONFIG.old"; fi
        cmp -s "$1" "$CONFIG" || owe_restart
        put "$1" "$CONFIG"
        note calibration "has a file of its own" # nothing that was calibrated is left in config.toml
    elif [ ! -f "$CONFIG" ]; then put "$project/appliance/config.toml" "$CONFIG"; fi
    if [ -f "$BOOT/mona-lisa.toml" ] && [ -z "$dry" ]; then
        told=$("$release/venv/bin/python" "$release/deploy/card_config.py" 2>&1) || fail "$told; mend it on the card, or take it away"
        [ -z "$told" ] || say "$told"
    fi
}

# move_calibration: what an earlier version's calibrate wrote into config.toml gets a file of its own, once. Only after the
# new version has proved itself, because one that is taken back reads config.toml alone.
move_calibration() {
    local told
    if [ -n "$dry" ] || [ -n "$(noted calibration)" ]; then return; fi
    step "calibration"
    if told=$("$BASE/current/venv/bin/python" "$BASE/current/deploy/move_calibration.py" 2>&1); then
        note calibration "has a file of its own"
    fi
    [ -z "$told" ] || say "$told"
}

# give_back_config NAME: a version that reads config.toml alone gets back the one from before the calibration was moved.
give_back_config() {
    local kept=$CONFIG.with-calibration measured=${CONFIG%/*}/calibration.toml
    if [ -f "$BASE/releases/$1/deploy/move_calibration.py" ] || [ ! -f "$kept" ]; then return; fi
    say "$1 reads $CONFIG alone: it is as before the update again; calibrations since then are in $measured.old"
    put "$CONFIG" "$CONFIG.old"
    put "$kept" "$CONFIG"
    if [ -f "$measured" ]; then put "$measured" "$measured.old"; fi
    drop "$kept" "$measured" "$RECORD/calibration"
}

# check_portrait NAME|IMAGE: refuses a name that nothing is known by.
check_portrait() {
    if [ -z "$1" ] || [ -f "$1" ] || [ -f "$LIBRARY/$1/pack.toml" ]; then return; fi
    grep -qxF "name = \"$1\"" "$project/frames/portraits.toml" ||
        fail "--portrait $1: neither a file nor the name of a portrait; mona-lisa portrait list tells the names"
}

# hang [NAME|IMAGE]: renders a portrait on this machine and hangs it, unless it hangs already.
hang() {
    local what=${1:-} pack=$LIBRARY/current/pack.toml given=/var/tmp/mona-lisa-given.XXXXXX
    step "portrait"
    if [ -f "$pack" ]; then
        if [ -z "$what" ] || [ "$(readlink "$LIBRARY/current")" = "$what" ] ||
            { [ -f "$what" ] && grep -q "$(sha256sum "$what" | cut -d' ' -f1)" "$pack"; }; then
            say "$(readlink "$LIBRARY/current") hangs"
            return
        fi
    fi
    if [ -z "$what" ]; then
        say "the bundled one: La Sconosciuta"
        change "hang the bundled portrait" hang_bundled
        return
    fi
    if [ ! -f "$what" ] && [ -f "$LIBRARY/$what/pack.toml" ]; then change "hang $what" as_appliance portrait use "$what"; return; fi
    say "rendering $what (10 s on a laptop, a minute or more on a Pi)"
    # What a rendering that was cut off left behind.
    [ ! -d "$LIBRARY" ] || find "$LIBRARY" -maxdepth 1 -name '.*.????????' -mmin +60 -exec rm -rf {} +
    find /var/tmp -maxdepth 1 -user root -type d -name 'mona-lisa-given*' -exec rm -rf {} +
    if [ ! -f "$what" ]; then change "render and hang $what" as_appliance portrait install "$what"; return; fi
    [ -n "$dry" ] || given=$(mktemp -d "$given")
    run chmod 755 "$given" # the appliance's user reads it there
    run install -m 644 "$what" "$given/$(basename "$what")"
    change "render and hang $what" as_appliance portrait install "$given/$(basename "$what")" ||
        { rm -rf "$given" && fail "$what is not hung: see above; run this again with another picture"; }
    run rm -rf "$given"
}

hang_bundled() { bash "$project/deploy/lib/hang.sh" sconosciuta "$BASE/releases/$name/frames" "$BASE/releases/$name"; }

as_appliance() { runuser -u mona-lisa -- env STATE_DIRECTORY="$LIBRARY" "$BASE/releases/$name/venv/bin/mona-lisa" "$@"; }

# A shutdown button is of use only where logind switches off at it, as it does by default.
check_button() {
    local key
    case "$1" in
        "" | none) return ;;
        # GPIO 0 and 1 belong to the memory of boards on top of the header.
        [2-9] | 1[0-9] | 2[0-7]) ;;
        *) misuse "--shutdown-button $1; expected a GPIO number from 2 to 27, or none" ;;
    esac
    [ -z "${host:-}" ] || return 0
    [ -f /usr/lib/systemd/system/systemd-logind.service ] || fail "--shutdown-button: systemd-logind is missing, which would switch off at it"
    key=$(systemd-analyze cat-config systemd/logind.conf 2>/dev/null | sed -n 's/^HandlePowerKey *= *//p' | tail -1)
    case "$key" in
        "" | poweroff) ;;
        *) fail "--shutdown-button: logind.conf has HandlePowerKey=$key; expected poweroff" ;;
    esac
}

# boot_options GPIO: a quiet boot, a shutdown button if one is asked for (none: no more), and no surprises: the
# camera's software is not replaced overnight.
boot_options() {
    local options=()
    if [ -n "$1" ]; then options=(--button "$1"); fi
    step "boot options"
    put "$project/deploy/unattended-upgrades.conf" /etc/apt/apt.conf.d/52mona-lisa
    if [ ! -f "$BOOT/cmdline.txt" ]; then say "no $BOOT/cmdline.txt: not a Raspberry Pi's boot partition, left alone"; return; fi
    if ! python3 "$project/deploy/boot_options.py" --check "$BOOT" "${options[@]}"; then
        run python3 "$project/deploy/boot_options.py" --add "$BOOT" "${options[@]}"
        say "in force from the next boot"
    fi
}
