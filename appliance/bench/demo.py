"""Runs the real loop on the simulated gallery, films it, and compares it with the gallery's truth."""

import resource
import signal
import statistics
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from appliance.assets import home
from appliance.bench.error import GazeError, gaze_error, true_direction
from appliance.bench.film import RATE, Shot, film, small_view
from appliance.camera.base import Camera, Picture
from appliance.camera.gallery import GalleryCamera
from appliance.config import Config
from appliance.display.connectors import usable
from appliance.display.outputs import desktop
from appliance.display.screen import Screen
from appliance.errors import CameraStalled, CannotWrite, NoDisplay
from appliance.files import write_atomic
from appliance.gaze.target import GazeTarget
from appliance.pack import Pack
from appliance.portrait.sheet import Sheet, png
from appliance.service.loop import run
from appliance.vision.blazeface import Face

# The film starts when the demo's visitor has come in.
FILM_START: Final = 0.6
FILM_SECONDS: Final = 8.0


@dataclass(frozen=True, slots=True)
class _Sight:
    moment: float
    view: bytes
    width: int
    faces: Sequence[Face]


class Recorder:
    """A witness that notes flips and faces, and keeps small views of the film's seconds."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.pictures = self.with_face = 0
        self.flips: list[tuple[float, int]] = []
        self.delays: list[float] = []
        self.sights: list[_Sight] = []
        self.camera: GalleryCamera | None = None

    def saw(self, picture: Picture, faces: Sequence[Face], aim: GazeTarget, camera: Camera) -> None:
        """Note a picture; the first one starts the clock of the film."""
        if self.camera is None:
            assert isinstance(camera, GalleryCamera)
            self.camera, self.began = camera, time.monotonic()
        self.pictures += 1
        self.with_face += bool(faces)
        now = time.monotonic()
        filmed = FILM_START - 0.2 <= now - self.began <= FILM_START + FILM_SECONDS
        if filmed and (not self.sights or now - self.sights[-1].moment > 0.9 / RATE):
            self.sights.append(_Sight(now, small_view(picture), picture.width, list(faces)))

    def lit(self, frames: tuple[int, ...], aim: GazeTarget | None, moment: float) -> None:
        """Note a flip, and its delay when a viewer caused it."""
        self.flips.append((moment, frames[0]))
        if aim is not None and aim.viewer is not None:
            self.delays.append(moment - aim.captured)


def demo(out: Path, display: str | None, seconds: float, say: Callable[[str], None]) -> None:
    """Run the demo for some seconds and leave film, contact sheet and summary in `out`.

    Raises
    ------
    CannotWrite
        If `out` cannot be written.
    BadPack, BadAsset, NoDisplay
        If the checkout was not set up, or the display asked for is not there.
    """
    pack = Pack(home() / "frames" / "sconosciuta")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"{out}: cannot be written ({error.strerror})") from error
    recorder, ended = _record(pack, out, display, seconds, say)
    if recorder.camera is None:
        raise CameraStalled("the demo ended before the gallery's first picture; give it more --seconds")
    text = _summary(recorder, pack, ended)
    say("drawing the film and the contact sheet")
    sheet = Sheet(pack.base(), pack.info.main)
    for _ in sheet.passing(pack.patch(i) for i in range(pack.info.main.count)):
        pass
    write_atomic(out / "contact-sheet.png", png(sheet.image))
    if shots := _shots(recorder, pack, ended):
        write_atomic(out / "film.webp", film(shots, pack))
    write_atomic(out / "summary.txt", text.encode())
    for line in text.splitlines():
        say(line)
    say(f"film, contact sheet and summary are in {out}")


def _record(
    pack: Pack, out: Path, display: str | None, seconds: float, say: Callable[[str], None]
) -> tuple[Recorder, float]:
    config = Config()
    config = replace(config, camera=replace(config.camera, source="gallery"))
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    shown = ["auto"] if desktop() or usable() else []  # a demo waits for no monitor
    for output in [display] if display else [*shown, f"offscreen:{out / 'lit'}"]:
        recorder = Recorder()
        try:
            config = replace(config, display=replace(config.display, output=output))
            say("making the portrait ready for the screen")
            _prepare(config, pack, stop)
            say(f"running for {seconds:g} s on {output}")
            recorder.flips.append((time.monotonic(), pack.info.main.rest))
            run(config, lambda: pack.folder, stop, seconds, recorder)
            break
        except NoDisplay as error:
            if display or output != "auto":
                raise
            say(f"{error}: going on offscreen")
    return recorder, time.monotonic()


def _prepare(config: Config, pack: Pack, stop: threading.Event) -> None:
    """Compile the portrait for the screen, because the sitter would rest in the film while that is done."""
    with Screen(config.display) as screen:
        screen.light(pack)
        screen.load(pack, stop)


def _summary(recorder: Recorder, pack: Pack, ended: float) -> str:
    assert recorder.camera is not None
    grid, truth = pack.info.main, true_direction(recorder.camera, Config())
    aside, up = gaze_error(recorder.flips, grid, truth, recorder.began, ended)
    used = {frame for _, frame in recorder.flips}
    rows_used = len({grid.place(frame)[0] for frame in used})
    delays = sorted(1000 * delay for delay in recorder.delays) or [float("nan")]
    median, p95 = statistics.median(delays), delays[int(0.95 * (len(delays) - 1))]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seen = f"{recorder.pictures} ({recorder.pictures / (ended - recorder.began):.1f}/s)"
    rows = {
        "pictures seen": seen,
        "with a face": f"{recorder.with_face}",
        "frames used": f"{len(used)} of {grid.count}, in {rows_used} of {len(grid.pitches)} rows; "
        f"{len(recorder.flips)} flips",
        "error sideways": _told(aside, f"{grid.angles[0]:.0f} to {grid.angles[-1]:.0f} degrees"),
        "error up, down": _told(up, f"{grid.pitches[-1]:.0f} to {grid.pitches[0]:.0f} degrees"),
        "picture to flip": f"median {median:.0f}, p95 {p95:.0f} ms (60 ms of it the simulated camera's)",
        "peak memory": f"{peak:.0f} MB",
    }
    return "".join(f"{name:16} {value}\n" for name, value in rows.items())


def _told(error: GazeError, reach: str) -> str:
    return (
        f"median {error.median:.2f}, p95 {error.p95:.2f} degrees over {error.seconds:.1f} s; "
        f"median {error.reachable:.2f} within the sitter's {reach}"
    )


def _shots(recorder: Recorder, pack: Pack, ended: float) -> list[Shot]:
    assert recorder.camera is not None
    truth = true_direction(recorder.camera, Config())
    sights, flips = recorder.sights, recorder.flips
    moments, flipped = [sight.moment for sight in sights], [moment for moment, _ in flips]
    shots = []
    start = recorder.began + FILM_START
    for t in np.arange(start, min(start + FILM_SECONDS, ended), 1 / RATE):
        if i := bisect_right(moments, t):
            frame = flips[max(bisect_right(flipped, t) - 1, 0)][1]
            sight = sights[i - 1]
            shots.append(Shot(sight.view, sight.width, sight.faces, truth(float(t)), frame))
    return shots
