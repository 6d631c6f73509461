import fcntl
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.display import flip_check
from appliance.display.flip_check import DrmCard, ScanoutObserver, find_own_card, is_card_taken
from appliance.errors import DisplayLost, DisplayStuck
from tests.display.kernel import Kernel

HEARTBEAT = 2.0


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(fcntl, "ioctl", kernel.ioctl)
    return kernel


def flip(watch: ScanoutObserver, kernel: Kernel, now: float) -> None:
    watch.look()
    kernel.flip()
    watch.flipped(now)


def test_the_ioctls_are_those_of_the_kernels_headers() -> None:
    requests = flip_check.AUTH_MAGIC, flip_check.GET_RESOURCES, flip_check.GET_CRTC
    assert requests == (0x40046411, 0xC04064A0, 0xC06864A1)


def test_a_screen_that_takes_every_flip_is_never_lost(kernel: Kernel) -> None:
    watch = ScanoutObserver(DrmCard(3))
    for second in range(1000):
        if second % 2 == 0:
            flip(watch, kernel, float(second))
        watch.check(float(second))


def test_a_screen_taken_by_another_program_is_lost_after_2_s(kernel: Kernel) -> None:
    watch = ScanoutObserver(DrmCard(3))
    flip(watch, kernel, 0.0)
    kernel.master = False
    flip(watch, kernel, 2.0)
    watch.check(2.0)
    watch.check(3.9)
    with pytest.raises(DisplayLost) as lost:
        watch.check(4.0)
    assert str(lost.value) == flip_check.DISPLAY_TAKEN % 2
    assert "another program may hold the display; `sudo mona-lisa doctor` names it" in str(lost.value)


def test_another_programs_pictures_do_not_pass_for_ours(kernel: Kernel) -> None:
    watch = ScanoutObserver(DrmCard(3))
    flip(watch, kernel, 0.0)
    kernel.master = False
    with pytest.raises(DisplayLost):
        for tenth in range(20, 50):
            kernel.lit[61] = 90 + tenth % 2
            flip(watch, kernel, tenth / 10)
            watch.check(tenth / 10)


def test_a_driver_that_shows_nothing_new_is_told_apart(kernel: Kernel) -> None:
    watch = ScanoutObserver(DrmCard(3))
    kernel.flip()
    watch.look()
    watch.flipped(0.0)
    with pytest.raises(DisplayStuck) as stuck:
        watch.check(2.0)
    assert str(stuck.value) == flip_check.DISPLAY_STUCK % 2


def test_a_television_in_standby_is_not_dead_but_may_be_taken(kernel: Kernel) -> None:
    watch = ScanoutObserver(DrmCard(3))
    watch.flipped(0.0)
    for second in range(100):
        watch.check(float(second), asleep=True)
        watch.flipped(float(second))
    watch.check(100.5)  # woken: it has two seconds from its last flip on
    kernel.master = False
    watch.flipped(101.0)
    with pytest.raises(DisplayLost, match="another program"):
        watch.check(103.0, asleep=True)


def test_a_card_that_is_pulled_out_ends_the_process(kernel: Kernel) -> None:
    watch = ScanoutObserver(DrmCard(3))
    flip(watch, kernel, 0.0)
    kernel.gone = True
    flip(watch, kernel, 1.0)
    with pytest.raises(DisplayStuck):
        watch.check(3.0)


def test_a_flip_that_arrives_late_counts(kernel: Kernel) -> None:
    watch = ScanoutObserver(DrmCard(3))
    flip(watch, kernel, 0.0)
    watch.flipped(2.0)
    watch.check(3.5)
    kernel.flip()
    watch.check(4.5)
    watch.check(100.0)


@given(
    framebuffers=st.integers(2, 4),
    pauses=st.lists(st.floats(0.001, HEARTBEAT), min_size=1, max_size=60),
    lost_at=st.integers(0, 60),
    foreign=st.booleans(),
)
def test_a_screen_is_lost_only_if_flips_fail_and_then_soon(
    framebuffers: int, pauses: list[float], lost_at: int, foreign: bool
) -> None:
    kernel = Kernel(framebuffers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fcntl, "ioctl", kernel.ioctl)
        watch, now, failed = ScanoutObserver(DrmCard(3)), 0.0, None
        for number, pause in enumerate(pauses):
            if number == lost_at:
                kernel.master = False
            if not kernel.master and foreign:
                kernel.lit[61] = 90 + number % 3
            flip(watch, kernel, now)
            if failed is None and not kernel.master:
                failed = now
            try:
                watch.check(now)
            except DisplayLost:
                assert failed is not None and now - failed >= flip_check.FLIP_TIMEOUT
                return
            assert failed is None or now - failed < flip_check.FLIP_TIMEOUT
            now += pause


def test_sdls_descriptor_is_found_among_all_that_are_open(kernel: Kernel, tmp_path: Path) -> None:
    for number, target in (
        (0, "/dev/null"),
        (4, "/dev/dri/renderD128"),
        (7, "/dev/dri/card1"),
        (9, "socket:[1]"),
    ):
        (tmp_path / str(number)).symlink_to(target)
    found = find_own_card(tmp_path)
    assert found is not None and found._descriptor == 7


def test_a_card_without_a_screen_is_none(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "7").symlink_to("/dev/dri/card0")
    kernel.lit.clear()
    assert find_own_card(tmp_path) is None


def test_a_process_without_a_card_says_that_it_cannot_observe(caplog: pytest.LogCaptureFixture) -> None:
    assert flip_check.observe_scanout() is None
    assert caplog.record_tuples == [
        ("appliance.display.flip_check", logging.WARNING, flip_check.NOT_OBSERVED)
    ]


@pytest.mark.parametrize("master", [True, False])
def test_asking_who_holds_a_card_does_not_take_it(kernel: Kernel, tmp_path: Path, master: bool) -> None:
    kernel.master = master
    (tmp_path / "card0").touch()
    before = set(Path("/proc/self/fd").iterdir())
    assert is_card_taken(tmp_path / "card0") is not master
    assert set(Path("/proc/self/fd").iterdir()) == before, "the card is closed again"


def test_a_card_that_cannot_be_opened_counts_as_free(tmp_path: Path) -> None:
    assert not is_card_taken(tmp_path / "card0")
