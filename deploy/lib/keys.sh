# shellcheck shell=bash
# Keys that would restart or switch off the machine: what is in force follows the files of systemd/ at once.

readonly SYSRQ=/proc/sys/kernel/sysrq NO_SYSRQ=/etc/sysctl.d/99-mona-lisa.conf

# SysRq as the file has it; what it was is written down for uninstall.
read_sysrq() {
    if [ ! -f "$NO_SYSRQ" ] || [ ! -f "$SYSRQ" ]; then return; fi # some kernels have none
    [ -n "$(noted sysrq)" ] || note sysrq "$(cat "$SYSRQ")"
    run /usr/lib/systemd/systemd-sysctl "$NO_SYSRQ"
}

# sysrq_as_before VALUE: a container may not write it.
sysrq_as_before() {
    if [ -z "$1" ] || [ -n "$dry" ]; then return; fi
    echo "$1" 2>/dev/null >"$SYSRQ" || say "SysRq is as before from the next boot"
}

# The rules for connectors and power keys, for the devices that are there already.
read_rules() {
    if [ ! -S /run/udev/control ]; then return; fi
    udevadm control --reload
    udevadm trigger --subsystem-match=drm --subsystem-match=input
}
