"""The card image: what deploy/image puts into a small Raspberry Pi OS, and what it refuses."""

import hashlib
import io
import json
import lzma
import os
import re
import shutil
import struct
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

DEPLOY = Path(__file__).parent.parent / "deploy"
os.environ["PATH"] += ":/usr/sbin:/sbin"
TOOLS = {"mcopy": "mtools", "debugfs": "e2fsprogs", "mke2fs": "e2fsprogs", "xz": "xz-utils"}
LACKING = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)})
pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"not installed: {' '.join(LACKING)}")

# In sectors of 512 bytes: the partitions of a card that is much smaller than a real one.
BOOT, BOOT_SIZE, ROOT, ROOT_SIZE = 2048, 32768, 34816, 8192
# When the image was made: 1 October 2025, in Unix time.
MADE = 1759276800
UNIT = "/etc/systemd/system/mona-lisa-first-boot.service"
WANT = "/etc/systemd/system/multi-user.target.wants/mona-lisa-first-boot.service"
# What Raspberry Pi OS has on its boot partition.
TRIXIE = {
    "cmdline.txt": "console=tty1 root=PARTUUID=0-02 resize\n",
    "config.txt": "[all]\n",
    "meta-data": "instance_id: rpios-image\n",
    "user-data": "#cloud-config\n",
}
LIBRARIES = "usr/lib/aarch64-linux-gnu"


@dataclass
class Card:
    """An image of a card, looked into by mtools and debugfs."""

    path: Path

    def files(self) -> dict[str, bytes]:
        listing = self._boot("mdir", "-b", "::").decode().split()
        return {name.removeprefix("::/"): self._boot("mtype", name) for name in listing}

    def dates(self) -> dict[str, str]:
        """Return the day and minute that every file on the boot partition bears, by its long or only name."""
        rows = re.findall(r"(\d{4}-\d\d-\d\d +\d+:\d\d) +(\S*)", self._boot("mdir", "::").decode())
        return {name: when for when, name in rows if name}

    def add(self, name: str, text: str) -> None:
        """Write a file over the boot partition, as Imager does."""
        self._boot("mcopy", "-o", "-", f"::{name}", text=text)

    def root(self, request: str) -> str:
        return self._run(["debugfs", "-R", request, f"{self.path}?offset={ROOT * 512}"]).decode()

    def is_whole(self) -> bool:
        command = ["e2fsck", "-fn", f"{self.path}?offset={ROOT * 512}"]
        return subprocess.run(command, capture_output=True).returncode == 0

    def _boot(self, tool: str, *words: str, text: str = "") -> bytes:
        return self._run([tool, "-i", f"{self.path}@@{BOOT * 512}", *words], text)

    def _run(self, command: list[str], text: str = "") -> bytes:
        environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C"}
        done = subprocess.run(command, input=text.encode(), capture_output=True, check=True, env=environment)
        return done.stdout


def make_os(
    path: Path,
    release: str = "trixie",
    boot: dict[str, str] | None = None,
    root: tuple[str, ...] = (LIBRARIES,),
) -> Card:
    """Write a small image with what Raspberry Pi OS has in its places; `root` names more files of its root."""
    files = path.with_suffix(".root")
    for name in ("etc/systemd/system/multi-user.target.wants/keep", *(f"{each}/keep" for each in root)):
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).touch()
    (files / "usr/lib/os-release").write_text(f"ID=debian\nVERSION_CODENAME={release}\n")
    entries = [(0x0C, BOOT, BOOT_SIZE), (0x83, ROOT, ROOT_SIZE)]
    table = b"".join(struct.pack("<4xB3x2I", *entry) for entry in entries)
    with path.open("wb") as file:
        file.write(b"\0" * 446 + table.ljust(64, b"\0") + b"\x55\xaa")
        file.truncate((ROOT + ROOT_SIZE) * 512)
    environment = {**os.environ, "E2FSPROGS_FAKE_TIME": str(MADE)}
    place, size = f"{path}@@{BOOT * 512}", f"{ROOT_SIZE // 2}k"
    for command in (
        ("mformat", "-i", place, "-T", str(BOOT_SIZE), "-h", "64", "-s", "32", "::"),
        ("mke2fs", "-q", "-F", "-t", "ext4", "-d", str(files), "-E", f"offset={ROOT * 512}", str(path), size),
    ):
        subprocess.run(command, check=True, capture_output=True, env=environment)
    card = Card(path)
    for name, text in (TRIXIE if boot is None else boot).items():
        card.add(name, text)
    shutil.rmtree(files)
    return card


