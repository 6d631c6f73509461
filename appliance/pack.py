"""A pack: the frames of one portrait on disk, written by portrait and read by display."""

import io
import json
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from appliance.errors import BadPack, CannotWrite
from appliance.files import new_folder, restore, uninterrupted, write_atomic
from appliance.rights import as_owner, owner_of

if TYPE_CHECKING:  # a pack that was compiled is lit without Pillow, which would take its time to load
    from PIL import Image

FORMAT: Final = 1
FRAMES: Final = 33

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class PackInfo:
    """What pack.toml says.

    `size` is (width, height) of the picture; `box` is (x0, y0, x1, y1), the rectangle that changes,
    in its pixels; `angles` is the sitter's gaze in degrees for every frame, rising, 0 towards a
    viewer in front and positive to picture right; `resting` is the frame that is the painting.
    """

    title: str
    artist: str
    licence: str
    source: str
    source_sha256: str
    size: tuple[int, int]
    box: Box
    frames: int
    resting: int
    angles: tuple[float, ...]
    engine: str
    settings: dict[str, float | int | str | bool]


class Pack:
    """A pack on disk, read image by image."""

    def __init__(self, folder: Path) -> None:
        """Read and check pack.toml.

        Raises
        ------
        BadPack
            If the folder or pack.toml is missing, damaged or of another format.
        """
        try:
            restore(folder)
        except OSError as error:
            raise BadPack(f"{folder}: cannot be read ({error.strerror})") from error
        self.folder = folder
        self.info = _read_info(folder)

    def base(self) -> "Image.Image":
        """Return the whole picture, RGB; raises `BadPack`."""
        return self._image("base.png", self.info.size)

    def patch(self, frame: int) -> "Image.Image":
        """Return the rectangle that changes, as it is in one frame, RGB; raises `BadPack`."""
        x0, y0, x1, y1 = self.info.box
        return self._image(patch_name(frame), (x1 - x0, y1 - y0))

    def check(self) -> None:
        """Read every image once; raises `BadPack`."""
        self.base()
        for frame in range(self.info.frames):
            self.patch(frame)

    def _image(self, name: str, size: tuple[int, int]) -> "Image.Image":
        from PIL import Image, UnidentifiedImageError

        path = self.folder / name
        try:
            data = io.BytesIO(path.read_bytes())
            Image.open(data).verify()  # the checksums of all chunks, which load() does not look at
            with Image.open(data) as image:
                if image.size == size and image.mode == "RGB":
                    image.load()
                    return image.copy()
                found = f"{image.width}x{image.height} {image.mode}"
        except FileNotFoundError as error:
            raise BadPack(f"{path}: missing; render the portrait again") from error
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            cause = "no image" if isinstance(error, UnidentifiedImageError) else error
            raise BadPack(f"{path}: damaged ({cause}); render the portrait again") from error
        expected = f"{size[0]}x{size[1]} RGB"
        raise BadPack(f"{path}: {found}, expected {expected} (pack.toml); render the portrait again")


def check_place(folder: Path) -> None:
    """Make sure that a pack may be written there: nothing but an earlier pack is ever replaced.

    Raises
    ------
    CannotWrite
        If something else is there.
    """
    try:
        free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
        if free or (folder / "pack.toml").is_file():
            return
    except OSError as error:
        raise CannotWrite(f"{folder}: cannot be written ({error.strerror})") from error
    raise CannotWrite(f"{folder}: exists and is no pack; expected the name of a new folder")


def write_pack(
    folder: Path,
    info: PackInfo,
    base: "Image.Image",
    patches: "Iterable[Image.Image]",
    beside: Callable[[], Mapping[str, bytes]] = dict,
) -> None:
    """Write a pack whole or not at all, also on Ctrl-C.

    Parameters
    ----------
    patches : may be a generator, drawn from one by one
    beside : files that belong to it, asked for when all patches are drawn, and written beside the
        folder under the names it gives: with the pack, or neither

    Raises
    ------
    ValueError
        If an image does not fit `info`: a fault of the caller.
    CannotWrite
        If the folder cannot be written, or holds something else.
    """
    check_place(folder)
    target = Path(os.path.realpath(folder))  # a link to a pack stays one
    if os.geteuid() == 0 and owner_of(folder) != owner_of(target):
        raise CannotWrite(f"{folder}: a link of another user's; expected the name of a folder")
    x0, y0, x1, y1 = info.box
    with ExitStack() as held:
        with new_folder(target) as new:
            _save(base, info.size, new / "base.png")
            count = 0
            for patch in patches:
                _save(patch, (x1 - x0, y1 - y0), new / patch_name(count))
                count += 1
            if count != info.frames or len(info.angles) != info.frames:
                raise ValueError(f"{count} patches and {len(info.angles)} angles, expected {info.frames}")
            _write(new / "pack.toml", _dump(info).encode())
            files = beside()
            held.enter_context(uninterrupted())
        for name, data in files.items():
            write_atomic(folder.with_name(name), data)


