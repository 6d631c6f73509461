"""A camera that shows a folder of picture files, in the order of their names."""

import logging
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from appliance.camera.base import PicturePacer, RgbPicture, rotate_picture
from appliance.clock import CLOCK, Clock
from appliance.errors import BadImage, CameraAbsent, CameraEnded
from appliance.images import image_files, read_pixels

_log = logging.getLogger(__name__)

PICTURE_SKIPPED: Final = "picture skipped: %s"


class ReplayCamera:
    """A `Camera` that plays image files, one for each picture, of any size.

    A file that is no complete image is skipped and logged once; its number is skipped too.
    `name` is the file name of the picture last returned.
    """

    def __init__(
        self,
        folder: Path,
        rate: float = 30.0,
        horizontal_fov: float = 66.0,
        pace: bool = True,
        loop: bool = False,
        rotation: int = 0,
        clock: Clock = CLOCK,
    ) -> None:
        """Set the folder, which is read on entering.

        Parameters
        ----------
        folder : of image files
        rate : pictures per second
        horizontal_fov : degrees across the width
        pace : whether it plays in real time on the monotonic clock, where a slow reader gets the newest
            picture; otherwise time is virtual, begins at 0, and no picture is skipped
        loop : whether it starts again after the last picture, with rising numbers and times
        rotation : degrees by which the pictures are turned, 0 or 180
        clock : what "real time" is
        """
        self.horizontal_fov = horizontal_fov
        self.model = ""
        self.name = ""
        self._rotation = rotation
        self._folder, self._loop = folder, loop
        self._pace = PicturePacer(rate, real=pace, clock=clock)
        self._files: list[Path] = []
        self._broken: set[Path] = set()

    def __enter__(self) -> Self:
        """List the folder; raises `CameraAbsent` if it is missing or holds no image file."""
        try:
            self._files = image_files(self._folder)
        except OSError as error:
            raise CameraAbsent(f"{self._folder}: cannot be read as a folder ({error.strerror})") from error
        if not self._files:
            raise CameraAbsent(f"{self._folder}: no pictures; expected a folder of image files")
        self._broken.clear()
        self._pace.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: there is nothing to close."""

    def set_rate(self, rate: float) -> None:
        """Do nothing: a recording keeps its own rate."""

    def newest(self) -> RgbPicture:
        """Return the newest picture; waits for the next one if it was returned already.

        Raises `CameraEnded` after the last picture, and `CameraAbsent` if none of the files can be read.
        """
        count = len(self._files)
        while len(self._broken) < count:
            number = self._pace.next_number(None if self._loop else count - 1)
            if number >= count and not self._loop:
                raise CameraEnded(f"{self._folder}: no more pictures after {self._files[-1].name}")
            path = self._files[number % count]
            if path in self._broken:
                continue
            try:
                pixels = read_pixels(path)
            except BadImage as error:
                self._broken.add(path)
                _log.warning(PICTURE_SKIPPED, error)
                continue
            self._pace.wait(number)
            self.name = path.name
            return RgbPicture(rotate_picture(pixels, self._rotation), self._pace.captured(number), number)
        raise CameraAbsent(f"{self._folder}: none of its {count} image files can be read")
