"""A driving film without a person: the bundled portrait's own frames, played from side to side."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from PIL import Image

from appliance.assets import home
from appliance.pack import Pack

SIZE: Final = (360, 640)


def frames_of_the_sitter() -> list[Image.Image]:
    """Return the frames of the bundled portrait's level gaze, small; the first looks to picture left."""
    pack = Pack(home() / "frames" / "sconosciuta")
    grid, whole, shown = pack.info.main, pack.base(), []
    for column in range(len(grid.angles)):
        whole.paste(pack.patch(grid.number(grid.resting[0], column)), grid.box[:2])
        shown.append(whole.resize(SIZE, Image.Resampling.BOX))
    return shown


def there_and_back(pictures: int = 60) -> list[int]:
    """Return the frames of a film: from the middle to the left, over to the right and to the middle again."""
    time = np.linspace(0, 2 * np.pi, pictures)
    return [round(16 - 16 * float(value)) for value in np.sin(time)]


def write_film(path: Path, pictures: Iterable[Image.Image], rotation: int = 0) -> Path:
    """Write a film of 30 pictures a second.

    Parameters
    ----------
    pictures : all of one size, with even sides
    rotation : by which it is to be turned when shown, degrees counter-clockwise, as telephones note it
    """
    with av.open(str(path), "w") as container:
        stream: Any = None
        for picture in pictures:
            if stream is None:
                stream = container.add_stream("mpeg4", rate=30)
                stream.width, stream.height = picture.size
                stream.pix_fmt, stream.bit_rate = "yuv420p", 8_000_000
                if rotation:
                    stream.set_display_rotation(rotation)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture))))
        container.mux(stream.encode())
    return path
