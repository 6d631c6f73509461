"""A driving film, read picture by picture: upright, no larger than needed, never whole in memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.video.frame import VideoFrame

from appliance.camera.averaging import Pixels
from appliance.errors import BadFilm

# Longer films are thinned to at most so many pictures: a sweep of ten seconds needs no more.
MOST: Final = 450
# The long side down to which pictures are reduced, in pixels: a face fills a third of it or more.
_LONGEST: Final = 1280
_FEWEST: Final = 3


class Film:
    """The pictures of a film at even times; `len` tells how many, `seconds` how far they lie apart."""

    def __init__(self, path: Path) -> None:
        """Count a film's pictures; raises `BadFilm` if there are none that can be read."""
        self.path = path
        try:
            with av.open(str(path)) as container:
                if not container.streams.video:
                    raise BadFilm(f"{path}: no film (no pictures in it); expected a video file")
                stream = container.streams.video[0]
                rate = float(stream.average_rate or 30)
                count = sum(1 for packet in container.demux(stream) if packet.size)
        except (av.error.FFmpegError, OSError) as error:
            raise BadFilm(f"{path}: no film that can be read ({_brief(error)})") from error
        self._step = -(-count // MOST)
        self._most = -(-count // max(self._step, 1))
        self.seconds = max(self._step, 1) / rate
        if self._most < _FEWEST:
            raise BadFilm(f"{path}: {count} pictures; expected a film of some seconds")

    def __len__(self) -> int:
        """Return how many pictures there are at most: the last ones may turn out cut short."""
        return self._most

    def __iter__(self) -> Iterator[Pixels]:
        """Yield the pictures, RGB uint8 (height, width, 3); raises `BadFilm` if one cannot be read."""
        index = -1
        try:
            with av.open(str(self.path)) as container:
                container.streams.video[0].thread_type = "AUTO"
                for index, frame in enumerate(container.decode(video=0)):
                    if index % self._step == 0:
                        yield _upright(frame)
        except (av.error.FFmpegError, OSError) as error:
            raise BadFilm(
                f"{self.path}: damaged after picture {index + 1} ({_brief(error)}); expected a whole film"
            ) from error


def _upright(frame: VideoFrame) -> Pixels:
    part = min(1.0, _LONGEST / max(frame.width, frame.height))
    # Even sides, as halved colour needs them.
    width, height = (max(2 * round(part * side / 2), 2) for side in (frame.width, frame.height))
    pixels = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
    # Telephones film lying and note how they were held: degrees, counter-clockwise.
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))


def _brief(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)[:80]
