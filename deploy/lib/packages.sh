# shellcheck shell=bash
# Debian packages: what is missing comes, from the network or a bundle; what came goes.

# The display needs Mesa (OpenGL ES), since SDL has no software way to a bare screen.
readonly PACKAGES=(python3-numpy python3-pil python3-pygame python3-systemd python3-venv
    libegl1 libgles2 libgbm1 libgl1-mesa-dri)
# Only on a Raspberry Pi: its camera, and what its read-only root is made of (raspi-config would want a network for it).
# overlayroot calls grep, which an initramfs has from busybox; without it the root is silently as before.
readonly PI_PACKAGES=(python3-picamera2 overlayroot busybox)

# What was cut off while it was unpacked; dpkg cannot configure it.
damaged_packages() { dpkg-query -W -f '${db:Status-Eflag} ${binary:Package}\n' | sed -n 's/^reinstreq //p'; }

missing_packages() {
    local name
    for name in "$@"; do
        [ "$(dpkg-query -W -f '${Status}' "$name" 2>/dev/null)" = "install ok installed" ] || printf '%s\n' "$name"
    done
}

# packages CAMERA [BUNDLE]: what is missing, from the package sources or from a bundle. CAMERA: yes or no.
packages() {
    local wanted=("${PACKAGES[@]}") missing=() new=() plan cause anew=()
    step "packages"
    if [ "$1" = yes ]; then wanted+=("${PI_PACKAGES[@]}"); else say "no camera is asked for: without ${PI_PACKAGES[*]}"; fi
    if [ -n "$(dpkg --audit)" ]; then run dpkg --configure -a 2>/dev/null || true; fi
    mapfile -t missing < <({ missing_packages "${wanted[@]}" && damaged_packages; } | sort -u)
    [ -z "$(damaged_packages)" ] || anew=(--fix-broken --reinstall)
    if [ ${#missing[@]} = 0 ]; then say "all there"; return; fi
    say "missing: ${missing[*]}"
    apt=(apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o APT::Install-Recommends=false
        -o APT::Keep-Downloaded-Packages=false)
    if [ -n "${2:-}" ]; then apt_from "$2"; fi
    if [ -n "$dry" ]; then run "${apt[@]}" install "${anew[@]}" "${missing[@]}"; return; fi
    say "reading the package sources"
    "${apt[@]}" -qq update >/dev/null 2>&1 || true # what it lacks shows in the next line
    if ! plan=$("${apt[@]}" -s install "${anew[@]}" "${missing[@]}" 2>&1); then
        if [ "$1" = yes ] && ! apt-cache show python3-picamera2 >/dev/null 2>&1 && apt-cache show python3-numpy >/dev/null 2>&1; then
            fail "python3-picamera2 is not in this machine's package sources (Raspberry Pi OS has it); without a camera: --no-camera"
        fi
        log "$plan"
        cause=$(grep '^E: ' <<<"$plan" | head -1 | cut -c4-)
        [ -z "${2:-}" ] || fail "packages are not in the bundle ($cause); make a new one for this machine (deploy/bundle)"
        fail "packages cannot be had ($cause); check the network, or bring a bundle made today (deploy/bundle)"
    fi
    # What is new here is written down before it comes, so that uninstall takes away this and nothing else.
    mapfile -t new < <(awk '$1 == "Inst" && $3 !~ /^\[/ { print $2 }' <<<"$plan")
    mapfile -t new < <({ noted packages; printf '%s\n' "${new[@]}"; } | sort -u | sed '/^$/d')
    note packages "${new[@]}"
    say "installing these and what they need, ${#new[@]} packages in all (some minutes on a Pi)"
    export DEBIAN_FRONTEND=noninteractive
    run_quietly "${apt[@]}" -qy install "${anew[@]}" "${missing[@]}"
}

# Makes apt read a bundle's packages and nothing else.
apt_from() {
    mkdir -p "$1/lists/partial"
    printf 'deb [trusted=yes] file:%s/debs ./\n' "$1" >"$1/bundle.list"
    apt+=(-o "Dir::Etc::SourceList=$1/bundle.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$1/lists"
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
}

# Purges the packages that came with the appliance and that nothing else has come to need.
drop_packages() {
    local ours=() unneeded=() apt=(apt-get -o DPkg::Lock::Timeout=300)
    local alone=(-o APT::AutoRemove::RecommendsImportant=false -o APT::AutoRemove::SuggestsImportant=false)
    step "packages"
    export DEBIAN_FRONTEND=noninteractive
    mapfile -t ours < <(noted packages)
    mapfile -t ours < <(comm -23 <(printf '%s\n' "${ours[@]}" | sort) <(missing_packages "${ours[@]}" | sort) | sed '/^$/d')
    if [ ${#ours[@]} = 0 ]; then say "none of ours left"; return; fi
    # All of them, if nothing but them would go; else only those that nobody else needs by now.
    if [ -z "$("${apt[@]}" -s purge "${ours[@]}" | awk '$1 == "Purg" || $1 == "Remv" { print $2 }' | sort -u |
        comm -23 - <(printf '%s\n' "${ours[@]}" | sort))" ]; then
        run_quietly "${apt[@]}" -qy purge "${ours[@]}"
        return
    fi
    say "other packages have come to need some of ours: those stay"
    run_quietly apt-mark -q auto "${ours[@]}"
    mapfile -t unneeded < <("${apt[@]}" "${alone[@]}" -s autoremove --purge | awk '$1 == "Purg" || $1 == "Remv" { print $2 }' |
        sort | comm -12 - <(printf '%s\n' "${ours[@]}" | sort))
    if [ ${#unneeded[@]} != 0 ]; then run_quietly "${apt[@]}" -qy purge "${unneeded[@]}"; fi
}
