# shellcheck shell=bash
# The read-only root: whether it is in force, and a data partition for what shall outlast a boot with it.

readonly DATA=/srv/mona-lisa
readonly KEPT=("portraits:$LIBRARY" "config:/etc/mona-lisa" "journal:/var/log/journal")
readonly FSTAB_BEGIN="# mona-lisa begin" FSTAB_END="# mona-lisa end"

readonly EVERYTHING='(^| )overlayroot=tmpfs( |$)' ROOT_ONLY='(^| )overlayroot=tmpfs:recurse=0( |$)'

root_is_overlay() { [ "$(findmnt -n -o FSTYPE / | tail -1)" = overlay ]; }
asks_for_overlay() { grep -qsE '(^| )(boot=overlay|overlayroot=)' "$@"; }
overlay_is_asked_for() { asks_for_overlay "$BOOT/cmdline.txt"; }

# Trixie's rpi-swap keeps a swap file behind its compressed memory. Its last drop-in counts.
readonly SWAP=/etc/rpi/swap.conf SWAP_IN_MEMORY=/etc/rpi/swap.conf.d/99-mona-lisa.conf

swap_in_memory() {
    if [ ! -f "$SWAP" ]; then return; fi
    case "$(cat "$SWAP" "$SWAP".d/*.conf 2>/dev/null | sed -n 's/^Mechanism *= *//p' | tail -1)" in
        zram | none) ;; # chosen already, or ours
        *) put "$project/deploy/swap-in-memory.conf" "$SWAP_IN_MEMORY" ;;
    esac
}

# With the root still read-only it would be back at the next boot; then at-boot does it.
swap_as_before() { root_is_overlay || drop "$SWAP_IN_MEMORY"; }

# Whether compressed memory has a file behind it.
swap_has_file() { grep -qsvx none /sys/block/zram*/backing_dev; }

# need_lasting PLACE: refuses to change what would be as before after the next boot.
need_lasting() {
    if [ "$(findmnt -n -o FSTYPE -T "$1" | tail -1)" = overlay ] && asks_for_overlay /proc/cmdline "$BOOT/cmdline.txt"; then
        fail "the root is read-only: what is changed now is gone at the next boot; deploy/readonly off, reboot, then this again"
    fi
}

# In one instant, like every change on the boot partition.
edit_cmdline() {
    sed -E "$1" "$BOOT/cmdline.txt" >"$BOOT/cmdline.txt.mona-lisa-new"
    sync "$BOOT/cmdline.txt.mona-lisa-new"
    mv -f "$BOOT/cmdline.txt.mona-lisa-new" "$BOOT/cmdline.txt"
}

# raspi-config lays the overlay over every mount, so that a data partition too would be in memory only
# (RPi-Distro/raspi-config#288), and write-protects the boot partition (#187), where mona-lisa.txt answers.
only_the_root() {
    edit_cmdline "s/$EVERYTHING/\\1overlayroot=tmpfs:recurse=0\\2/"
    sed -i -E "s#^([^\#]\S*\s+$BOOT\s+\S+\s+\S*),ro([, \t])#\1\2#" /etc/fstab
    if findmnt -n -o OPTIONS "$BOOT" | grep -qE '^ro(,|$)'; then mount -o remount,rw "$BOOT"; fi
}

# use_data PARTITION: copies what is there onto it, then mounts it in its place from the next boot.
# A stick that is missing holds nothing up: then what lies on the card is shown. So portraits and config are not in
# fstab: StateDirectory= makes the service depend on a mount there. at-boot lays them over the card's.
use_data() {
    local kind uuid pair name place lines=()
    kind=$(blkid -o value -s TYPE "$1" 2>/dev/null) || fail "$1: no file system on it; expected ext4 (mkfs.ext4 $1 makes one and erases it)"
    [ "$kind" = ext4 ] || fail "$1: $kind, expected ext4, which outlasts a power cut"
    uuid=$(blkid -o value -s UUID "$1")
    if grep -qF "UUID=$uuid $DATA " /etc/fstab; then say "$1 is in use already"; return; fi
    place=$(findmnt -n -o TARGET -S "$1" | head -1) || place="" # not mounted
    [ -z "$place" ] || fail "$1 is mounted at $place; expected a partition that nothing else uses"
    run mkdir -p "$DATA"
    run mount "$1" "$DATA" || fail "$1: cannot be mounted"
    lines=("$FSTAB_BEGIN" "UUID=$uuid $DATA ext4 noatime,nofail,x-systemd.device-timeout=10s 0 2")
    for pair in "${KEPT[@]}"; do
        name=${pair%%:*} place=${pair#*:}
        [ ! -L "$DATA/$name" ] || { umount "$DATA" && fail "$1: $name on it is a link, expected a folder"; }
        run mkdir -p "$DATA/$name" "$place"
        run cp -a --remove-destination "$place/." "$DATA/$name/" || { umount "$DATA" && fail "$1: too small for portraits, config and logs"; }
        run chown --reference="$place" "$DATA/$name"
        [ "$name" != journal ] || lines+=("$DATA/$name $place none bind,nofail,x-systemd.requires-mounts-for=$DATA 0 0")
    done
    lines+=("$FSTAB_END")
    run umount "$DATA"
    forget_data
    if [ -z "$dry" ]; then printf '%s\n' "${lines[@]}" | cat /etc/fstab - >/etc/fstab.new && mv /etc/fstab.new /etc/fstab; fi
    say "$1 keeps portraits, config and logs from the next boot"
}

# By its mount: overlayroot leaves no comments in the fstab it makes.
data_is_asked_for() { grep -qsE "^[^#].*\s$DATA\s" /etc/fstab; }

# mount_data: at boot, from a unit that has a mount namespace of its own. Waits for a stick as long as fstab says.
mount_data() {
    local pair
    if ! data_is_asked_for; then return; fi
    mountpoint -q "$DATA" || systemctl start "$(systemd-escape --path --suffix=mount "$DATA")" || return 0
    for pair in "${KEPT[@]}"; do
        mountpoint -q "${pair#*:}" || nsenter --target 1 --mount mount --bind "$DATA/${pair%%:*}" "${pair#*:}" ||
            say "$DATA/${pair%%:*} cannot be mounted: what lies on the card is in force"
    done
    journalctl --flush || true # if the stick came after the log was begun in memory
}

forget_data() {
    [ -n "$dry" ] || sed -i "/^$FSTAB_BEGIN\$/,/^$FSTAB_END\$/d" /etc/fstab
}

# leave_data: what is kept on the data partition goes with what it was mounted over; the rest of it stays.
leave_data() {
    local pair
    for pair in "${KEPT[@]}"; do
        if mountpoint -q "${pair#*:}"; then run umount --lazy "${pair#*:}"; fi # journald holds its own
        if mountpoint -q "$DATA"; then drop "$DATA/${pair%%:*}"; fi
    done
    if mountpoint -q "$DATA"; then run umount --lazy "$DATA"; fi
    change "take our lines out of /etc/fstab" forget_data
    if [ -d "$DATA" ]; then run rmdir --ignore-fail-on-non-empty "$DATA"; fi
}

# outlasts WHAT PLACE OTHERWISE: where WHAT is kept, looked up and not assumed.
outlasts() {
    local kind
    kind=$(findmnt -n -o FSTYPE -T "$2" 2>/dev/null | tail -1) || kind="" # nothing is there
    case "$kind" in
        overlay | tmpfs | "") say "$1: $3" ;;
        *) say "$1: kept in $2 ($(findmnt -n -o SOURCE -T "$2" | tail -1))" ;;
    esac
}
