"""What of the deploy scripts needs no machine: boot options, the first boot's card, the card's config."""

import hashlib
import importlib.util
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from appliance.assets import photograph_path
from appliance.config import (
    CALIBRATION_FILE,
    CARD_FILE,
    GazeConfig,
    load_config,
    load_layers,
    merge,
    parse_layer,
    show_config,
)
from appliance.errors import CannotWrite, ConfigError
from appliance.pack import Pack, write_pack
from deploy import card_portrait
from tests.conftest import SERVICE, base_image, small_info, small_patches
from tests.portrait.odd import asleep

DEPLOY = Path(__file__).parent.parent / "deploy"


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DEPLOY / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


boot, first, card = _module("boot_options"), _module("first_boot"), _module("card_config")
moving = _module("move_calibration")

WORDS = st.lists(
    st.sampled_from(
        [
            "console=serial0,115200",
            "console=tty1",
            "root=PARTUUID=1-02",
            "quiet",
            "loglevel=7",
            "rw",
            "splash",
        ]
    ),
    unique=True,
)


@given(WORDS)
def test_boot_options_are_added_once_and_removed_whole(words: list[str]) -> None:
    before = " ".join(words) + "\n"
    after, undo = boot.quieten(before)
    assert not {"console=tty1", "splash"} & set(after.split())
    assert boot.quieten(after) == (after, {"added": [], "replaced": []})
    assert boot.unquieten(after, undo) == before


def test_a_desktops_splash_screen_does_not_hold_the_display() -> None:
    after, undo = boot.quieten("console=tty1 root=a quiet splash plymouth.ignore-serial-consoles\n")
    assert after.split()[:5] == [
        "console=tty3",
        "root=a",
        "quiet",
        "plymouth.enable=0",
        "plymouth.ignore-serial-consoles",
    ]
    assert boot.unquieten(after, undo) == "console=tty1 root=a quiet splash plymouth.ignore-serial-consoles\n"


@pytest.mark.parametrize("before", ["", "[all]\ncamera_auto_detect=1\n", "# no end of line"])
def test_the_block_in_config_txt_is_added_once_and_removed(before: str) -> None:
    after = boot.with_block(before)
    assert "disable_splash=1\n" in after
    assert boot.with_block(after) == after
    assert boot.without_block(after).rstrip("\n") == before.rstrip("\n")


def test_a_shutdown_button_stays_until_it_is_changed() -> None:
    line = "dtoverlay=gpio-shutdown,gpio_pin=3"
    theirs = f"{line}7\n"  # a line of somebody else's is no button of ours
    with_button = boot.with_block(theirs, "3")
    ours = with_button.removeprefix(theirs)
    assert ours.splitlines() == [
        "# mona-lisa begin",
        "[all]",
        *ours.splitlines()[2:4],
        line,
        "# mona-lisa end",
    ]
    assert boot.with_block(with_button) == with_button, "an update leaves it"
    assert f"{line.replace('=3', '=17')}\n" in boot.with_block(with_button, "17")
    assert line not in boot.with_block(with_button, "17").splitlines()
    assert boot.with_block(with_button, "none") == boot.with_block(theirs)
    assert boot.without_block(with_button) == theirs


CHECK_BUTTON = """
set -euo pipefail
dry="" script=provision
. "$1/deploy/lib/steps.sh"
. "$1/deploy/lib/system.sh"
host=$3
check_button "$2"
"""


@pytest.mark.parametrize("pin", ["1", "28", "GPIO3", "3 ", "-3"])
def test_a_shutdown_button_on_no_free_pin_is_refused(pin: str) -> None:
    command = ["bash", "-c", CHECK_BUTTON, "provision", str(DEPLOY.parent), pin, "pi@host"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"provision: --shutdown-button {pin}; expected a GPIO number from 2 to 27, or none"
    )


def test_taking_ours_out_restores_config_txt_byte_for_byte(tmp_path: Path) -> None:
    edited = "# für die Bühne\r\narm_64bit=1\r\n".encode("latin-1")
    (tmp_path / "config.txt").write_bytes(edited)
    (tmp_path / "cmdline.txt").write_text("console=tty1 rootwait\n")

    def call(word: str, *options: str) -> int:
        command: list[str | Path] = [
            sys.executable,
            DEPLOY / "boot_options.py",
            "--record",
            tmp_path / "record",
            word,
            tmp_path,
            *options,
        ]
        return subprocess.run(command).returncode

    assert [call(word) for word in ("--check", "--add", "--check")] == [1, 0, 0]
    assert (tmp_path / "config.txt").read_bytes() == edited + boot.BLOCK.encode()
    assert [call("--check", "--button", pin) for pin in ("none", "3")] == [0, 1]
    assert (call("--add", "--button", "3"), call("--check"), call("--check", "--button", "3")) == (0, 0, 0)
    assert b"\ndtoverlay=gpio-shutdown,gpio_pin=3\n" in (tmp_path / "config.txt").read_bytes()
    assert call("--remove") == 0
    assert (tmp_path / "config.txt").read_bytes() == edited


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "#cloud-config\nruncmd:\n{item}\n"),
        ("#cloud-config\nhostname: a\n", "#cloud-config\nhostname: a\nruncmd:\n{item}\n"),
        ("#cloud-config\nruncmd:\n  - ls\n", "#cloud-config\nruncmd:\n  {item}\n  - ls\n"),
        (
            "#cloud-config\nruncmd:\n- ls\nhostname: a\n",
            "#cloud-config\nruncmd:\n{item}\n- ls\nhostname: a\n",
        ),
    ],
)
def test_what_imager_wrote_into_user_data_stays(before: str, after: str) -> None:
    assert first.cloud_init(before) == after.format(item=first.ITEM)
    assert first.cloud_init(first.cloud_init(before)) == first.cloud_init(before)


