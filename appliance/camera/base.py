"""The output of every camera: pictures with a time, that can be read region by region."""

import math
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from appliance.camera.sampling import PER_GREY_LEVEL, Floats, Pixels, Region, average_region, read_yuv_region
from appliance.clock import CLOCK, Clock


def rotate_picture(pixels: Pixels, rotation: int) -> Pixels:
    """Turn a picture, uint8 of shape (height, width, 3), by 0 or 180 degrees."""
    return np.ascontiguousarray(pixels[::-1, ::-1]) if rotation == 180 else pixels


@dataclass(frozen=True, slots=True)
class RgbPicture:
    """A picture as RGB, uint8 of shape (height, width, 3).

    `captured` is the middle of the exposure in seconds on the monotonic clock. `number` counts the pictures
    that the camera took; a gap in the numbers means dropped pictures.
    """

    pixels: Pixels
    captured: float
    number: int

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    def read_region(self, region: Region, out: Floats) -> None:
        """Average a region down into `out`, float32 (rows, columns, 3), RGB in [-1, 1]; border black."""
        average_region(self.pixels, region, out, PER_GREY_LEVEL, -1.0, border=-1.0)

    def sample(self, step: int) -> Pixels:
        """Return a view of the green of one pixel in step x step, which is enough to detect motion."""
        return self.pixels[step // 2 :: step, step // 2 :: step, 1]

    def to_rgb(self) -> Pixels:
        """Return the whole picture as RGB, uint8 of shape (height, width, 3)."""
        return self.pixels


@dataclass(frozen=True, slots=True)
class YuvPicture:
    """A picture as YUV 4:2:0 planes, BT.601 at full range.

    `y` is uint8 (height, width), `u` and `v` are (height / 2, width / 2); they may be views into
    rows that are longer (a stride) or interleaved (NV12).
    """

    y: Pixels
    u: Pixels
    v: Pixels
    captured: float
    number: int

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.y.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.y.shape[0])

    def read_region(self, region: Region, out: Floats) -> None:
        """Average a region down into `out`, float32 (rows, columns, 3), RGB in [-1, 1]; border black."""
        read_yuv_region(self.y, self.u, self.v, region, out)

    def sample(self, step: int) -> Pixels:
        """Return a view of the luma of one pixel in step x step, which is enough to detect motion."""
        return self.y[step // 2 :: step, step // 2 :: step]

    def to_rgb(self) -> Pixels:
        """Return the whole picture as RGB, uint8 of shape (height, width, 3)."""
        out = np.empty((self.height, self.width, 3), np.float32)
        self.read_region(Region(0, 0, self.width, self.height), out)
        return ((out + 1) * 127.5 + 0.5).astype(np.uint8)


Picture = RgbPicture | YuvPicture


class ReadablePicture(Protocol):
    """A picture that a model can use: it has a size in pixels, and reads regions into the model's input."""

    @property
    def width(self) -> int:
        """Width in pixels."""

    @property
    def height(self) -> int:
        """Height in pixels."""

    def read_region(self, region: Region, out: Floats) -> None:
        """Average a region down into `out`, float32 (rows, columns, 3), RGB in [-1, 1]; border black."""


@dataclass(frozen=True, slots=True)
class MeanPicture:
    """The mean of two successive pictures of one size, which has less noise in the dark."""

    newer: Picture
    older: Picture

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.newer.width

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.newer.height

    def read_region(self, region: Region, out: Floats) -> None:
        """Average a region of both pictures down into `out`, as `Picture.read_region` does."""
        self.newer.read_region(region, out)
        before = np.empty_like(out)
        self.older.read_region(region, before)
        out += before
        out *= np.float32(0.5)


class Camera(Protocol):
    """A source of pictures: a context manager that yields the newest one.

    `horizontal_fov` is the angle of view across the picture's width, in degrees; `model` is the
    name of a real camera, empty before it is open and of a simulated one.
    """

    horizontal_fov: float
    model: str

    def __enter__(self) -> Self:
        """Open the camera; raises `CameraAbsent` or `CameraBusy`."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the camera."""

    def newest(self) -> Picture:
        """Wait for a picture newer than the last one returned.

        Raises
        ------
        CameraStalled
            If none comes within the camera's timeout.
        CameraEnded
            If a recorded camera has no more.
        """

    def set_rate(self, rate: float) -> None:
        """Take `rate` pictures per second from now on; a recording keeps its own rate."""


class PicturePacer:
    """Numbers pictures and gives each its time.

    In real time, picture n is captured n / rate seconds after `start` and available `latency` seconds later.
    A slow reader gets the newest picture, and the numbers in between are skipped. Otherwise time is virtual:
    it begins at 0, there is no waiting, and no picture is skipped.
    """

    def __init__(self, rate: float, latency: float = 0.0, real: bool = True, clock: Clock = CLOCK) -> None:
        """`rate` is in pictures per second, > 0; `latency` in seconds, >= 0."""
        self.latency, self.real, self._clock = latency, real, clock
        self._first_rate = rate
        self.begun = 0.0
        self.start()

    def start(self) -> None:
        """Start now with picture 0."""
        self.begun = self._clock.monotonic() if self.real else 0.0
        self.rate, self._from, self._since = self._first_rate, 0, self.begun
        self._last = -1

    def set_rate(self, rate: float) -> None:
        """Take `rate` pictures per second after the picture that was delivered last."""
        if rate != self.rate:
            last = max(self._last, 0)
            self._since, self._from, self.rate = self.captured(last), last, rate

    def next_number(self, final: int | None = None) -> int:
        """Return the number of the picture to deliver next: the newest available one, or else the next.

        Of a recording whose last number is `final`, the last picture is never skipped; after it
        comes `final + 1`.
        """
        following = newest = self._last + 1
        if self.real:
            newest = self._from + math.floor(
                (self._clock.monotonic() - self._since - self.latency) * self.rate
            )
            if final is not None:
                newest = min(newest, final)
        self._last = max(following, newest)
        return self._last

    def captured(self, number: int) -> float:
        """Return when a picture is taken, in seconds: on the monotonic clock if real, else from 0."""
        return self._since + (number - self._from) / self.rate

    def wait(self, number: int) -> None:
        """Wait until a picture is available, if time is real."""
        if self.real:
            self._clock.sleep(max(0.0, self.captured(number) + self.latency - self._clock.monotonic()))