@pytest.fixture(scope="module")
def downloaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_os(tmp_path_factory.mktemp("os") / "os.img").path


@pytest.fixture
def place(tmp_path: Path, downloaded: Path) -> Path:
    """A folder with an image as downloaded, and what shall go onto the card."""
    shutil.copy(downloaded, tmp_path)
    for name, made_for, size in (
        ("bundle", "trixie arm64", 2_000_000),
        ("old.bundle", "bookworm arm64", 10),
        ("large.bundle", "trixie arm64", 12_000_000),
    ):
        with tarfile.open(tmp_path / name, "w") as bundle:
            for file, data in (("./for", made_for.encode()), ("./wheels", os.urandom(size))):
                entry = tarfile.TarInfo(file)
                entry.size = len(data)
                bundle.addfile(entry, io.BytesIO(data))
    (tmp_path / "screen.toml").write_text("[gaze]\ngain = 1.5\n")
    (tmp_path / "wrong.toml").write_text("[gaze]\ngain = 99\n")
    Image.new("RGB", (8, 8)).save(tmp_path / "My Duchess (1503).JPG", "JPEG")
    return tmp_path


def make(place: Path, image: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(DEPLOY / "image"), image, "--bundle", "bundle", *options]
    return subprocess.run(
        command, cwd=place, capture_output=True, text=True, env={**os.environ, **environment}
    )


def test_bundle_settings_and_picture_are_on_the_card(place: Path) -> None:
    before = Card(place / "os.img").files()
    done = make(
        place, "os.img", "--config", "screen.toml", "--portrait", "My Duchess (1503).JPG", "--no-camera"
    )
    assert done.returncode == 0, done.stderr
    after = Card(place / "mona-lisa-trixie-arm64.img").files()
    assert {name: after[name] for name in before} == before
    assert {name: data for name, data in after.items() if name not in before} == {
        "mona-lisa.bundle": (place / "bundle").read_bytes(),
        "mona-lisa-first-boot": (DEPLOY / "first-boot").read_bytes(),
        "mona-lisa.toml": (place / "screen.toml").read_bytes(),
        "mona-lisa-no-camera": b"",
        "portrait.jpg": (place / "My Duchess (1503).JPG").read_bytes(),
    }
    assert not list(place.glob(".*")), "nothing else is left"


def test_the_first_boot_is_in_the_root_which_stays_sound(place: Path) -> None:
    assert make(place, "os.img", "--out", "made.img").returncode == 0
    card = Card(place / "made.img")
    unit = card.root(f"cat {UNIT}")
    assert "ConditionPathExists=/boot/firmware/mona-lisa.bundle\n" in unit
    assert "WantedBy=multi-user.target\n" in unit
    assert re.search(r"Mode:  0644 .*\n.*\nUser:     0   Group:     0 ", card.root(f"stat {UNIT}"))
    assert f'Fast link dest: "{UNIT}"' in card.root(f"stat {WANT}")
    assert card.is_whole()
    assert make(place, "made.img").stderr == (
        "image: made.img: made by deploy/image already; take the image as downloaded\n"
    )


