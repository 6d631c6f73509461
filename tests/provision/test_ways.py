"""The other ways in: over SSH from a laptop, and from a freshly written card. `tests/provision/run`."""

import json
import os
import pty
import select
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.nspawn.container import CHECKOUT
from tests.provision.conftest import CACHE
from tests.provision.machine import CONFIG, OFFLINE, ONLINE, Disk, Machine
from tests.provision.test_provision import NewDisk, follows

pytestmark = pytest.mark.provision
SSH = "-p 2222 -i {key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o IdentitiesOnly=yes"


def told(card: Path) -> str:
    """What the machine wrote onto its card about its provisioning."""
    answer = card / "mona-lisa.txt"
    return answer.read_text() if answer.exists() else ""


@pytest.fixture
def laptop(tmp_path: Path) -> Callable[..., list[str]]:
    """The command that runs a deploy script here, with a key for pi@127.0.0.1."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)

    def command(script: str, *arguments: str) -> list[str]:
        return ["env", f"MONA_LISA_SSH={SSH.format(key=key)}", str(CHECKOUT / "deploy" / script), *arguments]

    return command


def lets_in(disk: Disk, machine: Machine, tmp_path: Path) -> None:
    """Start the machine's sshd, which takes the laptop's key."""
    machine.sh("install -d -o pi -g pi -m 700 /home/pi/.ssh; systemctl start ssh")
    disk.write("/home/pi/.ssh/authorized_keys", (tmp_path / "key.pub").read_text())


def on_a_terminal(command: list[str], password: str, seconds: float) -> tuple[int, str]:
    """Run a command on a terminal of its own, typing the password whenever it is asked for."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    heard, end = "", time.monotonic() + seconds
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            data = os.read(terminal, 4096)
        except OSError:  # the other side has ended
            break
        heard += data.decode("utf-8", "replace")
        if heard.endswith("password for pi: "):
            os.write(terminal, f"{password}\n".encode())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), heard


def test_provisioning_over_ssh_asks_for_the_password_once(
    new_disk: NewDisk, bundle: Path, laptop: Callable[..., list[str]], tmp_path: Path
) -> None:
    disk = new_disk()
    config = tmp_path / "screen.toml"
    config.write_text(CONFIG)
    with disk.booted(ONLINE) as machine:
        lets_in(disk, machine, tmp_path)
        command = laptop(
            *("provision", "pi@127.0.0.1", "--no-camera", "--yes"),
            *("--bundle", str(bundle), "--config", str(config)),
        )
        blind = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert (blind.returncode, blind.stderr.count("\n")) == (1, 1)
        assert "sudo asks for a password there; run this in a terminal" in blind.stderr

        code, heard = on_a_terminal(command, "raspberry", 600)
        assert code == 0, heard
        assert heard.count("password for pi: ") == 1
        assert "== done:" in heard
        follows(machine)
        assert "mona-lisa." not in machine.sh("ls /var/tmp").replace("mona-lisa.service", ""), (
            "what was sent along is gone"
        )

        picture = tmp_path / "Eileen C.png"
        shutil.copy(CHECKOUT / "frames/astronaut.png", picture)
        code, heard = on_a_terminal(
            laptop("portrait", "pi@127.0.0.1", str(picture), "--yes"), "raspberry", 300
        )
        assert code == 0, heard
        assert machine.sh("readlink /var/lib/mona-lisa/current") == "eileen-c"
        machine.until(lambda: any("Eileen C lit" in line for line in machine.said()), 30)
        assert (Path.cwd() / "eileen-c-preview.png").is_file()
        (Path.cwd() / "eileen-c-preview.png").unlink()


def test_a_picture_without_a_face_leaves_the_portrait(disk: Disk, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (600, 800), (90, 80, 70)).save(disk.root / "srv/wall.png")
    with disk.booted(OFFLINE) as machine:
        done = machine.run("cd /tmp; /opt/mona-lisa/current/deploy/portrait /srv/wall.png --yes")
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 2), done.stderr
        assert "wall.png" in done.stderr
        assert machine.sh("readlink /var/lib/mona-lisa/current") == "sconosciuta"