@pytest.mark.parametrize(
    "before",
    [
        "#cloud-config\n",
        "#cloud-config\nhostname: a\n",
        "#cloud-config\nruncmd:\n  - ls\n",
        "#cloud-config\nruncmd:\n- ls\nhostname: a\n",
    ],
)
def test_uninstalling_takes_only_our_line_out_of_user_data(before: str) -> None:
    assert first.without(first.cloud_init(before)) == before
    assert first.without(before) == before


@pytest.mark.parametrize(
    "text", ["#!/bin/sh\nls\n", "#cloud-config\nruncmd: [ls]\n", "#cloud-config\nruncmd:\n"]
)
def test_user_data_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(first.Unclear, match=r"^user-data: "):
        first.cloud_init(text)


def test_imagers_firstrun_stays_and_ours_runs_before_its_end() -> None:
    imager = "#!/bin/bash\nset +e\nuseradd pi\nrm -f /boot/firmware/firstrun.sh\nexit 0\n"
    lines = first.firstrun(imager).splitlines()
    assert lines[3:5] == [first.COMMAND, "rm -f /boot/firmware/firstrun.sh"]
    assert [line for line in lines if line != first.COMMAND] == imager.splitlines()
    assert first.firstrun(first.firstrun(imager)) == first.firstrun(imager)
    imagers = "root=a systemd.run=/boot/firstrun.sh\n"
    assert first.kernel(imagers) == imagers


@pytest.mark.parametrize(
    "before",
    [
        "dsmode: local\ninstance_id: rpios-image\n",
        "instance-id: rpi-imager-1\ndsmode: local\n",
        '"instance-id": a',
    ],
)
def test_cloud_init_is_given_an_instance_id_that_it_has_not_seen(before: str) -> None:
    after = first.new_instance(before)
    assert after.splitlines()[-1] == f"instance-id: {first.INSTANCE}"
    assert after.count("instance-id") == 1
    assert [line for line in before.splitlines() if "instance-id" not in line] == after.splitlines()[:-1]


def test_imagers_instance_id_on_the_command_line_gives_way() -> None:
    after = first.named_instance("root=a ds=nocloud;i=rpi-imager-1;h=hall rootwait\n")
    assert after == f"root=a ds=nocloud;i={first.INSTANCE};h=hall rootwait\n"
    assert first.named_instance("root=a rootwait\n") == "root=a rootwait\n"


@pytest.fixture
def bootfs(tmp_path: Path) -> Path:
    """A freshly written Trixie card's boot partition; beside it the beginnings of a bundle for it."""
    folder = tmp_path / "bootfs"
    folder.mkdir()
    (folder / "cmdline.txt").write_text("console=tty1 root=PARTUUID=0-02 resize\n")
    (folder / "config.txt").write_text("[all]\n")
    (folder / "meta-data").write_text("instance-id: rpi-image\n")
    (folder / "user-data").write_text("#cloud-config\nhostname: a\n")
    with tarfile.open(tmp_path / "bundle", "w") as bundle:
        made_for = tarfile.TarInfo("./for")
        made_for.size = len(b"trixie arm64")
        bundle.addfile(made_for, io.BytesIO(b"trixie arm64"))
    (tmp_path / "wrong.toml").write_text("[gaze]\ngain = 99\n")
    return folder


def write_card(bootfs: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(DEPLOY / "write-card"), str(bootfs), "--bundle", "bundle", *options]
    return subprocess.run(command, cwd=bootfs.parent, capture_output=True, text=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "text", "options", "says"),
    [
        ("user-data", "#!/bin/sh\n", [], "user-data: expected #cloud-config in its first line"),
        (
            "cmdline.txt",
            "overlayroot=tmpfs:recurse=0 console=tty1",
            [],
            "the card's root is read-only; first deploy/readonly off",
        ),
        ("cmdline.txt", "console=tty1 cloud-init=disabled", [], "cloud-init is switched off"),
        ("config.txt", None, [], "no config.txt in it; expected a Raspberry Pi's boot partition"),
        (
            "meta-data",
            None,
            [],
            "a bookworm card (without cloud-init's meta-data), but the bundle is for trixie",
        ),
        ("../bundle", "no tar", [], "not a bundle made by deploy/bundle, or not all of one"),
        ("../bundle", None, [], "bundle: no such file"),
        ("user-data", "", ["--config", "wrong.toml"], "wrong.toml:2: gaze.gain = 99; expected a number"),
    ],
)
def test_a_card_is_written_whole_or_not_at_all(
    bootfs: Path, name: str, text: str | None, options: list[str], says: str
) -> None:
    if text is None:
        (bootfs / name).unlink()
    else:
        (bootfs / name).write_text(text)
    before = contents(bootfs)
    done = write_card(bootfs, *options)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert says in done.stderr
    assert contents(bootfs) == before


def test_a_card_written_again_keeps_nothing_of_before(bootfs: Path) -> None:
    assert write_card(bootfs).returncode == 0
    written = contents(bootfs)
    assert first.ITEM in written["user-data"].decode()
    assert write_card(bootfs, "--no-camera").returncode == 0
    assert contents(bootfs).keys() - written.keys() == {"mona-lisa-no-camera"}
    assert write_card(bootfs).returncode == 0
    assert {**contents(bootfs), "meta-data": written["meta-data"]} == written


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--portrait", "duchess.pdf"], "--portrait duchess.pdf; expected a picture: .jpg, .png"),
        (["--portrait", "duchess"], "--portrait duchess; expected a picture"),
        (["--portrait", ""], "--portrait needs a value"),
        (["--title", "The Duchess"], "--title and --artist go with --portrait"),
        (["--portrait", "duchess.JPG", "--title", "a\nb"], "expected a line of 1 to 300 characters"),
        (["--portrait", "duchess.JPG", "--title", " "], "expected a line of 1 to 300 characters"),
        (["--portrait", "duchess.JPG", "--artist", "x" * 301], "expected a line of 1 to 300 characters"),
        (["--portrait", "gone.jpg"], "gone.jpg: no such file"),
    ],
)
def test_a_portrait_that_cannot_go_onto_a_card_is_refused(
    bootfs: Path, options: list[str], says: str
) -> None:
    (bootfs.parent / "duchess.JPG").write_bytes(b"a picture")
    before = contents(bootfs)
    done = write_card(bootfs, *options)
    assert done.returncode in (1, 2)
    assert says in done.stderr and len(done.stderr.splitlines()) == 1
    assert contents(bootfs) == before