def patch_name(frame: int) -> str:
    """Return the file name of a frame's patch."""
    return f"patch_{frame:02d}.png"


def _save(image: "Image.Image", size: tuple[int, int], path: Path) -> None:
    if image.size != size or image.mode != "RGB":
        raise ValueError(f"{path.name}: {image.size} {image.mode}, expected {size} RGB")
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    _write(path, buffer.getvalue())


def _write(path: Path, data: bytes) -> None:
    with as_owner(path.parent):
        path.write_bytes(data)


def _dump(info: PackInfo) -> str:
    rows = [f"format = {FORMAT}"]
    for field in fields(info):
        value = getattr(info, field.name)
        if field.name != "settings":
            rows.append(f"{field.name} = {_toml(value)}")
    rows += ["", "[settings]"]
    rows += [f"{key} = {_toml(value)}" for key, value in info.settings.items()]
    return "\n".join(rows) + "\n"


def _toml(value: Any) -> str:
    # JSON's scalars and lists are TOML's, but for the one control character that JSON does not escape,
    # and for what is no text: bytes of a file's name that are not UTF-8.
    text = json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")
    return text.encode("utf-8", "replace").decode("utf-8")


def _read_info(folder: Path) -> PackInfo:
    path = folder / "pack.toml"
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise BadPack(f"{folder}: no pack there; make one with `mona-lisa portrait render`") from error
    except (OSError, ValueError, RecursionError) as error:
        cause = error.strerror if isinstance(error, OSError) else error
        raise BadPack(f"{path}: cannot be read ({cause}); render the portrait again") from error
    found = tree.pop("format", None)
    if found != FORMAT:
        raise BadPack(f"{path}: format = {found}, expected {FORMAT}; render the portrait again")
    names = {field.name for field in fields(PackInfo)}
    if wrong := names ^ tree.keys():
        raise BadPack(f"{path}: missing or unknown key {', '.join(sorted(wrong))}; render the portrait again")
    for name, right, expected in _rules(tree):
        if not right:
            raise BadPack(f"{path}: {name} = {tree[name]}; expected {expected}; render the portrait again")
    tree |= {name: tuple(tree[name]) for name in ("size", "box")}
    tree["angles"] = tuple(float(angle) for angle in tree["angles"])
    return PackInfo(**tree)


def _rules(tree: dict[str, Any]) -> Iterable[tuple[str, bool, str]]:
    for name in ("title", "artist", "licence", "source", "source_sha256", "engine"):
        yield name, isinstance(tree[name], str), "text"
    settings = tree["settings"]
    plain = isinstance(settings, dict) and all(type(v) in (float, int, str, bool) for v in settings.values())
    yield "settings", plain, "a table of numbers, texts and booleans"
    size, box, frames, angles = (tree[name] for name in ("size", "box", "frames", "angles"))
    yield "size", _integers(size, 2) and min(size) > 0, "[width, height]"
    inside = _integers(box, 4) and 0 <= box[0] < box[2] <= size[0] and 0 <= box[1] < box[3] <= size[1]
    yield "box", inside, "[x0, y0, x1, y1] inside the picture"
    yield "frames", type(frames) is int and 2 <= frames <= 999, "a whole number from 2"
    yield "resting", type(tree["resting"]) is int and 0 <= tree["resting"] < frames, "one of the frames"
    numbers = isinstance(angles, list) and all(type(a) in (int, float) and abs(a) <= 360 for a in angles)
    rising = numbers and all(a < b for a, b in pairwise(angles))
    yield "angles", rising and len(angles) == frames, f"{frames} rising numbers"


def _integers(value: Any, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(type(v) is int for v in value)