def test_a_freshly_written_card_provisions_itself(
    new_disk: NewDisk, bundle: Path, release: str, tmp_path: Path
) -> None:
    disk = new_disk()
    config = tmp_path / "screen.toml"
    config.write_text(CONFIG)
    card = disk.root / "boot/firmware"
    if release == "trixie":
        disk.write("/boot/firmware/meta-data", "instance-id: rpi-image\n")
    command = [CHECKOUT / "deploy/write-card", card, "--bundle", bundle, "--config", config, "--no-camera"]
    command += ["--portrait", CHECKOUT / "frames/astronaut.png", "--title", "Eileen Collins"]
    for _ in range(2):  # a second time adds nothing
        subprocess.run([str(word) for word in command], check=True, capture_output=True)
    first = (card / ("firstrun.sh" if release == "bookworm" else "user-data")).read_text()
    assert first.count("mona-lisa-first-boot") == 1
    with disk.booted(OFFLINE) as machine:
        # What firstrun.sh and cloud-init both end in.
        machine.sh("bash /boot/firmware/mona-lisa-first-boot --install")
        machine.until(lambda: "the portrait hangs" in told(card), 400)
        follows(machine)
        assert machine.run("systemctl cat mona-lisa-first-boot").returncode != 0
        machine.until(lambda: "portrait: Eileen Collins hangs (portrait.png, " in told(card), 400)
        assert "first boot: provisioned: the portrait hangs\n" in told(card), "that news stays"
        machine.until(lambda: any("Eileen Collins lit" in line for line in machine.said()), 100)
    with disk.booted(OFFLINE) as machine:
        follows(machine)