def test_a_portrait_goes_onto_a_card_with_title_and_artist(bootfs: Path) -> None:
    (bootfs.parent / "My Duchess.JPG").write_bytes(b"a picture")
    (bootfs / "Portrait.png").write_bytes(b"the one before")
    title, artist = 'Die "Herzogin" \\ \U0001f5bc', "Kübra \x20 Çelik"
    done = write_card(bootfs, "--portrait", "My Duchess.JPG", "--title", title, "--artist", artist)
    assert done.returncode == 0, done.stderr
    assert (bootfs / "portrait.jpg").read_bytes() == b"a picture"
    assert not (bootfs / "Portrait.png").exists(), "several would be refused"
    assert card_portrait.read_credits(bootfs / "portrait.toml") == (title, artist, None)
    assert write_card(bootfs, "--portrait", "My Duchess.JPG").returncode == 0
    assert card_portrait.read_credits(bootfs / "portrait.toml") == (title, artist, None), "the same picture"
    (bootfs.parent / "Der Herzog.jpg").write_bytes(b"another picture")
    assert write_card(bootfs, "--portrait", "Der Herzog.jpg").returncode == 0
    assert card_portrait.read_credits(bootfs / "portrait.toml") == ("Der Herzog", "unknown", None)


def test_a_card_that_booted_before_is_told_and_made_to_run_again(bootfs: Path) -> None:
    fresh = write_card(bootfs)
    assert "booted before" not in fresh.stdout
    words = (bootfs / "cmdline.txt").read_text().replace(" resize", " ds=nocloud;i=rpi-imager-1")
    (bootfs / "cmdline.txt").write_text(words)
    before = contents(bootfs)
    (bootfs / "mona-lisa.txt").write_text("provisioned: the portrait hangs\n")
    told = write_card(bootfs).stdout
    assert "== this card has booted before: cloud-init runs again at the next boot" in told
    after = contents(bootfs)
    assert after["meta-data"] != before["meta-data"]
    assert "mona-lisa.txt" not in after, "it says how the next boot went, and no other"
    ids = {after[name].decode().split("mona-lisa-")[1].split()[0] for name in ("meta-data", "cmdline.txt")}
    assert len(ids) == 1, "both name the same instance"


def test_a_card_with_another_first_boot_script_is_refused() -> None:
    with pytest.raises(
        first.Unclear, match=r"^cmdline\.txt: systemd\.run=/boot/other\.sh; expected firstrun"
    ):
        first.kernel("root=a systemd.run=/boot/other.sh\n")


def applied(folder: Path) -> str | None:
    told: str | None = card.apply(folder / "mona-lisa.toml", folder / CARD_FILE)
    return told


def test_the_cards_settings_go_over_the_config_which_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path))
    text = '[camera]\nsource = "gallery"\n[gaze]\ngain = 2\ncamera_right = 40\n'
    (tmp_path / "config.toml").write_text(text)
    assert applied(tmp_path) is None
    (tmp_path / "mona-lisa.toml").write_bytes(b"\xef\xbb\xbf[gaze]\r\ngain = 1.5\r\n")
    assert applied(tmp_path) == card.APPLIED.format(card=tmp_path / "mona-lisa.toml")
    config = load_config()
    assert (config.camera.source, config.gaze.gain, config.gaze.camera_right) == ("gallery", 1.5, 40)
    assert (tmp_path / "config.toml").read_text() == text
    assert applied(tmp_path) is None


def test_settings_taken_off_the_card_no_longer_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path))
    (tmp_path / "mona-lisa.toml").write_text("[gaze]\ngain = 1.5\n")
    applied(tmp_path)
    assert load_config().gaze.gain == 1.5
    (tmp_path / "mona-lisa.toml").unlink()
    assert applied(tmp_path) == card.GONE.format(card=tmp_path / "mona-lisa.toml")
    assert load_config().gaze.gain == 1.0
    assert applied(tmp_path) is None


def test_a_card_applied_by_an_earlier_version_waits_for_a_change(tmp_path: Path) -> None:
    """Earlier versions wrote the card's values into config.toml, where they may have been changed since."""
    text = b"[display]\nrotation = 90\n"
    (tmp_path / "mona-lisa.toml").write_bytes(text)
    (tmp_path / ".card-sha256").write_text(hashlib.sha256(text).hexdigest() + "\n")
    assert applied(tmp_path) is None
    assert not (tmp_path / CARD_FILE).exists()
    (tmp_path / "mona-lisa.toml").write_bytes(text + b"# changed\n")
    assert applied(tmp_path) == card.APPLIED.format(card=tmp_path / "mona-lisa.toml")
    (tmp_path / "mona-lisa.toml").write_bytes(text)
    assert applied(tmp_path) == card.APPLIED.format(card=tmp_path / "mona-lisa.toml")
    assert load_config(tmp_path / CARD_FILE).display.rotation == 90


CALIBRATED = (
    "# mine\n[gaze]\n# how far\ncamera_right = 12.5\ngain = 1.5\ncamera_up = -350.5 # measured\n"
    "mirrored = true\nlimit_left = -31.0\n\n[camera]\nrate = 20.0\n"
)


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine's folder of settings, with a config.toml that an earlier `calibrate` wrote into."""
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path))
    (tmp_path / "config.toml").write_text(CALIBRATED)
    return tmp_path


