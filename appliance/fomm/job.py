"""A job's folder: what is done is kept, so that a job cut off goes on where it was."""

import io
import json
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from appliance.errors import BadImage, CannotWrite
from appliance.files import remove_abandoned, write_atomic
from appliance.images import read_pixels

_FACTS: Final = "job.json"
_OURS: Final = ("frame_*.png", "motion_*.npy", "*.npz", _FACTS)
# What NumPy, and what it reads by, raise for files that are not there, cut short or damaged.
_NOT_WHOLE: Final = (
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)

Arrays = dict[str, NDArray[Any]]


class Job:
    """A folder that belongs to one combination of inputs; every file in it is whole or absent."""

    def __init__(self, folder: Path, facts: Mapping[str, object], say: Callable[[str], None]) -> None:
        """Take up the job of these facts, or begin it.

        Raises
        ------
        CannotWrite
            If the folder holds something else, or cannot be written.
        """
        self._folder = folder
        wanted = (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode()
        path = folder / _FACTS
        try:
            if path.is_file():
                remove_abandoned(folder.glob(".*.new-*"))
                if path.read_bytes() == wanted:
                    return
                say(f"{folder}: made from other inputs or settings; beginning anew")
                for pattern in _OURS:
                    for file in folder.glob(pattern):
                        file.unlink()
            elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise CannotWrite(
                    f"{folder}: exists and is no folder of frames; move it, or choose another --out"
                )
        except OSError as error:
            if isinstance(error, CannotWrite):
                raise
            raise CannotWrite(f"{folder}: cannot be used ({error.strerror})") from error
        write_atomic(path, wanted)

    def arrays(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """Return the arrays kept under a name, made first if they are not there, whole."""
        path = self._folder / f"{name}.npz"
        kept: Arrays | None = _whole(path)
        if kept is None:
            kept = make()
            buffer = io.BytesIO()
            np.savez(buffer, **kept)
            write_atomic(path, buffer.getvalue())
        return kept

    def frame_file(self, index: int) -> Path:
        """Return where a frame is kept."""
        return self._folder / f"frame_{index:02d}.png"

    def has_frame(self, index: int) -> bool:
        """Tell whether a frame and its motion are there and whole."""
        try:
            read_pixels(self.frame_file(index))
        except BadImage:
            return False
        return _whole(self._motion_file(index)) is not None

    def keep_frame(self, index: int, pixels: NDArray[np.uint8], motion: NDArray[np.float32]) -> None:
        """Keep a frame, RGB uint8 (side, side, 3), and its motion, any array."""
        buffer = io.BytesIO()
        np.save(buffer, motion)
        write_atomic(self._motion_file(index), buffer.getvalue())
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        write_atomic(self.frame_file(index), buffer.getvalue())

    def motion(self, index: int) -> NDArray[np.float32]:
        """Return the motion kept with a frame."""
        kept: NDArray[np.float32] = np.load(self._motion_file(index), allow_pickle=False)
        return kept

    def _motion_file(self, index: int) -> Path:
        return self._folder / f"motion_{index:02d}.npy"


def _whole(path: Path) -> Any:
    """Return the array or the arrays of a file, nothing if it is not there or damaged."""
    try:
        with path.open("rb") as file:
            kept = np.load(file, allow_pickle=False)
            return {key: kept[key] for key in kept.files} if path.suffix == ".npz" else kept
    except _NOT_WHOLE:
        return None
