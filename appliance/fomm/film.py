"""A driving film, read picture by picture: upright, no larger than needed, never whole in memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame

from appliance.camera.averaging import Pixels
from appliance.errors import BadFilm
from appliance.files import open_regular
from appliance.portrait.sampling import Array

# Longer films are thinned to at most so many pictures: a sweep of ten seconds needs no more.
MOST: Final = 450
# The long side down to which pictures are reduced, in pixels: a face fills a third of it or more.
_LONGEST: Final = 1280
_FEWEST: Final = 3
# Most pixels of a film's pictures: 4K, of which a decoder holds several at once, 14 MB each.
MOST_PIXELS: Final = 9_500_000
# Files alone, in what cameras and editors write: FFmpeg would read texts as films, and lists that name
# other files or fetch them from the network.
_OPTIONS: Final = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,matroska,avi,mpegts,mpeg,asf,flv,ogg,gif,dv,mjpeg,m4v,h264,hevc",
}
# What FFmpeg's bindings raise on a damaged film, besides FFmpeg's own (seen in mutated films).
_DAMAGE: Final = (
    av.error.FFmpegError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    UnicodeError,
)


class Film:
    """The pictures of a film; `len` tells how many, `times` (n,) when each is shown, in seconds."""

    def __init__(self, path: Path) -> None:
        """Count a film's pictures; raises `BadFilm` if there are none that can be read."""
        self.path = path
        try:
            with _opened(path) as container:
                if not container.streams.video:
                    raise BadFilm(f"{path}: no film (no pictures in it); expected a video file")
                stream = container.streams.video[0]
                codec = stream.codec_context  # none for a kind of film that FFmpeg does not know
                if codec and codec.width * codec.height > MOST_PIXELS:
                    raise BadFilm(
                        f"{path}: {codec.width}x{codec.height} pixels; expected at most {MOST_PIXELS:,}, "
                        "as in 4K; make it smaller"
                    )
                told = [
                    None if packet.pts is None else float(packet.pts * packet.time_base)
                    for packet in container.demux(stream)
                    if packet.size
                ]
                times = _times(told, float(stream.average_rate or 30))
                self._stretch = float(stream.sample_aspect_ratio or 1)
        except _DAMAGE as error:
            raise BadFilm(
                f"{path}: no film that can be read ({_brief(error)}); expected MP4, MOV or the like"
            ) from error
        if len(times) < _FEWEST:
            one = "1 picture" if len(times) == 1 else f"{len(times)} pictures"
            raise BadFilm(f"{path}: {one}; expected a film of some seconds")
        self._step = -(-len(times) // MOST)
        self.times = times[:: self._step]

    def __len__(self) -> int:
        """Return how many pictures there are at most: the last ones may turn out cut short."""
        return len(self.times)

    def __iter__(self) -> Iterator[Pixels]:
        """Yield the pictures, RGB uint8 (height, width, 3); raises `BadFilm` if one cannot be read."""
        index = -1
        try:
            with _opened(self.path) as container:
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
                for index, frame in enumerate(container.decode(video=0)):
                    if index % self._step == 0:
                        yield _upright(frame, self._stretch)
            if index < 0:
                raise BadFilm(f"{self.path}: none of its pictures can be read; expected a whole film")
        except _DAMAGE as error:
            raise BadFilm(
                f"{self.path}: damaged after picture {index + 1} ({_brief(error)}); expected a whole film"
            ) from error


def _opened(path: Path) -> InputContainer:
    open_regular(path).close()
    # With its protocol: a colon in a name would be taken for one. Titles may be in any encoding.
    return av.open(f"file:{path}", options=_OPTIONS, metadata_errors="replace")


def _times(told: list[float | None], rate: float) -> Array:
    """Return when a film's pictures are shown, from the first, in seconds; cameras do not keep a rate."""
    # They come in the order of decoding. Some containers tell no times.
    known = np.sort([time for time in told if time is not None])
    times = known if len(known) == len(told) else np.arange(len(told)) / rate
    return times - times[:1]


def _upright(frame: VideoFrame, stretch: float) -> Pixels:
    """Return a picture as it is to be shown; its pixels are `stretch` times as wide as high."""
    wide = frame.width * stretch
    part = min(1.0, _LONGEST / max(wide, frame.height))
    # Even sides, as halved colour needs them.
    width, height = (max(2 * round(part * side / 2), 2) for side in (wide, frame.height))
    pixels = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
    # Telephones film lying and note how they were held: degrees, counter-clockwise.
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))


def _brief(error: Exception) -> str:
    if not isinstance(error, OSError | av.error.FFmpegError):  # others speak of Python's objects
        return "damaged"
    if isinstance(error, av.error.ArgumentError):  # of the formats above it is none
        return "a picture, a list, a text or the like"
    return str(getattr(error, "strerror", None) or error)[:80]
