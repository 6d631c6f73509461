"""What the deploy scripts say: in words, before anything is changed, and never in the shell's own."""

import os
import pty
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import SERVICE
from tests.test_deploy import DEPLOY, as_root, in_fake_root, program, with_programs

# A screen that takes what is sent, and on which the script itself ends as the file `code` says.
SCREEN = """#!/bin/bash
case "${!#}" in
    -u) echo 0 ;;
    "mktemp "*) mktemp -d /tmp/mona-lisa.XXXXXX ;;
    "tar "*) cat >/dev/null; [ ! -f full ] ;;
    "rm -rf "*) bash -c "${!#}" ;;
    */deploy/*) echo "update: nothing is installed" >&2; exit "$(cat code)" ;;
esac
"""


def over_ssh(folder: Path, script: str, code: int) -> subprocess.CompletedProcess[str]:
    program(folder / "ssh", SCREEN)
    (folder / "code").write_text(str(code))
    return subprocess.run(
        [DEPLOY / script, "pi@screen"],
        env=with_programs(folder),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("script", ["provision", "update", "rollback", "uninstall"])
def test_a_failure_over_ssh_ends_with_the_screens_own_line(tmp_path: Path, script: str) -> None:
    done = over_ssh(tmp_path, script, 1)
    assert (done.returncode, done.stderr) == (1, "update: nothing is installed\n")


def test_a_connection_lost_over_ssh_is_told(tmp_path: Path) -> None:
    done = over_ssh(tmp_path, "update", 255)
    told = "update: pi@screen: the connection was lost; run this again, it goes on where it was"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, told)