def test_building_twice_gives_the_same_bytes(place: Path) -> None:
    assert make(place, "os.img", "--out", "made.img").returncode == 0
    first = (place / "made.img").read_bytes()
    (place / "os.img.xz").write_bytes(lzma.compress((place / "os.img").read_bytes()))
    os.utime(place / "bundle", (1, 1))
    assert make(place, "os.img.xz", "--out", "made.img", TZ="Asia/Tokyo").returncode == 0
    assert (place / "made.img").read_bytes() == first
    # Both were made within seconds, so the clock of this machine must be nowhere.
    card, fresh = Card(place / "made.img"), Card(place / "os.img").files()
    new = {name: when for name, when in card.dates().items() if name not in fresh}
    assert new.keys() >= {"mona-lisa.bundle", "mona-lisa-first-boot"}
    assert {tuple(when.split()) for when in new.values()} == {("2025-10-01", "0:00")}
    times = re.findall(r"time: 0x(\w+)", card.root(f"stat {UNIT}") + card.root(f"stat {WANT}"))
    assert set(times) == {f"{MADE:x}"}
    assert re.search(r"Last write time: .* Oct  1 00:00:00 2025", card.root("stats"))


def test_imager_is_told_what_it_writes(place: Path) -> None:
    done = make(place, "os.img", "--out", "made.img.xz", "--url", "https://example.org/made.img.xz")
    assert done.returncode == 0, done.stderr
    packed = (place / "made.img.xz").read_bytes()
    image = lzma.decompress(packed)
    (entry,) = json.loads((place / "made.rpi-imager-manifest").read_text())["os_list"]
    assert (
        entry.items()
        >= {
            "url": "https://example.org/made.img.xz",
            "extract_size": len(image),
            "extract_sha256": hashlib.sha256(image).hexdigest(),
            "image_download_size": len(packed),
            "image_download_sha256": hashlib.sha256(packed).hexdigest(),
            "release_date": "2025-10-01",
            "init_format": "cloudinit-rpi",
        }.items()
    )
    assert entry.keys() >= {"name", "description", "icon", "devices"}, "Imager's schema asks for them"
    assert re.search(
        rf"made\.img\.xz: \d+ MB, in \d+ s\n   sha256 {entry['image_download_sha256']}\n", done.stdout
    )


def test_an_image_that_was_not_packed_is_told_by_its_place(place: Path) -> None:
    make_os(place / "os.img", "bookworm", {name: TRIXIE[name] for name in ("cmdline.txt", "config.txt")})
    assert make(place, "os.img", "--bundle", "old.bundle").returncode == 0
    (entry,) = json.loads((place / "mona-lisa-bookworm-arm64.rpi-imager-manifest").read_text())["os_list"]
    image = place / "mona-lisa-bookworm-arm64.img"
    assert (entry["url"], entry["init_format"]) == (image.as_uri(), "systemd")
    assert entry["extract_sha256"] == entry["image_download_sha256"]
    assert entry["extract_size"] == entry["image_download_size"] == image.stat().st_size


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100_000])


def packed(path: Path) -> None:
    path.write_bytes(lzma.compress(path.read_bytes()))


def packed_and_cut(path: Path) -> None:
    path.write_bytes(lzma.compress(path.read_bytes())[:-10])


def packed_and_spoilt(path: Path) -> None:
    data = bytearray(lzma.compress(path.read_bytes()))
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def text(path: Path) -> None:
    path.write_text("no image\n")


