# shellcheck shell=bash
# How the deploy scripts tell what they do, on the terminal and in the log. Sets `script`; --dry-run sets `dry`; `at` is
# the step that is under way.

script=$(basename "$0")
dry=""
if [ "${BASH_VERSINFO[0]}" -lt 4 ] || [[ "$(tar --version 2>/dev/null)" != *GNU* ]]; then
    echo "$script: expected Linux, with bash 4 and GNU tar; on a Mac or on Windows use a Linux machine or WSL" >&2
    exit 1
fi

# readable TEXT: in one line that fits on a screen, and without what moves the cursor or turns the text round: a file
# or a title that it names may hold anything.
readable() {
    local LC_ALL=C text=$* # byte by byte: C1 controls, and the direction marks of Unicode, are two or three in UTF-8
    text=${text//$'\n'/ }
    text=${text//[[:cntrl:]]/?}
    text=${text//$'\xc2'[$'\x80'-$'\x9f']/?}
    text=${text//$'\xe2\x80'[$'\x8e\x8f'$'\xa8'-$'\xae']/?}
    text=${text//$'\xe2\x81'[$'\xa6'-$'\xa9']/?}
    text=${text//$'\xd8\x9c'/?}
    if [ ${#text} -gt 1000 ]; then text="${text:0:700} ... ${text: -290}"; fi
    printf '%s' "$text"
}

log() { [ -n "$dry" ] || logger -t "mona-lisa-$script" -- "$(readable "$*")" 2>/dev/null || true; }
step() { at=$*; printf '== %s\n' "$(readable "$*")"; log "$*"; }
say() { printf '   %s\n' "$(readable "$*")"; log "$*"; }
fail() { printf '%s: %s\n' "$script" "$(readable "$*")" >&2; log "failed: $*"; exit 1; }
misuse() { printf '%s: %s; see %s --help\n' "$script" "$(readable "$*")" "$script" >&2; exit 2; }