@pytest.mark.full
def test_ansible_provisions_updates_and_checks(
    new_disk: NewDisk, bundle: Path, laptop: Callable[..., list[str]], tmp_path: Path
) -> None:
    if shutil.which("ansible-playbook") is None:
        pytest.skip("no ansible-playbook")
    disk = new_disk()
    (tmp_path / "screen.toml").write_text(CONFIG)
    (tmp_path / "screens.bundle").symlink_to(bundle)
    settings = {
        "ansible_host": "127.0.0.1",
        "ansible_user": "pi",
        "ansible_become_password": "raspberry",
        "ansible_ssh_common_args": SSH.format(key=tmp_path / "key"),
        "framed_screen_bundle": "screens.bundle",
        "framed_screen_config": "screen.toml",
        "framed_screen_camera": False,
        "framed_screen_watch": 5,
    }
    (tmp_path / "inventory.yml").write_text(json.dumps({"screens": {"hosts": {"hall": settings}}}))

    def play(book: str) -> str:
        command = ["ansible-playbook", "-i", "inventory.yml", f"{CHECKOUT}/deploy/ansible/{book}.yml"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    with disk.booted(ONLINE) as machine:
        lets_in(disk, machine, tmp_path)
        play("provision")
        follows(machine)
        assert "changed=0" in play("provision")
        assert "changed=0" in play("update")
        assert "changed=0" in play("check")
        machine.sh("systemctl stop mona-lisa")
        with pytest.raises(AssertionError, match="not running"):
            play("check")


@pytest.mark.full
def test_package_sources_copied_as_the_guide_says_make_a_bundle(
    new_disk: NewDisk, laptop: Callable[..., list[str]], release: str, tmp_path: Path
) -> None:
    disk = new_disk()
    copied = tmp_path / "from-the-pi"
    copied.mkdir()
    with disk.booted(ONLINE) as machine:
        lets_in(disk, machine, tmp_path)
        options = SSH.format(key=tmp_path / "key").replace("-p ", "-P ").split()
        where = ["pi@127.0.0.1:/etc/apt", "pi@127.0.0.1:/usr/share/keyrings"]
        subprocess.run(["scp", "-q", *options, "-r", *where, copied], check=True)
    command: list[str | Path] = [
        CHECKOUT / "deploy/bundle",
        "--release",
        release,
        "--arch",
        "amd64",
        "--no-camera",
    ]
    command += ["--sources", copied, "--cache", CACHE / "downloads", "--out", tmp_path / "bundle"]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.full
def test_firstrun_provisions_in_the_kernels_own_way(new_disk: NewDisk, bundle: Path, release: str) -> None:
    if release != "bookworm":
        pytest.skip("Bookworm's way; Trixie has cloud-init")
    disk = new_disk()
    card = disk.root / "boot/firmware"
    disk.write("/boot/firmware/mona-lisa.toml", CONFIG)
    subprocess.run([CHECKOUT / "deploy/write-card", card, "--bundle", bundle, "--no-camera"], check=True)
    words = [word for word in (card / "cmdline.txt").read_text().split() if word.startswith("systemd.")]
    words[1] = "systemd.run_success_action=exit"  # a container cannot reboot into the next boot by itself
    disk.boot_once(*words)
    assert not (card / "firstrun.sh").exists()
    assert "systemd.run" not in (card / "cmdline.txt").read_text()
    with disk.booted(OFFLINE) as machine:
        machine.until(lambda: "the portrait hangs" in told(card), 400)
        follows(machine)


def add_cloud_init(disk: Disk) -> None:
    """Install cloud-init, set up as Raspberry Pi OS has it."""
    with disk.booted(ONLINE) as machine:
        machine.sh("apt-get -qy update && apt-get -qy install --no-install-recommends cloud-init", 300)
    disk.write(
        "/etc/cloud/cloud.cfg.d/99_raspberry-pi.cfg",
        "datasource_list: [NoCloud, None]\ndatasource:\n  NoCloud:\n    seedfrom: file:///boot/firmware\n"
        "ssh_deletekeys: false\nssh_genkeytypes: []\n",
    )


# meta-data and the kernel's word for cloud-init, as the image has them, and as Raspberry Pi Imager writes them.
SEEDS = [
    ("dsmode: local\ninstance_id: rpios-image\n", ""),
    ("instance-id: rpi-imager-1\n", " ds=nocloud;i=rpi-imager-1"),
]


@pytest.mark.full
@pytest.mark.parametrize(("meta_data", "word"), SEEDS, ids=["image", "imager"])
def test_a_card_that_booted_before_runs_its_first_boot_again(
    new_disk: NewDisk, release: str, tmp_path: Path, meta_data: str, word: str
) -> None:
    if release != "trixie":
        pytest.skip("Trixie's way; Bookworm has firstrun.sh")
    disk = new_disk()
    card = disk.root / "boot/firmware"
    add_cloud_init(disk)
    disk.write("/boot/firmware/meta-data", meta_data)
    disk.write("/boot/firmware/user-data", "#cloud-config\nruncmd:\n  - [touch, /root/imager]\n")
    (card / "cmdline.txt").write_text(f"console=tty1 root=PARTUUID=0-02 rootwait{word}\n")

    def boot() -> Machine:
        words = [w for w in (card / "cmdline.txt").read_text().split() if w.startswith("ds=")]
        return Machine(f"--directory={disk.root}", *OFFLINE, *words)

    for expected in ("imager", ""):  # once, and not again at the second boot
        with boot() as machine:
            machine.run("cloud-init status --wait", 120)
            assert machine.sh("ls /root") == expected
            machine.sh("rm -f /root/imager")
    (tmp_path / "for").write_text("trixie amd64")
    subprocess.run(["tar", "-cf", tmp_path / "bundle", "-C", tmp_path, "./for"], check=True)
    subprocess.run([CHECKOUT / "deploy/write-card", card, "--bundle", tmp_path / "bundle"], check=True)
    with boot() as machine:
        machine.until(lambda: "not provisioned: mona-lisa.bundle is damaged" in told(card), 120)
        assert machine.sh("ls /root") == "imager", "what Imager wrote runs again, too"


@pytest.mark.full
def test_cloud_init_provisions(new_disk: NewDisk, bundle: Path, release: str) -> None:
    if release != "trixie":
        pytest.skip("Trixie's way; Bookworm has firstrun.sh")
    disk = new_disk()
    card = disk.root / "boot/firmware"
    disk.write("/boot/firmware/mona-lisa.toml", CONFIG)
    add_cloud_init(disk)
    disk.write(
        "/boot/firmware/user-data", "#cloud-config\nhostname: screen\nruncmd:\n  - [touch, /root/imager]\n"
    )
    disk.write("/boot/firmware/meta-data", "instance-id: rpi-image\n")
    subprocess.run([CHECKOUT / "deploy/write-card", card, "--bundle", bundle, "--no-camera"], check=True)
    with disk.booted(OFFLINE) as machine:
        machine.until(lambda: "the portrait hangs" in told(card), 400)
        assert machine.sh("ls /root/imager")
        follows(machine)
