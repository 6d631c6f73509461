# shellcheck shell=bash
# Releases: each a folder of its own beside the others, built from this project and marked when it is whole.

readonly PARTS=(appliance deploy systemd models pyproject.toml README.md LICENSE frames/README.md
    frames/portraits.toml frames/sconosciuta.png)

# What makes a release, as a tar archive: no packs, no caches, no tests, the same bytes for the same project.
pack() {
    tar -C "$project" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
        --exclude=__pycache__ --exclude='.*' "$@"
}

# The bundled portrait is rendered again when the picture or the engine changes; as deploy/setup has it.
portrait_key() { (cd "$1" && cat frames/sconosciuta.png appliance/portrait/*.py appliance/pack.py) | sha256sum | cut -c1-16; }
has_portrait() { [ -f "$1/frames/sconosciuta/pack.toml" ] && [ "$(cat "$1/frames/sconosciuta-ready" 2>/dev/null)" = "$(portrait_key "$1")" ]; }

# The project, with what was fetched and rendered already.
sources() {
    local name made=()
    for name in frames/astronaut.png frames/grace_hopper.jpg; do
        [ ! -f "$project/$name" ] || made+=("$name")
    done
    if has_portrait "$project"; then made+=(frames/sconosciuta frames/sconosciuta-ready); fi
    pack -cz "${PARTS[@]}" "${made[@]}"
}

# A release's name is its version and the hash of its contents: the same project is the same release.
release_name() {
    local version hash
    version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' "$project/appliance/__init__.py")
    hash=$(pack --exclude='*.tflite' -c "${PARTS[@]}" | sha256sum | cut -c1-10)
    printf '%s-%s' "$version" "$hash"
}

# build_release NAME [BUNDLE]: project, venv and models; marked ready when whole, else begun again.
build_release() {
    local home=$BASE/releases/$1 bundle=${2:-} pip=(--require-hashes --no-deps --only-binary=:all:) shown=() models=fetch
    step "release $1"
    if [ -f "$home/ready" ]; then say "already there"; return; fi
    say "copying the project to $home"
    run rm -rf "$home"
    run mkdir -p "$home"
    change "copy the project to $home" extract "$home"
    say "making its venv"
    run python3 -m venv --system-site-packages "$home/venv"
    [ -z "$bundle" ] || pip+=(--no-index "--find-links=$bundle/wheels")
    [ -t 1 ] || shown=(-q)
    say "installing the model runtime"
    run "$home/venv/bin/python" -m pip install --disable-pip-version-check --no-cache-dir --retries 3 "${shown[@]}" \
        "${pip[@]}" -r "$home/deploy/requirements/$codename.txt" || fail "release $1 cannot be built: see above; what ran before runs on"
    change "make the command mona-lisa" command_into "$home"
    say "models, each checked by its hash" # the demo's photographs are for a laptop
    if [ -n "$bundle" ]; then models=verify; fi
    run "$home/venv/bin/mona-lisa" assets "$models" --models || fail "release $1 cannot be built: see above; what ran before runs on"
    portrait_into "$home"
    run "$home/venv/bin/python" -m compileall -q "$home/appliance"
    run sync -f "$home"
    run touch "$home/ready"
}

extract() { sources | tar -xz --no-same-owner -C "$1"; }

# The command, without what pip would need to build this project: a path and four lines.
command_into() {
    local site
    site=$("$1/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    printf '%s\n' "$1" >"$site/mona-lisa.pth"
    printf '#!%s\nimport sys\nfrom appliance.cli import main\nsys.exit(main())\n' "$1/venv/bin/python" >"$1/venv/bin/mona-lisa"
    chmod 755 "$1/venv/bin/mona-lisa"
}

# The release's own portrait: brought along, taken over from the version before, or rendered.
portrait_into() {
    local frames=$1/frames before=$BASE/current/frames
    if [ ! -f "$frames/sconosciuta/pack.toml" ]; then
        if [ -z "$dry" ] && has_portrait "$BASE/current" && [ "$(portrait_key "$1")" = "$(portrait_key "$BASE/current")" ]; then
            run cp -r "$before/sconosciuta" "$frames/"
        else
            say "rendering the portrait (10 s on a laptop, a minute or more on a Pi)"
            run "$1/venv/bin/mona-lisa" portrait render "$frames/sconosciuta.png" --out "$frames/sconosciuta"
        fi
    fi
    [ -n "$dry" ] || portrait_key "$1" >"$frames/sconosciuta-ready"
}
