# shellcheck shell=bash
# The display is the portrait's alone: a desktop, which would hold it, is refused or gives way to the console.

readonly DEFAULT_TARGET=/etc/systemd/system/default.target DESKTOP=/etc/systemd/system/display-manager.service

desktop_starts() { [ -L "$DESKTOP" ] && [ "$(systemctl get-default 2>/dev/null)" = graphical.target ]; }

# check_desktop CONSOLE: refuses a machine that starts a desktop, unless CONSOLE is yes.
check_desktop() {
    if [ "$1" = yes ] || ! desktop_starts; then return; fi
    fail "a desktop ($(basename "$(readlink "$DESKTOP")" .service)) starts here and holds the display; write the card with Raspberry Pi OS Lite, or give --console: the machine then boots to the console"
}

# Boots to the console from the next time on; what it booted to is written down for uninstall.
to_console() {
    if ! desktop_starts; then return; fi
    step "console instead of the desktop"
    note default-target "$(readlink "$DEFAULT_TARGET" || echo none)"
    point "$DEFAULT_TARGET" /usr/lib/systemd/system/multi-user.target
}

# The desktop that the technician may be working on is not ended.
desktop_runs() { running_systemd && systemctl is-active -q display-manager.service; }

leave_console() {
    case "$(noted default-target)" in
        "") ;;
        none) drop "$DEFAULT_TARGET" ;;
        *) point "$DEFAULT_TARGET" "$(noted default-target)" ;;
    esac
}