def moved(folder: Path) -> str | None:
    told: str | None = moving.move(folder)
    return told


def test_moving_the_calibration_changes_nothing_in_force(etc: Path) -> None:
    before = load_config()
    own, layer, kept = (etc / name for name in ("config.toml", CALIBRATION_FILE, moving.KEPT))
    assert moved(etc) == moving.MOVED.format(config=own, layer=layer, kept=kept)
    assert load_config() == before
    assert load_layers().overridden() == []
    assert load_layers().origin(("gaze", "camera_up")).startswith(f"{layer}:")
    assert kept.read_text() == CALIBRATED
    gaze = load_config(own).gaze
    assert gaze == GazeConfig(gain=1.5)
    for line in CALIBRATED.splitlines():
        assert line in own.read_text()
    assert moved(etc) is None


@pytest.mark.parametrize(
    "text", ["", "[gaze]\ngain = 2\n", (DEPLOY.parent / "appliance/config.toml").read_text()]
)
def test_a_config_that_was_never_calibrated_stays_as_it_is(etc: Path, text: str) -> None:
    (etc / "config.toml").write_text(text)
    assert moved(etc) is None
    assert [path.name for path in etc.iterdir()] == ["config.toml"]
    (etc / "config.toml").unlink()
    assert moved(etc) is None


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_power_cut_while_a_calibration_is_moved_loses_nothing(
    etc: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    before, left = load_config(), [writes]

    def cut(*arguments: object, **more: object) -> None:
        if not left[0]:
            raise OSError("cut")
        left[0] -= 1
        replaced(*arguments, **more)  # type: ignore[arg-type]

    replaced = os.replace
    with monkeypatch.context() as power, pytest.raises(CannotWrite):
        power.setattr(os, "replace", cut)
        moved(etc)
    assert load_config() == before
    assert moved(etc)
    assert load_config() == before
    assert load_config(etc / "config.toml").gaze == GazeConfig(gain=1.5)


def test_a_newer_calibration_is_not_replaced_by_an_older_one(etc: Path) -> None:
    (etc / CALIBRATION_FILE).write_text("[gaze]\ncamera_right = 99\n")
    assert moved(etc)
    assert load_config().gaze == GazeConfig(gain=1.5, camera_right=99.0)


def test_a_calibration_within_one_line_counts_and_its_line_stays(etc: Path) -> None:
    text = "gaze = {camera_up = -350.5, gain = 1.5}\n"
    (etc / "config.toml").write_text(text)
    assert moved(etc) == moving.COPIED.format(config=etc / "config.toml", layer=etc / CALIBRATION_FILE)
    assert (etc / "config.toml").read_text() == text
    assert load_config().gaze == GazeConfig(gain=1.5, camera_up=-350.5)


def test_a_wrong_config_is_told_and_its_calibration_moved_later(etc: Path) -> None:
    (etc / "config.toml").write_text(CALIBRATED + "widht = 3\n")
    command = [sys.executable, str(DEPLOY / "move_calibration.py")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=DEPLOY.parent)
    assert done.returncode == 1 and "camera.widht" in done.stderr and len(done.stderr.splitlines()) == 1
    assert [path.name for path in etc.iterdir()] == ["config.toml"]
    (etc / "config.toml").write_text(CALIBRATED)
    assert subprocess.run(command, cwd=DEPLOY.parent).returncode == 0
    assert load_config(etc / "config.toml").gaze == GazeConfig(gain=1.5)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"[gaze]\ngain = 99\n", r"mona-lisa\.toml:2: gaze\.gain = 99; expected a number, 0\.1 to 5$"),
        (b"[gaze\n", r"mona-lisa\.toml: not TOML: "),
        (b"\xff\xfe[\x00", r"mona-lisa\.toml: not UTF-8 text \(byte 0\); save it as UTF-8$"),
    ],
)
def test_a_wrong_config_on_the_card_is_refused_at_every_boot(
    tmp_path: Path, data: bytes, expected: str
) -> None:
    (tmp_path / CARD_FILE).write_text("[gaze]\ngain = 2\n")
    (tmp_path / "mona-lisa.toml").write_bytes(data)
    for _ in range(2):
        with pytest.raises(ConfigError, match=expected):
            applied(tmp_path)
    assert (tmp_path / CARD_FILE).read_text() == "[gaze]\ngain = 2\n"


def test_a_pipe_or_endless_config_on_the_card_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mona-lisa.toml"
    os.mkfifo(path)
    with pytest.raises(ConfigError, match=r"mona-lisa\.toml: cannot be read \(no regular file\)$"):
        applied(tmp_path)
    path.unlink()
    path.write_bytes(b"#" * 70_000)
    with pytest.raises(ConfigError, match=r"cannot be read \(70,000 bytes, expected at most 65,536\)$"):
        applied(tmp_path)


def test_a_damaged_note_of_the_last_config_does_not_end_the_boot(tmp_path: Path) -> None:
    (tmp_path / "mona-lisa.toml").write_text("[gaze]\ngain = 1.5\n")
    (tmp_path / ".card-sha256").write_bytes(b"\xff\x00")
    assert applied(tmp_path) == card.APPLIED.format(card=tmp_path / "mona-lisa.toml")


def test_files_placed_under_a_strict_umask_can_be_read(tmp_path: Path) -> None:
    steps = f"umask 077; . {DEPLOY}/lib/steps.sh; run mkdir -p {tmp_path}/release; run touch {tmp_path}/file"
    subprocess.run(["bash", "-euc", steps, "provision"], check=True)
    assert (tmp_path / "release").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


# What `config show` prints of a small screen, each value with the place it comes from.
SMALL = shlex.quote(
    show_config(merge([parse_layer("[display]\nwidth = 240\nheight = 320\n", "/etc/mona-lisa/config.toml")]))
)
SSH = """#!/bin/bash
case "${!#}" in
    *"config show") printf '%s' SMALL ;;
    "tar "*) cat >/dev/null ;;
    "mktemp "*) mktemp -d /tmp/mona-lisa.XXXXXX ;;
    "rm -rf "*) bash -c "${!#}" ;;
esac
""".replace("SMALL", SMALL)


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def with_programs(folder: Path) -> dict[str, str]:
    """The environment in which the programs in a folder are found first."""
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}


