"""The demo: runs the real loop on the simulated gallery, films it, compares it with the truth."""

import io
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
from PIL import Image, ImageDraw, ImageFont, ImageOps

from appliance.assets import home_folder
from appliance.bench.gaze_methods import GazeErrorSummary, direction_of, gaze_error, true_direction
from appliance.camera.base import Camera, Picture, RgbPicture
from appliance.camera.sampling import Region
from appliance.config import Config
from appliance.display.monitor import usable_connectors
from appliance.display.open_display import has_desktop
from appliance.display.screen import PortraitScreen
from appliance.errors import CameraStalled, CannotWrite, NoDisplay
from appliance.files import check_writable, write_atomic
from appliance.gallery.camera import GalleryCamera
from appliance.gallery.walks import load_walk
from appliance.gaze.geometry import Direction
from appliance.gaze.target_to_frames import GazeTarget
from appliance.pack import Box, FrameGrid, Pack
from appliance.portrait.contact_sheet import ContactSheet, png_bytes
from appliance.service.app import run
from appliance.service.reporter import p95
from appliance.vision.blazeface import Face, FaceDetector

RATE: Final = 12.5
VIEW: Final = (480, 270)
_GAP, _EYES, _CHART = 12, (480, 132), (480, 69)
_PORTRAIT: Final = (324, 576)
_SIZE: Final = (VIEW[0] + _PORTRAIT[0] + 3 * _GAP, _PORTRAIT[1] + 2 * _GAP)
_BACK, _TEXT, VIEWER, _SITTER = "#16140f", "#d8d0bd", "#e0a030", "#6fb7c9"


@dataclass(frozen=True, slots=True)
class FilmMoment:
    """One moment of the film.

    `view` is the camera's picture as a small JPEG; `faces` are in pixels of the picture itself,
    which was `width` wide. `viewer` is the true direction to the viewer, None when nobody is in view;
    `frame` is the number of the frame that is lit.
    """

    view: bytes
    width: int
    faces: Sequence[Face]
    viewer: Direction | None
    frame: int


@dataclass(frozen=True, slots=True)
class _Chart:
    """One direction over the time of the film, in degrees; `ends` are the lowest and the highest shown.

    `place` is what the grid of frames has in this direction: "column" or "row".
    """

    name: str
    place: str
    viewer: Sequence[float | None]
    sitter: Sequence[float]
    ends: tuple[float, float]


def film(shots: Sequence[FilmMoment], pack: Pack) -> bytes:
    """Return an animated WebP of the shots."""
    frames = _Frames(pack)
    charts = _charts(shots, pack.info.main)
    images = [_draw(shots, i, frames, charts) for i in range(len(shots))]
    packed = io.BytesIO()
    images[0].save(
        packed,
        "WEBP",
        save_all=True,
        append_images=images[1:],
        duration=round(1000 / RATE),
        loop=0,
        quality=62,
        method=2,
    )
    return packed.getvalue()


def small_view(picture: Picture) -> bytes:
    """Return a picture as a small JPEG, in memory only."""
    packed = io.BytesIO()
    Image.fromarray(picture.to_rgb()).resize(VIEW, Image.Resampling.BILINEAR).save(packed, "JPEG", quality=90)
    return packed.getvalue()


class _Frames:
    """The pack's frames: the whole painting and a close-up of the eyes, made when first wanted."""

    def __init__(self, pack: Pack) -> None:
        self._pack, self.grid = pack, pack.info.main
        self._painting = pack.base()
        self._around_eyes = _around_eyes(self._painting, self.grid.box)
        self._made: dict[int, tuple[Image.Image, Image.Image]] = {}

    def made(self, frame: int) -> tuple[Image.Image, Image.Image]:
        """Return the painting and the eyes in a frame."""
        if frame not in self._made:
            self._painting.paste(self._pack.patch(frame), self.grid.box[:2])
            self._made[frame] = (
                ImageOps.contain(self._painting, _PORTRAIT, Image.Resampling.LANCZOS),
                self._painting.resize(_EYES, Image.Resampling.LANCZOS, self._around_eyes),
            )
        return self._made[frame]


