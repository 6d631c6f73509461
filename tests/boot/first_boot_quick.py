"""The first boot of a card from deploy/image in a container, whatever Raspberry Pi Imager wrote over it."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.boot.downloaded import card, laid_over, opened
from tests.boot.first_boot import ANSWER, CLOUD_INIT, FIRSTRUN, is_as_chosen, is_provisioned
from tests.boot.image import Disk
from tests.nspawn.container import Booted

LIT: Final = "/run/mona-lisa/lit"
CONFIG: Final = f"""[camera]
source = "gallery"
[display]
output = "offscreen:{LIT}"
width = 360
height = 640
"""
# Seconds; it takes a minute and a half on two busy cores.
FIRST_BOOT: Final = 900.0


@pytest.fixture(scope="module")
def disk() -> Disk:
    return card({"aarch64": "arm64"}.get(platform.machine(), "amd64"), CONFIG)


@contextmanager
def inserted(disk: Disk, files: dict[str, str], folder: Path) -> Iterator[list[str]]:
    """Yield the container's options for a card with files of Imager's; the kernel's words as Imager wrote them."""
    with laid_over(disk, files, folder / "card.img") as written, opened(written, folder) as root:
        words = [
            word for word in written.cmdline.split() if word.startswith(("ds=", "cloud-init=", "systemd."))
        ]
        yield [f"--directory={root}", "--private-network", *words]


def provisions_itself(container: Booted) -> None:
    container.until(lambda: "provisioned:" in container.run(f"cat {ANSWER}").stdout, FIRST_BOOT)
    is_provisioned(lambda command: container.run(command).stdout)
    container.until(lambda: "frame_" in container.run(f"ls {LIT}").stdout, FIRST_BOOT)


def test_a_card_as_it_was_made(disk: Disk, tmp_path: Path) -> None:
    with inserted(disk, {}, tmp_path) as options, Booted(*options) as container:
        provisions_itself(container)


def test_a_card_with_user_and_wifi_chosen_for_trixie(disk: Disk, tmp_path: Path) -> None:
    with inserted(disk, CLOUD_INIT, tmp_path) as options, Booted(*options) as container:
        provisions_itself(container)
        container.run("cloud-init status --wait")
        is_as_chosen(lambda command: container.run(command).stdout)
        assert "Gallery" in container.run("cat /etc/netplan/*").stdout


def test_a_card_with_user_chosen_for_bookworm(disk: Disk, tmp_path: Path) -> None:
    with inserted(disk, FIRSTRUN, tmp_path) as options:
        # A container cannot restart into the next boot by itself.
        Booted(*(word.replace("=reboot", "=exit") for word in options)).run_to_the_end(FIRST_BOOT)
        cmdline = (tmp_path / "root/boot/firmware/cmdline.txt").read_text()
        assert "systemd.run" not in cmdline
        assert not (tmp_path / "root/boot/firmware/mona-lisa.txt").exists(), "it waits for the normal boot"
        with Booted(*(word for word in options if not word.startswith("systemd."))) as container:
            provisions_itself(container)
            is_as_chosen(lambda command: container.run(command).stdout)
