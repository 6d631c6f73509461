import fcntl
import logging
import threading
from pathlib import Path

import pytest

from appliance.display import monitor, open_display
from appliance.display.open_display import (
    wait_for_card_permissions,
    wait_for_free_card,
    wait_until_display_opens,
)
from tests.display.kernel import Kernel
from tests.display.patience import Patience
from tests.display.test_monitor_connectors import plug


def test_a_card_that_may_not_be_opened_yet_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may open everything: what may not be opened here is a link that leads nowhere yet.
    (tmp_path / "card0").symlink_to(tmp_path / "opens")
    stop = Patience(monkeypatch, open_display)
    stop.after(10.3, (tmp_path / "opens").touch)
    began = stop.now
    assert wait_for_card_permissions(stop, began + 60, tmp_path)
    assert 10.3 <= stop.now - began < 10.6


def test_a_card_never_opened_is_tried_so_that_sdl_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "card0").symlink_to(tmp_path / "missing")
    stop = Patience(monkeypatch, open_display)
    end = stop.now + 60
    assert wait_for_card_permissions(stop, end, tmp_path)
    assert end <= stop.now < end + 0.3


def test_the_wait_for_a_card_ends_when_the_service_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "card0").symlink_to(tmp_path / "missing")
    stop = Patience(monkeypatch, open_display)
    end = stop.now + 60
    stop.after(12.5, stop.set)
    assert not wait_for_card_permissions(stop, end, tmp_path)
    assert stop.now == end - 47.5


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """The second of two cards has a monitor, and a master."""
    kernel = Kernel()
    monkeypatch.setattr(fcntl, "ioctl", kernel.ioctl)
    for card, status in (("card0", "disconnected"), ("card1", "connected")):
        plug(tmp_path / "system", f"{card}-HDMI-A-1", status, "1080x1920")
        (tmp_path / card).touch()
    return kernel


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Patience:
    return Patience(monkeypatch, open_display, monitor)


def wait(folder: Path, stop: Patience, seconds: float, looks: list[str]) -> bool:
    def absent() -> None:
        looks.append("absent")

    def held() -> None:
        looks.append("held")

    return wait_for_free_card(stop, stop.now + seconds, absent, held, folder / "system", folder)


def test_a_screen_held_by_another_program_is_waited_for(
    kernel: Kernel, tmp_path: Path, stop: Patience, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    kernel.master = False
    looks: list[str] = []

    def let_go() -> None:
        kernel.master = True

    stop.after(6.5, let_go)
    assert wait(tmp_path, stop, 60, looks)
    assert looks == ["held"] * 7, "once a second"
    card = str(tmp_path / "card1")
    assert caplog.record_tuples == [
        ("appliance.display.open_display", logging.WARNING, open_display.DISPLAY_HELD % card),
        ("appliance.display.open_display", logging.INFO, open_display.DISPLAY_FREE % card),
    ]


def test_a_screen_that_nobody_holds_is_not_spoken_of(
    kernel: Kernel, tmp_path: Path, stop: Patience, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    looks: list[str] = []
    assert wait(tmp_path, stop, 60, looks)
    assert not looks and not caplog.records


def test_of_two_monitors_the_free_one_is_enough(
    tmp_path: Path, stop: Patience, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    held = {"card0"}
    monkeypatch.setattr(open_display, "is_card_taken", lambda card: card.name in held)
    for card in ("card0", "card1"):
        plug(tmp_path / "system", f"{card}-HDMI-A-1", "connected", "1080x1920")
        (tmp_path / card).touch()
    assert wait(tmp_path, stop, 0, [])
    held = {"card0", "card1"}
    assert not wait(tmp_path, stop, 0, [])
    assert caplog.messages == [open_display.DISPLAY_HELD % f"{tmp_path / 'card0'}, {tmp_path / 'card1'}"]


def test_the_wait_for_a_held_screen_ends_with_the_service(
    kernel: Kernel, tmp_path: Path, stop: Patience
) -> None:
    kernel.master = False
    assert not wait(tmp_path, stop, 0, [])
    end = stop.now + 60
    stop.after(5.2, stop.set)
    assert not wait(tmp_path, stop, 60, [])
    assert stop.now == pytest.approx(end - 54.8)


def test_a_monitor_unplugged_while_held_is_waited_for(kernel: Kernel, tmp_path: Path, stop: Patience) -> None:
    kernel.master = False
    looks: list[str] = []
    stop.after(2.5, lambda: plug(tmp_path / "system", "card1-HDMI-A-1", "disconnected"))
    assert not wait(tmp_path, stop, 5.5, looks)
    assert looks == ["held"] * 3 + ["absent"] * 3


def test_a_monitor_that_is_off_at_the_start_is_waited_for(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait_for_free_card, "__defaults__", (tmp_path / "system", tmp_path))
    monkeypatch.setattr(open_display, "require_kmsdrm", lambda: None)  # PyPI's SDL has no KMSDRM
    plug(tmp_path / "system", "card1-HDMI-A-1", "disconnected")
    stop, absent = threading.Event(), []

    def give_up() -> None:
        absent.append("no monitor")
        stop.set()

    assert not wait_until_display_opens("kmsdrm", stop, each=give_up)
    assert absent == ["no monitor"]
    plug(tmp_path / "system", "card1-HDMI-A-1", "connected", "1080x1920")
    assert wait_until_display_opens("kmsdrm", threading.Event(), each=give_up)
    assert wait_until_display_opens(f"offscreen:{tmp_path}", stop, each=give_up)
    assert absent == ["no monitor"], "neither of these is waited for"