def _around_eyes(painting: Image.Image, box: Box) -> tuple[float, float, float, float]:
    """Return the part of a painting around the sitter's eyes, of the close-up's shape."""
    x0, y0, x1, y1 = box
    side = max(x1 - x0, y1 - y0) * 1.2
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    picture = RgbPicture(np.asarray(painting), 0.0, 0)
    region = Region(x - side / 2, y - side / 2, x + side / 2, y + side / 2)
    faces = FaceDetector("short", 0.1).detect(picture, region)
    half = (x1 - x0) * 0.56
    if faces:  # a portrait's patch may be as large as the head
        (x, y), half = faces[0].eye_midpoint, faces[0].eye_distance * 1.1
    rise = half * _EYES[1] / _EYES[0]
    return max(x - half, 0), max(y - rise, 0), min(x + half, painting.width), min(y + rise, painting.height)


def _charts(shots: Sequence[FilmMoment], grid: FrameGrid) -> list[_Chart]:
    """Return the chart of the gaze sideways, and that of the gaze up and down."""
    charts = []
    for axis, (name, place) in enumerate((("sideways", "column"), ("up and down", "row"))):
        viewer = [None if shot.viewer is None else shot.viewer[axis] for shot in shots]
        sitter = [direction_of(grid, shot.frame)[axis] for shot in shots]
        reached = [*(angle for angle in viewer if angle is not None), *(grid.angles, grid.pitches)[axis]]
        # At least a degree to each side: a grid of one row reaches nowhere.
        charts.append(_Chart(name, place, viewer, sitter, (min(*reached, -1.0), max(*reached, 1.0))))
    return charts


def _draw(shots: Sequence[FilmMoment], i: int, frames: _Frames, charts: Sequence[_Chart]) -> Image.Image:
    shot = shots[i]
    image = Image.new("RGB", _SIZE, _BACK)
    image.paste(_view(shot), (_GAP, _GAP))
    top = 2 * _GAP + VIEW[1]
    painting, eyes = frames.made(shot.frame)
    image.paste(eyes, (_GAP, top))
    top += _EYES[1] + _GAP
    row, column = frames.grid.place(shot.frame)
    for chart, place in zip(charts, (column, row), strict=True):
        image.paste(_drawn(chart, i, place), (_GAP, top))
        top += _CHART[1] + _GAP
    image.paste(painting, (2 * _GAP + VIEW[0], _GAP))
    return image