def previewed(folder: Path, picture: Path) -> bytes:
    """What deploy/portrait tells of a picture, run in a folder, with a screen that answers to everything."""
    program(folder / "ssh", SSH)
    picture.write_bytes(photograph_path("astronaut.png").read_bytes())
    return subprocess.run(
        [DEPLOY / "portrait", "pi@screen", picture, "--dry-run"],
        env=with_programs(folder),
        cwd=folder,
        capture_output=True,
        check=True,
    ).stdout


@pytest.mark.slow
def test_a_curators_picture_gets_a_name_it_can_be_hung_under(tmp_path: Path) -> None:
    told = previewed(tmp_path, tmp_path / os.fsdecode("Gräfin O.png".encode("latin-1")))
    assert told.endswith(b"== dry run: would hang gr-fin-o\n")
    assert (tmp_path / "gr-fin-o-preview.png").exists()


def test_a_picture_of_two_people_leaves_their_numbers_here(tmp_path: Path) -> None:
    with Image.open(photograph_path("astronaut.png")) as image:
        asleep(image.convert("RGB")).save(tmp_path / "couple.png")
    program(tmp_path / "ssh", SSH)
    done = subprocess.run(
        [DEPLOY / "portrait", "pi@screen", "couple.png", "--dry-run"],
        env=with_programs(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "2 faces found (1 upper left, 2 upper right)" in done.stderr
    assert f"the numbers are in {tmp_path}/couple-faces.png; run this again with --face N" in done.stdout
    assert (tmp_path / "couple-faces.png").exists()


# A screen on which `portrait render` ends with 1: of a picture better not hung, or of none that can be drawn.
REFUSING = """#!/bin/bash
case "${!#}" in
    *"config show") printf '%s' SMALL ;;
    "mktemp "*) mktemp -d /tmp/mona-lisa.XXXXXX ;;
    "mkdir "* | "cat >"* | "rm -rf "* | "cat "*) bash -c "${!#}" ;;
    *"portrait render"*" --size 240x320"*)
        out=$(sed -E 's/.* --out ([^ ]+) .*/\\1/' <<<"${!#}")
        [ -f no-face ] || { mkdir "$out"; touch "$out/pack.toml"; echo sheet >"$out-sheet.png"; }
        echo "verdict: use another picture"
        exit 1 ;;
    "test -f "*) bash -c "${!#}" ;;
    *hang.sh*) touch hung ;;
esac
""".replace("SMALL", SMALL)


@pytest.mark.parametrize("option", [[], ["--anyway"]])
def test_a_refused_picture_is_previewed_and_hung_with_anyway(tmp_path: Path, option: list[str]) -> None:
    program(tmp_path / "ssh", REFUSING)
    (tmp_path / "duchess.png").write_bytes(b"a picture")
    done = subprocess.run(
        [DEPLOY / "portrait", "pi@screen", "duchess.png", "--on-pi", "--yes", *option],
        env=with_programs(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "verdict: use another picture" in done.stdout
    assert (tmp_path / "duchess-preview.png").read_text() == "sheet\n"
    assert (tmp_path / "hung").exists() == bool(option)
    assert done.returncode == (0 if option else 1)
    assert (done.stderr == "") == bool(option)
    if not option:
        assert done.stderr == (
            "portrait: not hung, the present portrait stays; --anyway hangs it all the same\n"
        )


def test_a_picture_that_cannot_be_drawn_is_not_previewed(tmp_path: Path) -> None:
    program(tmp_path / "ssh", REFUSING)
    (tmp_path / "duchess.png").write_bytes(b"a picture")
    (tmp_path / "no-face").touch()
    done = subprocess.run(
        [DEPLOY / "portrait", "pi@screen", "duchess.png", "--on-pi", "--yes", "--anyway"],
        env=with_programs(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert not (tmp_path / "duchess-preview.png").exists() and not (tmp_path / "hung").exists()


def test_a_refusal_on_the_pi_names_the_curators_file(tmp_path: Path) -> None:
    heard = """        eval "words=(${!#%% --out*})" # as the screen's shell reads them
        echo "mona-lisa: ${words[-1]}: 2 faces; the numbers are in $out-faces.png" >&2
        printf "%s\\n" "${!#}" >command
        exit 1 ;;"""
    program(tmp_path / "ssh", REFUSING.replace("        exit 1 ;;", heard, 1))
    (tmp_path / "My Duchess.png").write_bytes(b"a picture")
    (tmp_path / "no-face").touch()
    done = subprocess.run(
        [DEPLOY / "portrait", "pi@screen", tmp_path / "My Duchess.png", "--on-pi", "--artist", "A. K."],
        env=with_programs(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    refusal = f"mona-lisa: {tmp_path}/My Duchess.png: 2 faces; the numbers are in my-duchess-faces.png\n"
    assert done.stderr == refusal
    assert "--artist=A.\\ K." in (tmp_path / "command").read_text()


@pytest.mark.slow
def test_a_preview_does_not_overwrite_a_linked_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "duchess-preview.png").symlink_to("secret")
    previewed(tmp_path, tmp_path / "duchess.png")
    assert (tmp_path / "secret").read_text() == "secret"
    assert not (tmp_path / "duchess-preview.png").is_symlink()


@pytest.mark.parametrize("how", ["say", "step", "fail", "misuse", "log"])
def test_no_script_lets_a_file_name_forge_a_line(tmp_path: Path, how: str) -> None:
    program(tmp_path / "logger", '#!/bin/bash\nprintf "%s\\n" "${!#}"')
    name = "a\x1b[2J\r\x07\nprovision: all is well\x9b1m\x7f\u061c\u200f\u202e\u2028\u2066b Gräfin 王"
    for text in (name, name + "x" * 70_000):
        done = subprocess.run(
            ["bash", "-c", f'. {DEPLOY}/lib/tell.sh; {how} "$1"', "provision", text],
            env=with_programs(tmp_path),
            capture_output=True,
            text=True,
        )
        lines = (done.stdout + done.stderr).splitlines()
        assert all(line.isprintable() and len(line) < 1200 for line in lines), lines
        assert any("all is well" in line and "b Gräfin 王" in line for line in lines)
        assert not any(line.startswith("provision: all") for line in lines)


def test_no_script_uses_a_name_that_another_user_can_take_first() -> None:
    """In a folder that everybody writes, only a name that mktemp chooses; and no lock that everybody holds."""
    fixed = re.compile(r"(?<![\w./-])(?:/var)?/tmp/(?![\w.-]*XXXXXX)[\w.-]+|/run/lock/|/dev/shm/")
    aside = {"guide", "__pycache__"}
    scripts = [path for path in DEPLOY.rglob("*") if path.is_file() and not aside & set(path.parts)]
    assert len(scripts) > 20
    assert not [
        (path.name, found[0]) for path in scripts for found in fixed.finditer(path.read_text("utf-8"))
    ]


# A user's program that always comes first: whatever root has just made in the library leads elsewhere.
PLANTING = """#!/bin/bash
as=()
if [ "$(id -u)" = 0 ]; then as=(setpriv --reuid {user} --regid {user} --clear-groups); fi
if [[ " $* " != *" -c "* ]]; then
    for made in {library}/.duchess.????????; do
        "${as[@]}" mv -T "$made" "$made-mine" && "${as[@]}" ln -sT {secrets} "$made"
    done
fi
exec /bin/{name} "$@"
"""


def hang(folder: Path, library: Path, programs: Path) -> "subprocess.CompletedProcess[str]":
    """Hang the portrait `duchess` of a folder in a library, as root does; the service's user is `SERVICE`."""
    script = programs / "hang.sh"
    script.write_text((DEPLOY / "lib" / "hang.sh").read_text().replace("/var/lib/mona-lisa", str(library)))
    user = f"setpriv --reuid {SERVICE} --regid {SERVICE} --clear-groups"
    program(programs / "runuser", f'#!/bin/bash\nshift 3\nexec {user} "$@"')
    (programs / "venv/bin").mkdir(parents=True, exist_ok=True)
    program(programs / "venv/bin/mona-lisa", '#!/bin/bash\nid -u >"$STATE_DIRECTORY/hung-by"\n')
    command: list[str | Path] = ["bash", script, "duchess", folder, programs]
    return subprocess.run(command, env=with_programs(programs), capture_output=True, text=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another")
@pytest.mark.parametrize("before", [False, True])
def test_a_portrait_is_hung_with_the_services_rights(
    tmp_path: Path, service_folder: Path, secrets: Path, before: bool
) -> None:
    write_pack(tmp_path / "duchess", small_info(), base_image(), small_patches())
    secrets.chmod(0o755)
    for _ in range(1 + before):
        done = hang(tmp_path, service_folder, secrets)
        assert done.returncode == 0, done
    assert (service_folder / "hung-by").read_text() == f"{SERVICE}\n"
    assert {path.name for path in service_folder.iterdir()} == {"duchess", "hung-by"}
    assert {path.stat().st_uid for path in service_folder.rglob("*")} == {SERVICE}
    assert Pack(service_folder / "duchess").info == small_info()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another")
def test_hanging_gives_away_no_file_that_a_planted_link_names(
    tmp_path: Path, service_folder: Path, secrets: Path
) -> None:
    write_pack(tmp_path / "duchess", small_info(), base_image(), small_patches())
    with tempfile.TemporaryDirectory() as name:
        programs = Path(name)
        programs.chmod(0o755)
        for planting in ("cp", "tar"):
            places = {"library": service_folder, "user": SERVICE, "secrets": secrets, "name": planting}
            text = PLANTING
            for key, value in places.items():
                text = text.replace(f"{{{key}}}", str(value))
            program(programs / planting, text)
        hang(tmp_path, service_folder, programs)
    assert [path.name for path in secrets.iterdir()] == ["key"]
    assert secrets.stat().st_uid == (secrets / "key").stat().st_uid == 0
    assert (secrets / "key").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another")
def test_roots_files_in_the_library_become_the_services(
    tmp_path: Path, service_folder: Path, secrets: Path
) -> None:
    write_pack(tmp_path / "duchess", small_info(), base_image(), small_patches())
    subprocess.run(["cp", "-r", tmp_path / "duchess", service_folder], check=True)
    (service_folder / "link").symlink_to(secrets)
    (service_folder / "name").hardlink_to(secrets / "key")
    steps = (DEPLOY / "lib" / "switch.sh").read_text().replace("mona-lisa:mona-lisa", f"{SERVICE}:{SERVICE}")
    (tmp_path / "switch.sh").write_text(steps)
    given = f'. {tmp_path}/switch.sh; run() {{ "$@"; }}; LIBRARY={service_folder}; own_library'
    subprocess.run(["bash", "-euc", given], check=True)
    assert {path.stat().st_uid for path in (service_folder / "duchess").rglob("*")} == {SERVICE}
    assert (service_folder / "duchess").stat().st_uid == SERVICE
    assert secrets.stat().st_uid == (secrets / "key").stat().st_uid == 0


# As a venv is made: its commands name the place of its Python, which itself is a link.
VENV = """#!/bin/bash
[ "$1 $2" = "-m venv" ] || exit 0
mkdir -p "$3/bin"
ln -sf /bin/true "$3/bin/python"
for name in pip mona-lisa; do
    printf '#!%s/%s/bin/python\\n' "$PWD" "$3" >"$3/bin/$name"
    chmod 755 "$3/bin/$name"
done
"""


def test_a_checkout_that_was_moved_is_set_up_anew(tmp_path: Path) -> None:
    (tmp_path / "python3").write_text(VENV)
    (tmp_path / "python3").chmod(0o755)
    checkout, moved = tmp_path / "checkout", tmp_path / "moved"
    for name in (
        "pyproject.toml",
        "frames/sconosciuta.png",
        "appliance/portrait/eye_layers.py",
        "appliance/pack.py",
    ):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).touch()
    (checkout / "deploy").mkdir()
    shutil.copy(DEPLOY / "setup", checkout / "deploy/setup")
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def set_up(folder: Path) -> bytes:
        return subprocess.run([folder / "deploy/setup"], env=path, check=True, capture_output=True).stdout

    assert b"making .venv" in set_up(checkout)
    assert b"installing" not in set_up(checkout)
    checkout.rename(moved)
    assert b"making .venv" in set_up(moved)
    subprocess.run([moved / ".venv/bin/mona-lisa"], check=True)


@pytest.mark.parametrize(
    ("before", "now", "well"),
    [("yes", "start", True), ("yes", "auto-restart", False), ("no", "start", False)],
)
def test_a_monitor_off_before_an_update_is_no_fault_of_it(before: str, now: str, well: bool) -> None:
    script = f"""
        . {DEPLOY}/lib/steps.sh; . {DEPLOY}/lib/switch.sh
        systemctl() {{ case "$*" in *NRestarts*) echo 0 ;; *SubState*) echo {now} ;; *) return 3 ;; esac; }}
        sleep() {{ :; }}
        was_well=no was_waiting={before}
        if healthy 0; then echo well; fi
    """
    told = subprocess.run(["bash", "-euc", script, "update"], check=True, capture_output=True).stdout
    assert told.endswith(b"well\n") == well


def first_boot_card(folder: Path, provision: str) -> Path:
    """Make a card whose bundle has only a script `provision`; return the card's folder."""
    card, project = folder / "card", folder / "project"
    card.mkdir()
    (project / "deploy").mkdir(parents=True)
    program(project / "deploy/provision", provision)
    subprocess.run(["tar", "-C", folder, "-cf", card / "mona-lisa.bundle", "./project"], check=True)
    shutil.copy(DEPLOY / "first-boot", card / "mona-lisa-first-boot")
    return card


@pytest.mark.parametrize("knows", ["--yes) ;; --bundle) shift ;;", "--bundle) shift ;;"], ids=["new", "old"])
def test_the_first_boot_provisions_from_old_and_new_bundles(tmp_path: Path, knows: str) -> None:
    words = f'while [ $# -gt 0 ]; do case "$1" in {knows} *) exit 2 ;; esac; shift; done'
    card = first_boot_card(tmp_path, f"#!/bin/bash\n{words}\n")
    subprocess.run(["bash", card / "mona-lisa-first-boot"], check=True, capture_output=True)
    assert "first boot: provisioned: the portrait hangs" in (card / "mona-lisa.txt").read_text()


def test_the_card_says_the_cause_that_provisioning_gave(tmp_path: Path) -> None:
    said = "echo '== step'; echo '   detail'; echo 'provision: no space left' >&2; exit 1"
    card = first_boot_card(tmp_path, f"#!/bin/bash\n{said}\n")
    done = subprocess.run(["bash", card / "mona-lisa-first-boot"], capture_output=True, check=False)
    assert done.returncode == 1
    told = "first boot: not provisioned: provision: no space left; it is tried again at the next boot\n"
    assert (card / "mona-lisa.txt").read_text() == told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_full_card_does_not_keep_the_first_boot_from_it(tmp_path: Path) -> None:
    card = first_boot_card(tmp_path, f"#!/bin/bash\ntouch {tmp_path}/provisioned\n")
    script = f"""
        mount -t tmpfs -o size=64k none /mnt; cp {card}/* /mnt; dd if=/dev/zero of=/mnt/full 2>/dev/null || true
        bash /mnt/mona-lisa-first-boot
    """
    subprocess.run(["unshare", "-m", "bash", "-euc", script], check=True, capture_output=True)
    assert (tmp_path / "provisioned").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_failed_first_boot_is_not_retried_once_provisioned() -> None:
    script = f"""
        units=/etc/systemd/system unit=mona-lisa-first-boot.service
        mkdir -p $units; mount -t tmpfs none $units; mkdir $units/multi-user.target.wants
        touch $units/$unit; ln -s $units/$unit $units/multi-user.target.wants/
        . {DEPLOY}/lib/steps.sh; . {DEPLOY}/lib/release.sh; . {DEPLOY}/lib/system.sh
        no_first_boot
        find $units -name $unit
    """
    command = ["unshare", "-m", "bash", "-euc", script, "provision"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "removing" in told and told.splitlines()[-1].startswith("   removing")
    assert "\nno_first_boot\n" in (DEPLOY / "provision").read_text()


def in_fake_root(script: str, stdin: int = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
    """Run a script with the deploy libraries, on an /etc of its own, with empty /etc/systemd/system and /opt."""
    libraries = ("steps", "release", "packages", "system", "switch", "data", "console")
    prelude = """
        mount -t tmpfs none /media; mkdir /media/upper /media/work
        mount -t overlay none -o lowerdir=/etc,upperdir=/media/upper,workdir=/media/work /etc
        mount -t tmpfs none /etc/systemd; mkdir /etc/systemd/system
        mount -t tmpfs none /opt
    """
    sources = "".join(f". {DEPLOY}/lib/{name}.sh\n" for name in libraries)
    command = ["unshare", "-m", "bash", "-euc", prelude + sources + script, "provision"]
    return subprocess.run(command, stdin=stdin, capture_output=True, text=True)


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
UNITS = "/etc/systemd/system"
DESKTOP = f"ln -s /usr/lib/systemd/system/lightdm.service {UNITS}/display-manager.service\n"


@as_root
def test_a_desktop_that_holds_the_display_is_refused() -> None:
    assert (
        in_fake_root(
            f"{DESKTOP} ln -s x/multi-user.target {UNITS}/default.target; check_desktop no"
        ).returncode
        == 0
    )
    assert in_fake_root("check_desktop no").returncode == 0, "no desktop"
    done = in_fake_root(f"{DESKTOP} ln -s x/graphical.target {UNITS}/default.target; check_desktop no")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "a desktop (lightdm) starts here and holds the display; write the card" in done.stderr


@as_root
@pytest.mark.parametrize("target", ["/lib/systemd/system/graphical.target", ""])
def test_console_replaces_a_desktop_until_the_uninstall(target: str) -> None:
    link = f"ln -s {target} {UNITS}/default.target\n" if target else ""
    show = f"systemctl get-default; readlink {UNITS}/default.target || echo none\n"
    script = f"{DESKTOP}{link} check_desktop yes; to_console; to_console\n{show} leave_console\n{show}"
    done = in_fake_root(script)
    lines = [line for line in done.stdout.splitlines() if not line.startswith(("==", "   "))]
    assert lines[0] == "multi-user.target", done.stderr
    assert lines[2:] == ["graphical.target", target or "none"]


@as_root
def test_sysrq_is_off_until_the_uninstall() -> None:
    sysrq = "/proc/sys/kernel/sysrq"
    done = in_fake_root(f"""
        mount -t tmpfs none /proc/sys/kernel; echo 1 >{sysrq}
        cp {DEPLOY}/../systemd/sysctl.d/99-mona-lisa.conf /etc/sysctl.d/
        read_sysrq; read_sysrq; cat {sysrq}
        sysrq_as_before "$(noted sysrq)"; cat {sysrq}
    """)
    assert done.stdout == "0\n1\n", done.stderr


SWAP = "mkdir /etc/rpi; printf '[Main]\n%s\n' '{0}' >/etc/rpi/swap.conf\n"
SWAPS = "cat /etc/rpi/swap.conf.d/*.conf 2>/dev/null | grep ^Mechanism || echo untouched\n"


@as_root
@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("#Mechanism=auto", "Mechanism=zram"),
        ("Mechanism=zram+file", "Mechanism=zram"),
        ("Mechanism=swapfile", "Mechanism=zram"),
        ("Mechanism = zram", "untouched"),
        ("Mechanism=none", "untouched"),
    ],
)
def test_a_read_only_root_swaps_to_memory_only_until_it_is_off(chosen: str, expected: str) -> None:
    script = f"{SWAP.format(chosen)} swap_in_memory; swap_in_memory; {SWAPS}"
    done = in_fake_root(f"{script} root_is_overlay() {{ false; }}; swap_as_before; {SWAPS}")
    lines = [line for line in done.stdout.splitlines() if not line.startswith("   ")]
    assert lines == [expected, "untouched"], done.stderr
    assert "writing /etc/rpi/swap.conf.d/99-mona-lisa.conf" in done.stdout or expected == "untouched"


@as_root
@pytest.mark.parametrize(("behind", "told"), [("/dev/loop0", "file"), ("none", "memory")])
def test_swap_with_a_file_behind_it_is_noticed(behind: str, told: str) -> None:
    disk = f"mount -t tmpfs none /sys/block; mkdir /sys/block/zram0; echo {behind} >/sys/block/zram0/backing_dev\n"
    done = in_fake_root(f"{disk} if swap_has_file; then echo file; else echo memory; fi")
    assert done.stdout == f"{told}\n", done.stderr


RELEASES = f"""
    mkdir -p $BASE/releases/old $BASE/releases/new/{{deploy,venv/bin}} /etc/mona-lisa
    rm -f /etc/mona-lisa/*
    cp {DEPLOY}/move_calibration.py $BASE/releases/new/deploy/
    printf '#!/bin/sh\\nPYTHONPATH={DEPLOY.parent} exec {sys.executable} "$@"\\n' >$BASE/releases/new/venv/bin/python
    chmod 755 $BASE/releases/new/venv/bin/python
    ln -s releases/new $BASE/current
    printf '[gaze]\\ncamera_up = -350.0\\n' >$CONFIG
    show() {{ for each in /etc/mona-lisa/*; do echo "$(basename $each): $(grep camera_up $each)"; done; }}
"""


@as_root
def test_an_update_moves_the_calibration_once() -> None:
    script = f"""
        {RELEASES}
        move_calibration; show
        printf 'camera_up = -20\\n' >>$CONFIG; rm /etc/mona-lisa/calibration.toml
        move_calibration; echo again; show
    """
    done = in_fake_root(script)
    assert done.returncode == 0, done.stderr
    first, again = done.stdout.split("again\n")
    moved_line = "config.toml: # now in calibration.toml: camera_up = -350.0"
    kept_line = "config.toml.with-calibration: camera_up = -350.0"
    assert first.splitlines()[-3:] == ["calibration.toml: camera_up = -350.0", moved_line, kept_line]
    assert again.splitlines() == [moved_line, "camera_up = -20", kept_line]


@as_root
def test_a_version_that_reads_one_file_gets_its_config_back() -> None:
    script = f"""
        {RELEASES}
        move_calibration; give_back_config new; show; echo back
        give_back_config old; show; noted calibration
    """
    done = in_fake_root(script)
    assert done.returncode == 0, done.stderr
    first, back = done.stdout.split("back\n", 1)
    assert "calibration.toml: camera_up = -350.0" in first.splitlines()
    assert back.splitlines()[-3:] == [
        "calibration.toml.old: camera_up = -350.0",
        "config.toml: camera_up = -350.0",
        "config.toml.old: # now in calibration.toml: camera_up = -350.0",
    ]
