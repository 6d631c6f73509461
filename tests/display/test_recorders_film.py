import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence
from PIL.WebPImagePlugin import WebPImageFile

from appliance.config import DisplayConfig
from appliance.display import recorders
from appliance.display.open_display import pygame
from appliance.display.recorders import FrameRecording
from appliance.display.screen import PortraitScreen
from appliance.errors import CannotWrite
from appliance.pack import Pack
from tests.conftest import SIZE


@pytest.mark.parametrize("kind", ["webp", "gif"])
def test_the_film_has_what_was_shown_in_order(
    pack: Pack, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorders, "_MIN_INTERVAL", 0.0)
    path = tmp_path / f"shown.{kind}"
    config = DisplayConfig(
        output=f"offscreen:{tmp_path / 'lit'}", width=SIZE[0], height=SIZE[1], film=str(path)
    )
    with PortraitScreen(config) as screen:
        screen.light(pack)
        screen.load(pack, threading.Event())
        for frame in (8, 0):
            screen.show((frame,))
    with Image.open(path) as shown:
        pictures = [picture.convert("RGB") for picture in ImageSequence.Iterator(shown)]
    assert len(pictures) == 3
    for picture, frame in zip(pictures, (4, 8, 0), strict=True):
        assert picture.size[0] == SIZE[0] and picture.size[1] > SIZE[1], "a strip below for the index"
        x = 20 + 4 + 5 * frame + 2  # the bar that moves with the frame
        assert np.asarray(picture)[30 + 15, x].sum() < 200


def test_a_film_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recorders, "_MIN_INTERVAL", 0.0)
    monkeypatch.setattr(recorders, "MAX_RECORDED", 3)
    taken = FrameRecording(tmp_path / "long.webp")
    taken.open()
    for frame in range(9):
        surface = pygame.Surface((40, 60))
        surface.fill((25 * frame, 0, 0))
        taken.record((frame,), surface)
    taken.close()
    with Image.open(tmp_path / "long.webp") as shown:
        assert len(list(ImageSequence.Iterator(shown))) == 3
    assert [record.msg for record in caplog.records] == [recorders.RECORDING_FULL]


def test_the_longest_film_fits_the_memory_of_a_small_pi(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from appliance.display import recorders\n"
        "recorders._MIN_INTERVAL = 0.0; taken = recorders.FrameRecording(Path(sys.argv[1])); surface = recorders.pygame.Surface((270, 480))\n"
        "for frame in range(recorders.MAX_RECORDED):\n"
        "    surface.fill((frame % 256, frame // 256, 80), (frame % 200, 100, 60, 60))\n"
        "    taken.record((frame,), surface)\n"
        "taken.close()\n"
        # Not ru_maxrss, which begins with the memory of the process that started this one.
        "print(next(row.split()[1] for row in open('/proc/self/status') if row.startswith('VmHWM')))"
    )
    path = tmp_path / "long.webp"
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 500_000, "kB; a Pi of 1 GB has as much besides the system and what runs"
    with Image.open(path) as shown:
        assert isinstance(shown, WebPImageFile) and shown.n_frames == recorders.MAX_RECORDED


def test_a_film_that_cannot_be_written_is_refused_at_the_start(pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    config = DisplayConfig(output=f"offscreen:{tmp_path / 'lit'}", film=str(tmp_path / "file" / "a.gif"))
    with pytest.raises(CannotWrite, match=r"file/a\.gif: cannot be written"):
        PortraitScreen(config).__enter__()
