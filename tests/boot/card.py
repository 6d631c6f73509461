"""A picture on the card, and the power key: two boots of one machine, with a look at its screen all the time."""

import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from PIL import Image

from tests.boot.image import OTHER_PORTRAIT, PORTRAIT, SIZE, Disk
from tests.boot.look import BLACK, NO_SIGNAL, Eye, Frame, Shown, Watch
from tests.boot.machine import Machine
from tests.boot.places import PROJECT, say
from tests.boot.suite import BOOT, UNPLUGGED, WHILE, is_portrait_at_rest, until_lit, whole

CARD: Final = "/boot/firmware"
ANSWER: Final = f"{CARD}/mona-lisa.txt"
PICTURE: Final = PROJECT / "frames" / f"{OTHER_PORTRAIT}.png"
# Seconds in which an emulated processor, shared with others, renders a portrait.
RENDERED: Final = 3600.0


def is_new_portrait(shown: Shown) -> bool:
    """The painting at rest is the same in every pixel, whatever the name of the portrait made of it."""
    return isinstance(shown, Frame) and shown.resting and shown.portrait == OTHER_PORTRAIT


def await_answer(machine: Machine, words: str, timeout: float) -> str:
    """Wait until mona-lisa.txt on the card says something; return all it says."""
    machine.run(f"until grep -qsF {shlex.quote(words)} {ANSWER}; do sleep 1; done", timeout)
    return machine.run(f"cat {ANSWER}").text


@pytest.fixture(scope="module")
def life() -> Iterator[ExitStack]:
    """Machines that outlive a test, switched off at the end."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def disk(provisioned: Disk, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Disk:
    """A provisioned machine whose card has got a picture without a face."""
    wall = tmp_path_factory.mktemp("card") / "wall.jpg"
    Image.new("RGB", (600, 800), (90, 80, 70)).save(wall)
    return provisioned.copy_with(folder / "card.qcow2", wall, f"{CARD}/portrait.jpg")


@pytest.fixture(scope="module")
def faceless(disk: Disk, folder: Path, life: ExitStack) -> Machine:
    return life.enter_context(Machine(disk, folder / "faceless", SIZE))


@pytest.fixture(scope="module")
def watch(faceless: Machine, eye: Eye, life: ExitStack) -> Watch:
    return life.enter_context(Watch(faceless, eye))


def test_a_picture_without_a_face_leaves_the_portrait(faceless: Machine, watch: Watch) -> None:
    assert is_portrait_at_rest(until_lit(watch).shown)
    faceless.await_console(BOOT)
    faceless.run(f"touch {UNPLUGGED}")  # leaves the emulated processor to the rendering
    told = await_answer(faceless, "does not hang", RENDERED)
    assert "portrait: portrait.jpg does not hang, the present portrait stays: no face found" in told
    assert faceless.run("readlink /var/lib/mona-lisa/current").text.strip() == PORTRAIT
    lit = [sight.shown for sight in watch.sights if whole(sight.shown)]
    assert all(isinstance(shown, Frame) and shown.portrait == PORTRAIT for shown in lit), lit


def test_the_power_key_ends_the_portrait_in_the_dark(faceless: Machine, watch: Watch) -> None:
    target = f"{CARD}/portrait.png"
    put = faceless.run(f"rm {CARD}/portrait.jpg && cp /opt/mona-lisa/current/frames/{PICTURE.name} {target}")
    assert put.code == 0, put.text
    faceless.run(f"echo 'title = \"Eileen Collins\"' >{CARD}/portrait.toml; sync")
    pressed = faceless.uptime
    faceless.ask("system_powerdown")  # as the button's GPIO does, this makes the kernel report KEY_POWER
    faceless.await_off(WHILE)
    say(f"off {faceless.uptime - pressed:.0f} s after the power key")
    after = [sight.shown for sight in watch.sights if sight.moment > pressed]
    assert after and set(after) <= {BLACK, NO_SIGNAL}, after


def test_a_card_with_a_picture_boots_into_its_portrait(
    disk: Disk, folder: Path, eye: Eye, life: ExitStack
) -> None:
    machine = life.enter_context(Machine(disk, folder / "card", SIZE))
    watch = life.enter_context(Watch(machine, eye))
    assert is_portrait_at_rest(until_lit(watch).shown)
    machine.await_console(BOOT)
    machine.run(f"touch {UNPLUGGED}")
    last = machine.run("journalctl -u mona-lisa -b -1 --no-pager -o cat").text
    assert "mona-lisa.service: Deactivated successfully." in last, "the power key let it end by itself"
    assert "is being rendered" in await_answer(machine, "portrait.png", WHILE)
    told = await_answer(machine, " hangs (", RENDERED)
    assert "portrait: Eileen Collins hangs (portrait.png, rendered in " in told
    say(told)
    sight = watch.until(is_new_portrait, WHILE)
    shown = [each.shown for each in watch.sights if whole(each.shown) and each.moment < sight.moment]
    assert all(isinstance(each, Frame) and each.portrait == PORTRAIT for each in shown), "meanwhile"
    assert machine.run("systemctl show -P NRestarts mona-lisa").text.strip() == "0"
