import threading
import time
from pathlib import Path

from appliance.display.waiting import wait_for_card


def test_a_card_that_may_not_be_opened_yet_is_waited_for(tmp_path: Path) -> None:
    # Root may open everything: what may not be opened here is a link that leads nowhere yet.
    (tmp_path / "card0").symlink_to(tmp_path / "opens")
    later = threading.Timer(0.3, (tmp_path / "opens").touch)
    began = time.monotonic()
    later.start()
    assert wait_for_card(threading.Event(), began + 60, tmp_path)
    assert 0.3 <= time.monotonic() - began < 30
    later.join()


def test_one_that_never_may_is_tried_all_the_same_so_that_sdl_says_why(tmp_path: Path) -> None:
    (tmp_path / "card0").symlink_to(tmp_path / "missing")
    assert wait_for_card(threading.Event(), time.monotonic() + 0.3, tmp_path)


def test_that_wait_too_ends_when_the_service_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "card0").symlink_to(tmp_path / "missing")
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    assert not wait_for_card(stop, time.monotonic() + 60, tmp_path)