def test_a_project_that_does_not_arrive_is_told(tmp_path: Path) -> None:
    (tmp_path / "full").touch()
    done = over_ssh(tmp_path, "update", 0)
    told = "update: pi@screen: the project did not arrive whole; run this again\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_a_failure_nobody_foresaw_names_the_step_in_words(tmp_path: Path) -> None:
    program(tmp_path / "logger", '#!/bin/bash\nprintf "%s\\n" "${!#}" >>log')
    script = f'. {DEPLOY}/lib/steps.sh; step "boot options"; change "be wrong" false'
    done = subprocess.run(
        ["bash", "-euc", script, "provision"],
        env=with_programs(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    told = "provision: boot options was not finished; what is wrong stands above. Run this again; "
    assert (done.returncode, done.stderr) == (1, f"{told}journalctl -t mona-lisa-provision has more\n")
    assert re.search(r'^stopped by .*"\$@"', (tmp_path / "log").read_text(), re.MULTILINE)


def test_a_dry_run_names_no_function_of_the_scripts() -> None:
    scripts = [*DEPLOY.glob("lib/*.sh"), *(path for path in DEPLOY.iterdir() if path.is_file())]
    text = "\n".join(path.read_text("utf-8") for path in scripts)
    ours = set(re.findall(r"^([a-z_]+)\(\) *\{", text, re.MULTILINE))
    assert {"hang_bundled", "command_into", "as_appliance"} <= ours
    called = set(re.findall(r"\brun(?:_quietly)? ([a-z_]+)\b", text))
    assert {"systemctl", "rm"} <= called
    assert called & ours == set()


@pytest.mark.parametrize(
    ("before", "told"), [(700, "200 MB of the card taken"), (400, "100 MB of the card given back")]
)
def test_the_end_says_what_of_the_card_was_taken_or_given_back(before: int, told: str) -> None:
    script = f"""
        . {DEPLOY}/lib/steps.sh
        df() {{ printf 'Avail\\n500\\n'; }}
        free_before={before} changes=3
        finish
    """
    done = subprocess.run(["bash", "-euc", script, "provision"], capture_output=True, text=True)
    assert done.stdout.endswith(f"; {told}, 500 MB free\n")


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A terminal that nobody looks at: the side of the person, and that of the program."""
    person, machine = pty.openpty()
    yield person, machine
    os.close(person)
    os.close(machine)


UNINSTALL = f"""
    mount -t tmpfs none /var/lib; mkdir -p /var/lib/mona-lisa/{{duchess,sconosciuta}} $BASE/record
    touch /var/lib/mona-lisa/{{duchess,sconosciuta}}/pack.toml
    printf 'python3-pygame\\npython3-numpy\\n' >$BASE/record/packages
    code=0
    {DEPLOY}/uninstall %s || code=$?
    ls -d /var/lib/mona-lisa/duchess $BASE
    exit "$code"
"""


@as_root
def test_uninstall_says_what_goes_and_asks_nobody_in_a_script() -> None:
    done = in_fake_root(UNINSTALL % "")
    assert (
        "   the program, its user, its units and its boot options go, and 2 packages that came with it\n"
        in done.stdout
    )
    assert "   portraits (duchess, sconosciuta) and config go for good; --keep keeps them\n" in done.stdout
    assert done.stderr == "uninstall: Uninstall? Nobody can answer here; --yes answers y\n"
    assert done.returncode == 1
    assert done.stdout.endswith("/opt/mona-lisa\n/var/lib/mona-lisa/duchess\n")


@as_root
def test_uninstall_changes_nothing_after_no(terminal: tuple[int, int]) -> None:
    person, machine = terminal
    os.write(person, b"n\n")
    done = in_fake_root(UNINSTALL % "--keep", stdin=machine)
    assert "   portraits (duchess, sconosciuta) and config stay\n" in done.stdout
    assert "   nothing was changed\n" in done.stdout
    assert done.returncode == 1
    assert done.stdout.endswith("/opt/mona-lisa\n/var/lib/mona-lisa/duchess\n")


PROVISION = f"{DEPLOY}/provision %s || exit $?"


@as_root
def test_provision_asks_on_a_machine_that_is_no_raspberry_pi(terminal: tuple[int, int]) -> None:
    name = os.uname().nodename
    done = in_fake_root(PROVISION % "")
    told = f"   this machine, {name}, is no Raspberry Pi; to reach another one: deploy/provision USER@HOST\n"
    assert told in done.stdout and done.returncode == 1
    question = f"Make {name} a framed screen, which takes its console and its display?"
    assert done.stderr == f"provision: {question} Nobody can answer here; --yes answers y\n"
    person, machine = terminal
    os.write(person, b"\n")
    done = in_fake_root(PROVISION % "--no-camera", stdin=machine)
    assert done.stdout.endswith("   nothing was changed\n") and done.returncode == 1


def test_without_root_a_forgotten_host_is_thought_of(tmp_path: Path) -> None:
    program(tmp_path / "id", "#!/bin/sh\necho 1000")
    for script in ("provision", "update", "uninstall"):
        done = subprocess.run([DEPLOY / script], env=with_programs(tmp_path), capture_output=True, text=True)
        assert done.returncode == 1 and done.stderr.count("\n") == 1
        assert "no Raspberry Pi; for another machine give its USER@HOST" in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--foo"], "demo: unknown option --foo; see demo --help"),
        (["--seconds"], "demo: --seconds needs a value; see demo --help"),
        (["--seconds", "long"], "demo: --seconds long; expected a number from 4 to 3,600; see demo --help"),
        (["--seconds", "3"], "demo: --seconds 3; expected a number from 4 to 3,600; see demo --help"),
        (
            ["--display", "tv"],
            "demo: --display tv; expected auto, kmsdrm, window or offscreen:FOLDER; see demo --help",
        ),
        (["--out", __file__], f"demo: --out {__file__}: no folder"),
    ],
)
def test_the_demo_refuses_an_option_before_it_sets_up_anything(
    tmp_path: Path, options: list[str], told: str
) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/demo").write_bytes((DEPLOY / "demo").read_bytes())
    (tmp_path / "deploy/lib").symlink_to(DEPLOY / "lib")
    program(tmp_path / "deploy/setup", "#!/bin/sh\ntouch set-up")
    done = subprocess.run(["bash", tmp_path / "deploy/demo", *options], capture_output=True, text=True)
    assert done.returncode != 0 and done.stderr == f"{told}\n"
    assert not (tmp_path / "set-up").exists()
    program(tmp_path / "deploy/setup", "#!/bin/sh\ntouch set-up\nexit 3")
    good = ["--seconds", "8.5", "--display", "offscreen:lit", "--out", str(tmp_path / "new")]
    assert subprocess.run(["bash", tmp_path / "deploy/demo", *good], capture_output=True).returncode == 3
    assert (tmp_path / "set-up").exists()


def test_a_damaged_record_of_boot_options_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "cmdline.txt").write_text("console=tty1\n")
    (tmp_path / "record.json").write_text("{")
    command = [
        "python3",
        f"{DEPLOY}/boot_options.py",
        "--add",
        f"{tmp_path}",
        "--record",
        f"{tmp_path}/record.json",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        1,
        f"boot options: {tmp_path}/record.json: damaged (not JSON)\n",
    )
    command[3] = f"{tmp_path}/nowhere"
    done = subprocess.run(command, capture_output=True, text=True)
    told = f"boot options: {tmp_path}/nowhere/cmdline.txt: No such file or directory\n"
    assert (done.returncode, done.stderr) == (1, told)


@as_root
def test_an_unwritable_preview_is_told_before_the_rendering(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        (Path(name) / "duchess.png").write_bytes(b"a picture")
        done = subprocess.run(
            [DEPLOY / "portrait", "pi@screen", "duchess.png"],
            cwd=name,
            user=SERVICE,
            group=SERVICE,
            capture_output=True,
            text=True,
        )
    told = f"portrait: {name}: the preview cannot be written here; change to a folder of your own\n"
    assert (done.returncode, done.stderr) == (1, told)


@as_root
def test_a_rollback_where_systemd_does_not_run_watches_nothing() -> None:
    done = in_fake_root(f"""
        for place in /usr/local/bin /run; do mount -t tmpfs none $place; done
        printf '#!/bin/sh\\n' >/usr/local/bin/systemctl
        mkdir -p $BASE/releases/{{old,new}}/{{systemd,venv/bin}} $BASE/record
        touch $BASE/releases/{{old,new}}/{{ready,venv/bin/mona-lisa}}
        chmod 755 /usr/local/bin/systemctl $BASE/releases/*/venv/bin/mona-lisa
        ln -s releases/new $BASE/current
        echo old >$BASE/record/previous
        PATH=/usr/local/bin:$PATH {DEPLOY}/rollback || exit $?
        readlink $BASE/current
    """)
    assert (done.returncode, done.stderr) == (0, "")
    assert "deploy/rollback again comes back to new\n" in done.stdout
    assert done.stdout.endswith("releases/old\n")
