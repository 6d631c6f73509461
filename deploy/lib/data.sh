# shellcheck shell=bash
# A data partition: portraits, config and logs on it, so that they outlast a boot with a read-only root.

readonly DATA=/srv/mona-lisa
readonly KEPT=("portraits:$LIBRARY" "config:/etc/mona-lisa" "journal:/var/log/journal")
readonly FSTAB_BEGIN="# mona-lisa begin" FSTAB_END="# mona-lisa end"

# use_data PARTITION: copies what is there onto it, then mounts it in its place from the next boot.
# A stick that is missing holds nothing up: then what lies on the card is shown.
use_data() {
    local kind uuid pair name place lines=()
    kind=$(blkid -o value -s TYPE "$1" 2>/dev/null) || fail "$1: no file system on it; expected ext4 (mkfs.ext4 $1 makes one and erases it)"
    [ "$kind" = ext4 ] || fail "$1: $kind, expected ext4, which outlasts a power cut"
    uuid=$(blkid -o value -s UUID "$1")
    if grep -qF "UUID=$uuid $DATA " /etc/fstab; then say "$1 is in use already"; return; fi
    run mkdir -p "$DATA"
    run mount "$1" "$DATA"
    lines=("$FSTAB_BEGIN" "UUID=$uuid $DATA ext4 noatime,nofail,x-systemd.device-timeout=10s 0 2")
    for pair in "${KEPT[@]}"; do
        name=${pair%%:*} place=${pair#*:}
        run mkdir -p "$DATA/$name" "$place"
        run cp -a "$place/." "$DATA/$name/"
        run chown --reference="$place" "$DATA/$name"
        lines+=("$DATA/$name $place none bind,nofail,x-systemd.requires-mounts-for=$DATA 0 0")
    done
    lines+=("$FSTAB_END")
    run umount "$DATA"
    forget_data
    if [ -z "$dry" ]; then printf '%s\n' "${lines[@]}" | cat /etc/fstab - >/etc/fstab.new && mv /etc/fstab.new /etc/fstab; fi
    say "$1 keeps portraits, config and logs from the next boot"
}

forget_data() {
    [ -n "$dry" ] || sed -i "/^$FSTAB_BEGIN\$/,/^$FSTAB_END\$/d" /etc/fstab
}

# outlasts WHAT PLACE OTHERWISE: where WHAT is kept, looked up and not assumed.
outlasts() {
    local kind
    kind=$(findmnt -n -o FSTYPE -T "$2" 2>/dev/null | tail -1)
    case "$kind" in
        overlay | tmpfs | "") say "$1: $3" ;;
        *) say "$1: kept in $2 ($(findmnt -n -o SOURCE -T "$2" | tail -1))" ;;
    esac
}