def _view(shot: FilmMoment) -> Image.Image:
    """Return the camera's view mirrored, as visitors would see themselves."""
    scale = VIEW[0] / shot.width
    image = Image.open(io.BytesIO(shot.view)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    draw = ImageDraw.Draw(image)
    for face in shot.faces:
        x0, y0, x1, y1 = (v * scale for v in face.box)
        draw.rectangle((VIEW[0] - x1, y0, VIEW[0] - x0, y1), outline=VIEWER, width=2)
        for x, y in (face.right_eye, face.left_eye):
            cx, cy = VIEW[0] - x * scale, y * scale
            draw.ellipse((cx - 2.5, cy - 2.5, cx + 2.5, cy + 2.5), fill=_SITTER)
    return _labelled(image, "the camera's view, as in a mirror")


def _drawn(chart: _Chart, now: int, place: int) -> Image.Image:
    """Draw a chart up to the shot `now`, in which the frame is at `place`: its column or row."""
    image = Image.new("RGB", _CHART, "#211e17")
    draw = ImageDraw.Draw(image)
    left, right, top, bottom = 8, _CHART[0] - 8, 24, _CHART[1] - 6
    step = (right - left) / max(len(chart.sitter) - 1, 1)
    low, high = chart.ends

    def at(i: int, angle: float) -> tuple[float, float]:
        return left + i * step, bottom - (angle - low) / (high - low) * (bottom - top)

    draw.line((*at(0, 0), *at(len(chart.sitter) - 1, 0)), fill="#4a4436")
    for j in range(1, now + 1):
        before, after = chart.viewer[j - 1], chart.viewer[j]
        if before is not None and after is not None:
            draw.line((*at(j - 1, before), *at(j, after)), fill=VIEWER, width=3)
        was, now_is = chart.sitter[j - 1], chart.sitter[j]
        draw.line((*at(j - 1, was), *at(j, was), *at(j, now_is)), fill=_SITTER, width=2)
    font = _font()
    draw.text((8, 4), chart.name, fill=_TEXT, font=font)
    draw.text((104, 4), "the viewer", fill=VIEWER, font=font)
    draw.text((186, 4), f"the sitter's gaze, {chart.place} {place}", fill=_SITTER, font=font)
    return image


def _labelled(image: Image.Image, text: str) -> Image.Image:
    draw, font = ImageDraw.Draw(image), _font()
    x0, y0, x1, y1 = draw.textbbox((8, 5), text, font=font)
    draw.rectangle((x0 - 4, y0 - 3, x1 + 4, y1 + 3), fill=_BACK)
    draw.text((8, 5), text, fill=_TEXT, font=font)
    return image


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    try:
        return ImageFont.load_default(13)
    except TypeError:  # Pillow before 10.1 has one size
        return ImageFont.load_default()


# Seconds for a picture above which the demo is no measure (guess: three times 1/30 s, the camera's).
SLOWEST: Final = 0.1
# The film starts when the demo's visitor has come in.
FILM_START: Final = 0.6
FILM_SECONDS: Final = 8.0


@dataclass(frozen=True, slots=True)
class _Seen:
    moment: float
    view: bytes
    width: int
    faces: Sequence[Face]


class Recorder:
    """An observer that notes flips and faces, and keeps small views of the film's seconds."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.pictures = self.with_face = 0
        self.flips: list[tuple[float, int]] = []
        self.delays: list[float] = []
        self.views: list[_Seen] = []
        self.camera: GalleryCamera | None = None

    def saw(self, picture: Picture, faces: Sequence[Face], target: GazeTarget, camera: Camera) -> None:
        """Note a picture; the first one starts the clock of the film."""
        if self.camera is None:
            assert isinstance(camera, GalleryCamera)
            self.camera, self.began = camera, time.monotonic()
        self.pictures += 1
        self.with_face += bool(faces)
        now = time.monotonic()
        filmed = FILM_START - 0.2 <= now - self.began <= FILM_START + FILM_SECONDS
        if filmed and (not self.views or now - self.views[-1].moment > 0.9 / RATE):
            self.views.append(_Seen(now, small_view(picture), picture.width, list(faces)))

    def lit(self, frames: tuple[int, ...], target: GazeTarget | None, moment: float) -> None:
        """Note a flip, and its delay when a viewer caused it."""
        self.flips.append((moment, frames[0]))
        if target is not None and target.viewer is not None:
            self.delays.append(moment - target.captured)


def demo(out: Path, display: str | None, seconds: float, say: Callable[[str], None]) -> None:
    """Run the demo for some seconds and leave film, contact sheet and summary in `out`.

    Raises
    ------
    CannotWrite
        If `out` cannot be written.
    BadPack, BadAsset, NoDisplay
        If the checkout was not set up, or the display asked for is not there.
    """
    pack = Pack(home_folder() / "frames" / "sconosciuta")
    try:
        out.mkdir(parents=True, exist_ok=True)
        check_writable(out / "film.webp")
    except OSError as error:
        raise CannotWrite(f"{out}: cannot be written ({error.strerror})") from error
    if slow := slowness(seconds_per_picture()):
        say(slow)
    recorder, ended = _record(pack, out, display, seconds, say)
    if recorder.camera is None:
        raise CameraStalled("the demo ended before the gallery's first picture; give it more --seconds")
    text = _summary(recorder, pack, ended)
    say("drawing the film and the contact sheet")
    sheet = ContactSheet(pack.base(), pack.info.main)
    for _ in sheet.pass_through(pack.patch(i) for i in range(pack.info.main.count)):
        pass
    write_atomic(out / "contact-sheet.png", png_bytes(sheet.image))
    if shots := _shots(recorder, pack, ended):
        write_atomic(out / "film.webp", film(shots, pack))
    write_atomic(out / "summary.txt", text.encode())
    for line in text.splitlines():
        say(line)
    if slow := slowness((ended - recorder.began) / recorder.pictures):
        say(slow)
    say(f"film, contact sheet and summary are in {out}")


def seconds_per_picture(pictures: int = 5) -> float:
    """Measure the median time in which this machine draws one picture of the gallery and finds its faces."""
    detector, times = FaceDetector("full"), []
    with GalleryCamera(load_walk("demo"), pace=False) as camera:
        for _ in range(pictures + 1):
            began = time.monotonic()
            picture = camera.newest()
            detector.detect(picture, Region(0, 0, picture.width, picture.height))
            times.append(time.monotonic() - began)
    return statistics.median(times[1:])  # the first one loads what the others find in memory


def how_to_end(output: str) -> str:
    """Return in words how a person ends a demo in a window; empty for another output."""
    in_window = output == "window" or (output == "auto" and has_desktop())
    return "; to end it sooner, close its window or press Ctrl-C in this terminal" if in_window else ""


def slowness(seconds: float) -> str:
    """Return a warning if a picture takes so long that the demo shows the machine and not the sitter."""
    if seconds <= SLOWEST:
        return ""
    return (
        f"warning: this machine takes {1000 * seconds:.0f} ms for a picture, {1 / seconds:.0f} in a second. "
        f"Under {1 / SLOWEST:.0f} the eyes trail behind: do not judge the sitter by this film"
    )


def _record(
    pack: Pack, out: Path, display: str | None, seconds: float, say: Callable[[str], None]
) -> tuple[Recorder, float]:
    config = Config()
    config = replace(config, camera=replace(config.camera, source="gallery"))
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    shown = ["auto"] if has_desktop() or usable_connectors() else []  # a demo waits for no monitor
    for output in [display] if display else [*shown, f"offscreen:{out / 'lit'}"]:
        recorder = Recorder()
        try:
            config = replace(config, display=replace(config.display, output=output))
            say("making the portrait ready for the screen")
            _prepare(config, pack, stop)
            say(f"running for {seconds:g} s on {output}{how_to_end(output)}")
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
    with PortraitScreen(config.display) as screen:
        screen.light(pack)
        screen.load(pack, stop)


def _summary(recorder: Recorder, pack: Pack, ended: float) -> str:
    assert recorder.camera is not None
    grid, truth = pack.info.main, true_direction(recorder.camera, Config())
    aside, up = gaze_error(recorder.flips, grid, truth, recorder.began, ended)
    used = {frame for _, frame in recorder.flips}
    rows_used = len({grid.place(frame)[0] for frame in used})
    delays = [1000 * delay for delay in recorder.delays] or [float("nan")]
    median, late = statistics.median(delays), p95(delays)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seen = f"{recorder.pictures} ({recorder.pictures / (ended - recorder.began):.1f}/s)"
    rows = {
        "pictures seen": seen,
        "with a face": f"{recorder.with_face}",
        "frames used": f"{len(used)} of {grid.count}, in {rows_used} of {len(grid.pitches)} rows; "
        f"{len(recorder.flips)} flips",
        "error sideways": _told(aside, f"{grid.angles[0]:.0f} to {grid.angles[-1]:.0f} degrees"),
        "error up, down": _told(up, f"{grid.pitches[-1]:.0f} to {grid.pitches[0]:.0f} degrees"),
        "picture to flip": f"median {median:.0f}, p95 {late:.0f} ms (60 ms of it the simulated camera's)",
        "peak memory": f"{peak:.0f} MB",
    }
    return "".join(f"{name:16} {value}\n" for name, value in rows.items())


def _told(error: GazeErrorSummary, reach: str) -> str:
    return (
        f"median {error.median:.2f}, p95 {error.p95:.2f} degrees over {error.seconds:.1f} s; "
        f"median {error.reachable:.2f} within the sitter's {reach}"
    )


def _shots(recorder: Recorder, pack: Pack, ended: float) -> list[FilmMoment]:
    assert recorder.camera is not None
    truth = true_direction(recorder.camera, Config())
    views, flips = recorder.views, recorder.flips
    moments, flipped = [seen.moment for seen in views], [moment for moment, _ in flips]
    shots = []
    start = recorder.began + FILM_START
    for t in np.arange(start, min(start + FILM_SECONDS, ended), 1 / RATE):
        if i := bisect_right(moments, t):
            frame = flips[max(bisect_right(flipped, t) - 1, 0)][1]
            seen = views[i - 1]
            shots.append(FilmMoment(seen.view, seen.width, seen.faces, truth(float(t)), frame))
    return shots
