import fcntl
import logging
import threading
import time
from pathlib import Path

import pytest

from appliance.display import sdl
from appliance.display.sdl import wait_for_card_permissions, wait_for_display, wait_for_free_card
from tests.display.kernel import Kernel
from tests.display.test_monitor_connectors import plug


def test_a_card_that_may_not_be_opened_yet_is_waited_for(tmp_path: Path) -> None:
    # Root may open everything: what may not be opened here is a link that leads nowhere yet.
    (tmp_path / "card0").symlink_to(tmp_path / "opens")
    later = threading.Timer(0.3, (tmp_path / "opens").touch)
    began = time.monotonic()
    later.start()
    assert wait_for_card_permissions(threading.Event(), began + 60, tmp_path)
    assert 0.3 <= time.monotonic() - began < 30
    later.join()


def test_a_card_that_stays_closed_is_tried_so_that_sdl_says_why(tmp_path: Path) -> None:
    (tmp_path / "card0").symlink_to(tmp_path / "missing")
    assert wait_for_card_permissions(threading.Event(), time.monotonic() + 0.3, tmp_path)


def test_that_wait_too_ends_when_the_service_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "card0").symlink_to(tmp_path / "missing")
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    assert not wait_for_card_permissions(stop, time.monotonic() + 60, tmp_path)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """The second of two cards has a monitor, and a master."""
    kernel = Kernel()
    monkeypatch.setattr(fcntl, "ioctl", kernel.ioctl)
    for card, status in (("card0", "disconnected"), ("card1", "connected")):
        plug(tmp_path / "system", f"{card}-HDMI-A-1", status, "1080x1920")
        (tmp_path / card).touch()
    return kernel


def wait(folder: Path, stop: threading.Event, seconds: float, looks: list[str]) -> bool:
    def absent() -> None:
        looks.append("absent")

    def held() -> None:
        looks.append("held")

    end = time.monotonic() + seconds
    return wait_for_free_card(stop, end, absent, held, folder / "system", folder)


def test_a_screen_held_by_another_program_is_waited_for(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(sdl, "_HELD_INTERVAL", 0.01)
    kernel.master = False
    looks: list[str] = []

    def let_go() -> None:
        kernel.master = True

    later = threading.Timer(0.5, let_go)
    later.start()
    assert wait(tmp_path, threading.Event(), 60, looks)
    later.join()
    assert set(looks) == {"held"} and len(looks) > 5
    card = str(tmp_path / "card1")
    assert caplog.record_tuples == [
        ("appliance.display.sdl", logging.WARNING, sdl.DISPLAY_HELD % card),
        ("appliance.display.sdl", logging.INFO, sdl.DISPLAY_FREE % card),
    ]


def test_a_screen_that_nobody_holds_is_not_spoken_of(
    kernel: Kernel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    looks: list[str] = []
    assert wait(tmp_path, threading.Event(), 60, looks)
    assert not looks and not caplog.records


def test_of_two_monitors_the_free_one_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sdl, "is_card_taken", lambda card: card.name in held)
    for card in ("card0", "card1"):
        plug(tmp_path / "system", f"{card}-HDMI-A-1", "connected", "1080x1920")
        (tmp_path / card).touch()
    held = {"card0"}
    assert wait(tmp_path, threading.Event(), 0, [])
    held = {"card0", "card1"}
    assert not wait(tmp_path, threading.Event(), 0, [])
    assert caplog.messages == [sdl.DISPLAY_HELD % f"{tmp_path / 'card0'}, {tmp_path / 'card1'}"]


def test_the_wait_for_a_held_screen_ends_with_the_service(kernel: Kernel, tmp_path: Path) -> None:
    kernel.master = False
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    assert not wait(tmp_path, stop, 60, [])
    assert not wait(tmp_path, threading.Event(), 0, [])


def test_a_monitor_unplugged_while_held_is_waited_for(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdl, "_HELD_INTERVAL", 0.01)
    kernel.master = False
    looks: list[str] = []

    def unplug() -> None:
        plug(tmp_path / "system", "card1-HDMI-A-1", "disconnected")

    later = threading.Timer(0.2, unplug)
    later.start()
    assert not wait(tmp_path, threading.Event(), 1.5, looks)
    assert looks[0] == "held" and looks[-1] == "absent"


def test_a_monitor_that_is_off_at_the_start_is_waited_for(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait_for_free_card, "__defaults__", (tmp_path / "system", tmp_path))
    monkeypatch.setattr(sdl, "require_kmsdrm", lambda: None)  # PyPI's SDL has no KMSDRM
    plug(tmp_path / "system", "card1-HDMI-A-1", "disconnected")
    stop, absent = threading.Event(), []

    def give_up() -> None:
        absent.append("no monitor")
        stop.set()

    assert not wait_for_display("kmsdrm", stop, each=give_up)
    assert absent == ["no monitor"]
    plug(tmp_path / "system", "card1-HDMI-A-1", "connected", "1080x1920")
    assert wait_for_display("kmsdrm", threading.Event(), each=give_up)
    assert wait_for_display(f"offscreen:{tmp_path}", stop, each=give_up)
    assert absent == ["no monitor"], "neither of these is waited for"