def without_boot(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[446 + 4] = 0x83
    path.write_bytes(data)


def without_fat(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[BOOT * 512 : BOOT * 512 + 512] = bytes(512)
    path.write_bytes(data)


def without_ext4(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[ROOT * 512 : ROOT * 512 + 2048] = bytes(2048)
    path.write_bytes(data)


def not_unmounted(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[ROOT * 512 + 1024 + 0x60] |= 4
    path.write_bytes(data)


def bookworm(path: Path) -> None:
    make_os(path, "bookworm")


def of_32_bits(path: Path) -> None:
    make_os(path, root=("usr/lib/arm-linux-gnueabihf",))


def desktop(path: Path) -> None:
    make_os(path, root=(LIBRARIES, "etc/systemd/system/display-manager.service"))


def without_release(path: Path) -> None:
    make_os(path, "")


def another_system(path: Path) -> None:
    make_os(path, boot={"kernel.img": "", "config.txt": ""})


@pytest.mark.parametrize(
    ("change", "options", "says"),
    [
        (text, [], "os.img: not an image of a card: no partition table in its first sector"),
        (truncated, [], r"os.img: 2\d+ bytes, but its partitions end at 22020096; download it again"),
        (packed_and_cut, [], "os.img: damaged, or not all of it; download it again"),
        (packed_and_spoilt, [], "os.img: damaged; download it again"),
        (without_boot, [], "os.img: no FAT partition in its partition table"),
        (without_fat, [], "os.img: its boot partition holds no FAT file system"),
        (without_ext4, [], "os.img: its root partition holds no ext4 file system"),
        (not_unmounted, [], "os.img: its root was not unmounted cleanly; take the image as downloaded"),
        (another_system, [], "os.img: no cmdline.txt on its boot partition; expected Raspberry Pi OS"),
        (
            without_release,
            [],
            "os.img: its root cannot be read: no Raspberry Pi OS, or .* e2fsprogs is too old",
        ),
        (bookworm, [], "os.img: bookworm arm64, but the bundle is for trixie arm64"),
        (of_32_bits, [], "os.img: trixie 32-bit, but the bundle is for trixie arm64"),
        (desktop, [], "os.img: has a desktop, which holds the display; take Raspberry Pi OS Lite"),
        (
            packed,
            ["--bundle", "large.bundle"],
            r"os.img: 16 MB free on its boot partition, bundle and portrait need 20 MB",
        ),
        (None, ["--bundle", "os.img"], "os.img: not a bundle made by deploy/bundle, or not all of one"),
        (None, ["--bundle", "none.bundle"], "none.bundle: no such file"),
        (None, ["--config", "wrong.toml"], "wrong.toml:2: gaze.gain = 99; expected a number, 0.1 to 5"),
        (None, ["--portrait", "wrong.toml"], r"wrong.toml: expected a picture by its name: .*"),
        (None, ["--out", "os.img"], "os.img: is the image itself; choose another name"),
        (None, ["--out", "card.zip"], "--out card.zip: expected a name that ends in .img or .img.xz"),
        (None, ["--out", "nowhere/a.img"], "nowhere/a.img: cannot be written there"),
    ],
)
def test_what_cannot_become_a_card_is_refused(
    place: Path, change: object, options: list[str], says: str
) -> None:
    if callable(change):
        change(place / "os.img")
    before = {path: path.read_bytes() for path in place.iterdir()}
    done = make(place, "os.img", *options)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert re.fullmatch(f"image: {says}\n", done.stderr)
    assert {path: path.read_bytes() for path in place.iterdir()} == before, "nothing is left behind"


def test_without_its_tools_it_says_what_to_install(place: Path) -> None:
    tools = place / "tools"
    tools.mkdir()
    for folder in ("/usr/bin", "/bin"):
        for path in Path(folder).iterdir():
            if path.name not in {"mcopy", "xz"} and not (tools / path.name).exists():
                (tools / path.name).symlink_to(path)
    done = make(place, "os.img", PATH=str(tools))
    assert done.stderr == (
        "image: not installed: mtools xz-utils; install it: sudo apt-get install mtools xz-utils\n"
    )


def test_a_dry_run_of_the_image_writes_nothing(place: Path) -> None:
    before = sorted(place.iterdir())
    assert "would write mona-lisa-trixie-arm64.img (22 MB)" in make(place, "os.img", "--dry-run").stdout
    assert sorted(place.iterdir()) == before
