"""A pack: the grid of frames of each sitter of one portrait, written by portrait and read by display."""

import io
import json
import os
import struct
import tomllib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from appliance.errors import ApplianceError, BadPack, CannotWrite
from appliance.files import (
    as_owner,
    hold_ctrl_c,
    new_folder,
    owner_of,
    read_regular,
    restore_interrupted,
    write_atomic,
)

if TYPE_CHECKING:  # a compiled pack is shown without Pillow, which takes long to import
    from PIL import Image


Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class FrameGrid:
    """The frames of one sitter.

    `box` is the rectangle that changes, (x0, y0, x1, y1), and `eyes` the middle between the sitter's eyes,
    (x, y), both in picture pixels. `angles` is the yaw of each column in degrees, rising: 0 towards a viewer
    in front, positive to picture right. `pitches` is the pitch of each row in degrees, falling: row 0 looks
    up, 0 is level. A row has every `steps[row]`-th column, including the first and the last; outer rows may
    be coarser, to save memory and time. `resting` is (row, column) of the frame that is the painting.

    Frames are numbered row by row, from 0.
    """

    box: Box
    eyes: tuple[float, float]
    angles: tuple[float, ...]
    pitches: tuple[float, ...]
    steps: tuple[int, ...]
    resting: tuple[int, int]

    @property
    def count(self) -> int:
        """The number of frames."""
        return sum(len(self.columns(row)) for row in range(len(self.pitches)))

    @property
    def rest(self) -> int:
        """The number of the resting frame."""
        return self.number(*self.resting)

    @property
    def level_frames(self) -> list[int]:
        """The numbers of the frames of the level row."""
        return [self.number(self.resting[0], column) for column in self.columns(self.resting[0])]

    def columns(self, row: int) -> range:
        """Return the columns that a row has."""
        return range(0, len(self.angles), self.steps[row])

    def number(self, row: int, column: int) -> int:
        """Return the number of a frame; raises `ValueError` if the row has no such column."""
        return sum(len(self.columns(above)) for above in range(row)) + self.columns(row).index(column)

    def place(self, number: int) -> tuple[int, int]:
        """Return (row, column) of a frame; raises `IndexError` if there is none of that number."""
        row = 0
        while row < len(self.pitches) and number >= len(columns := self.columns(row)):
            number, row = number - len(columns), row + 1
        return row, self.columns(row)[number]

    def nearest(self, row: int, column: int) -> int:
        """Return the number of the frame of a row that is nearest to a column."""
        return self.number(row, min(self.columns(row), key=lambda other: abs(other - column)))

    def corners(self) -> list[int]:
        """Return the numbers of 3 x 3 frames: first, middle and last column of first, level and last row."""
        rows = (0, self.resting[0], len(self.pitches) - 1)
        last = len(self.angles) - 1
        return [self.nearest(row, column) for row in rows for column in (0, last // 2, last)]


def boxes_overlap(one: Box, other: Box) -> bool:
    """Tell whether two boxes have pixels in common."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


# Version of the format. Version 1, which is read as well, has one sitter and one row of frames.
FORMAT: Final = 2
# Columns of a portrait's grid of frames, by default: those of the original piece.
DEFAULT_COLUMNS: Final = 33
# Rows of a portrait's grid of frames, by default; the middle one is level.
DEFAULT_ROWS: Final = 9
# Longest side of a screen or a picture, in pixels: that of 8K.
LONGEST_SIDE: Final = 7680
# Largest picture, in pixels: somewhat more than `portrait render` makes by default (3840x3840). Reading takes
# up to 7 bytes for each, 3 of the file and 4 of Pillow: 112 MB.
MAX_PACK_PIXELS: Final = 16_000_000
# Largest box of a sitter, in pixels: somewhat more than a 4K screen. Compiling holds it twice besides the
# base.
MAX_BOX_PIXELS: Final = 9_000_000
# Largest sum of all patches of all sitters, in pixels: 33 frames that change a whole 4K screen. A compiled
# pack has 4 bytes for each.
MAX_PATCHES_PIXELS: Final = 300_000_000
# Largest pack.toml, in bytes: 999 angles take 22,000.
_MAX_TOML_BYTES: Final = 65_536
# Largest number of dots in pack.toml; 999 angles have one each. The parser's time rises with the square of a
# dotted key's parts: 40 kB of "a.a.a..." took 2.4 GB and 19 s.
_MAX_TOML_DOTS: Final = 2_000
# Largest size of a PNG besides its pixels, in bytes: headers, a colour profile, texts.
_MAX_PNG_OVERHEAD: Final = 1 << 20
# Largest number of chunks in a PNG: encoders write 8 kB and more into each, which is 12,000 in the largest
# picture.
_MAX_PNG_CHUNKS: Final = 100_000
# Longest wrong value that a message shows, in characters.
_MAX_SHOWN_VALUE: Final = 200
# Largest number of sitters in a picture: more than any painting has with faces that are large enough.
_MAX_SITTERS: Final = 24
# Largest number of rows in a grid: more than can be told apart.
_MAX_ROWS: Final = 99
# Largest number of columns in a grid: more than can be told apart.
_MAX_COLUMNS: Final = 999
# zlib's fastest strategy, Z_HUFFMAN_ONLY: a third less time than the default, for 1 % more bytes of a
# painting.
_HUFFMAN: Final = 2
# The first bytes of every PNG.
_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
# Pillow's names of PNG's colour types.
_PNG_MODES: Final = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
_ADVICE: Final = "; render the portrait again"
# Keys of pack.toml besides its tables.
_PLAIN_KEYS: Final = ("title", "artist", "licence", "source", "source_sha256", "size", "engine")
# Keys of format 1 for its row of frames.
_FORMAT_1_KEYS: Final = ("box", "frames", "resting", "angles")


@dataclass(frozen=True, slots=True)
class PackInfo:
    """The contents of pack.toml.

    `size` is (width, height) of the picture in pixels. `sitters` are the grids of frames, one for each sitter
    whose gaze follows, the one with the largest face first.
    """

    title: str
    artist: str
    licence: str
    source: str
    source_sha256: str
    size: tuple[int, int]
    engine: str
    settings: dict[str, float | int | str | bool]
    sitters: tuple[FrameGrid, ...]

    @property
    def main(self) -> FrameGrid:
        """The frames of the sitter with the largest face."""
        return self.sitters[0]

    def overlaps(self, sitter: int) -> bool:
        """Return whether a sitter's box overlaps another one; its patches are then RGBA, otherwise RGB.

        Alpha is 0 at pixels of another sitter, which only that sitter's patches may change, and 255
        elsewhere.
        """
        boxes = [grid.box for grid in self.sitters]
        return any(boxes_overlap(boxes[sitter], box) for i, box in enumerate(boxes) if i != sitter)

    def mode(self, sitter: int) -> str:
        """Return the mode of a sitter's patches, "RGB" or "RGBA"."""
        return "RGBA" if self.overlaps(sitter) else "RGB"

    def patch_name(self, number: int, sitter: int = 0) -> str:
        """Return the file name of a frame's patch; a single row has the names of format 1."""
        row, column = self.sitters[sitter].place(number)
        if len(self.sitters) == len(self.main.pitches) == 1:
            return f"patch_{column:02d}.png"
        return f"patch_{sitter}_{row:02d}_{column:02d}.png"

    def patch_names(self) -> list[str]:
        """Return the file names of all patches, ordered by sitter and frame."""
        return [self.patch_name(i, k) for k, grid in enumerate(self.sitters) for i in range(grid.count)]


class Pack:
    """A pack on disk, whose images are read one at a time."""

    def __init__(self, folder: Path) -> None:
        """Read and check pack.toml.

        Raises
        ------
        BadPack
            If the folder or pack.toml is missing, damaged or of another format.
        """
        with as_bad_pack(folder, "cannot be read"):
            restore_interrupted(folder)
        self.folder = folder
        self.info = _read_info(folder)

    def base(self) -> "Image.Image":
        """Return the whole picture, RGB; raises `BadPack`."""
        return self._image("base.png", self.info.size)

    def patch(self, number: int, sitter: int = 0) -> "Image.Image":
        """Return the changing rectangle of a sitter in one frame; raises `BadPack`.

        It is RGB, or RGBA if it overlaps another sitter's; see `PackInfo.overlaps`.
        """
        x0, y0, x1, y1 = self.info.sitters[sitter].box
        size = x1 - x0, y1 - y0
        return self._image(self.info.patch_name(number, sitter), size, self.info.mode(sitter))

    def check(self) -> None:
        """Read every image once; raises `BadPack`."""
        self.base()
        for sitter, grid in enumerate(self.info.sitters):
            for number in range(grid.count):
                self.patch(number, sitter)

    def _image(self, name: str, size: tuple[int, int], mode: str = "RGB") -> "Image.Image":
        from PIL import Image

        path = self.folder / name
        try:
            with as_bad_pack(path, "damaged", _ADVICE):
                data = read_regular(path, _max_png_bytes(size, len(mode)))
                found = _keep_pixels(data)
                if found == (*size, mode):
                    image = Image.open(io.BytesIO(data), formats=("PNG",))
                    del data  # it may be nearly as large as the picture
                    image.load()
                    if image.size != size or image.mode != mode:
                        raise ValueError(f"decoded as {image.width}x{image.height} {image.mode}")
                    if mode == "RGBA" and any(image.getchannel("A").histogram()[1:255]):
                        raise ValueError("pixels that are half transparent")
                    return image
        except BadPack as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise BadPack(f"{path}: missing; render the portrait again") from error
            raise
        told = "{}x{} {}".format(*found)
        expected = f"{size[0]}x{size[1]} {mode}"
        raise BadPack(f"{path}: {told}, expected {expected} (pack.toml); render the portrait again")


@contextmanager
def as_bad_pack(path: Path, verdict: str, advice: str = "") -> Iterator[None]:
    """Turn every error in a pack into a `BadPack` with a one-line message; the appliance's own errors pass.

    Every kind is caught, because decoders raise many, and other versions raise others: TypeError, IndexError,
    struct.error, RecursionError, MemoryError.

    Parameters
    ----------
    path : the file or folder at fault
    verdict : what is wrong with it, before the cause
    advice : what to do, after the cause
    """
    try:
        yield
    except ApplianceError:
        raise
    except Exception as error:
        lines = (getattr(error, "strerror", None) or str(error)).splitlines()
        cause = lines[0][:_MAX_SHOWN_VALUE] if lines else type(error).__name__
        raise BadPack(f"{path}: {verdict} ({cause}){advice}") from error


def _max_png_bytes(size: tuple[int, int], colours: int) -> int:
    """Return the largest size of a picture's PNG file in bytes: uncompressed, one byte per colour."""
    return colours * size[0] * size[1] + _MAX_PNG_OVERHEAD


def _keep_pixels(data: bytearray) -> tuple[int, int, str]:
    """Remove all chunks of a PNG but those with its pixels; return its width, height and mode.

    Texts, profiles, palettes and animations are removed, because RGB pixels need none of them and decoders
    fail in them in many ways.

    Raises
    ------
    ValueError
        If a chunk is cut off, has a wrong checksum, or a necessary one is missing.

    Source: W3C, "Portable Network Graphics (PNG) Specification (Second Edition)", 2003.
    """
    if data[:8] != _PNG_SIGNATURE or data[8:16] != b"\0\0\0\x0dIHDR":
        raise ValueError("no image")
    at = kept = 8
    with memoryview(data) as view:
        for _ in range(_MAX_PNG_CHUNKS):
            if at + 12 > len(data):
                raise ValueError("cut off")
            length, kind = struct.unpack_from(">I4s", data, at)
            end = at + 12 + length
            if end > len(data):
                raise ValueError("cut off")
            if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
                raise ValueError("wrong checksum")
            if at == 8 or kind in (b"IDAT", b"IEND"):
                if kept != at:
                    view[kept : kept + end - at] = view[at:end]
                kept += end - at
            if kind == b"IEND":
                break
            at = end
        else:
            raise ValueError("too many chunks")
    del data[kept:]
    width, height, bits, colours = struct.unpack_from(">IIBB", data, 16)
    mode = _PNG_MODES.get(colours, "?")
    return width, height, mode if bits == 8 else f"{mode} of {bits} bits"


def check_destination(folder: Path) -> None:
    """Make sure that a pack may be written to a folder: only an earlier pack is ever replaced.

    Raises
    ------
    CannotWrite
        If the folder contains something else.
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
    """Write a pack completely or not at all, also on Ctrl-C.

    Parameters
    ----------
    patches : in the order of `PackInfo.patch_names`; may be a generator, which is consumed one by one
    beside : returns further files, by name, that are written beside the folder together with the pack or not
        at all; it is called after the last patch

    Raises
    ------
    ValueError
        If an image does not fit `info`, which is a mistake of the caller.
    BadPack
        If it is larger than a pack may be, because it could not be read.
    CannotWrite
        If the folder cannot be written, or contains something else.
    """
    check_destination(folder)
    target = Path(os.path.realpath(folder))  # a link to a pack remains a link
    if os.geteuid() == 0 and owner_of(folder) != owner_of(target):
        raise CannotWrite(f"{folder}: a link of another user's; expected the name of a folder")
    for name, value, right, expected in _bounds(info):
        if not right:
            raise BadPack(f"{folder}: {name} = {_toml(value)}; expected {expected}")
    with ExitStack() as held:
        with new_folder(target) as new:
            _save(base, info.size, "RGB", new / "base.png")
            for (name, sitter), patch in zip(_patches(info), patches, strict=True):
                x0, y0, x1, y1 = info.sitters[sitter].box
                _save(patch, (x1 - x0, y1 - y0), info.mode(sitter), new / name)
            _write(new / "pack.toml", _dump(info).encode())
            files = beside()
            held.enter_context(hold_ctrl_c())
        for name, data in files.items():
            write_atomic(folder.with_name(name), data)


def _patches(info: PackInfo) -> Iterator[tuple[str, int]]:
    """Yield the name and the sitter of every patch, in the order of `PackInfo.patch_names`."""
    sitters = [k for k, grid in enumerate(info.sitters) for _ in range(grid.count)]
    return zip(info.patch_names(), sitters, strict=True)


def _save(image: "Image.Image", size: tuple[int, int], mode: str, path: Path) -> None:
    if image.size != size or image.mode != mode:
        raise ValueError(f"{path.name}: {image.size} {image.mode}, expected {size} {mode}")
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1, compress_type=_HUFFMAN)
    _write(path, buffer.getvalue())


def _write(path: Path, data: bytes) -> None:
    with as_owner(path.parent):
        path.write_bytes(data)


def _dump(info: PackInfo) -> str:
    rows = [f"format = {FORMAT}"]
    rows += [f"{key} = {_toml(getattr(info, key))}" for key in _PLAIN_KEYS]
    rows += ["", "[settings]"]
    rows += [f"{key} = {_toml(value)}" for key, value in info.settings.items()]
    for grid in info.sitters:
        rows += ["", "[[sitters]]"]
        rows += [f"{field.name} = {_toml(getattr(grid, field.name))}" for field in fields(grid)]
    return "\n".join(rows) + "\n"


def _toml(value: Any) -> str:
    # JSON's scalars and lists are valid TOML, except for the one control character that JSON does not escape,
    # and for bytes of a file's name that are not UTF-8.
    text = json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")
    return text.encode("utf-8", "replace").decode("utf-8")


def _read_info(folder: Path) -> PackInfo:
    path = folder / "pack.toml"
    try:
        with as_bad_pack(path, "cannot be read", _ADVICE):
            text = read_regular(path, _MAX_TOML_BYTES).decode("utf-8")
            if text.count(".") > _MAX_TOML_DOTS:
                raise ValueError(f"{text.count('.')} dots, expected at most {_MAX_TOML_DOTS}")
            return _checked(path, tomllib.loads(text))
    except BadPack as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise BadPack(f"{folder}: no pack there; make one with `mona-lisa portrait render`") from error
        raise


def _checked(path: Path, tree: dict[str, Any]) -> PackInfo:
    found = tree.pop("format", None)
    if found not in (1, FORMAT) or type(found) is not int:
        raise BadPack(f"{path}: format = {_shown(found)}, expected 1 or {FORMAT}; render the portrait again")
    _check_keys(path, tree, {*_PLAIN_KEYS, "settings", *(_FORMAT_1_KEYS if found == 1 else ("sitters",))})
    for name, right, expected in _rules(tree):
        _check(path, name, tree[name], right, expected)
    if found == 1:
        grids = [_grid_of_format_1(path, {name: tree.pop(name) for name in _FORMAT_1_KEYS})]
    else:
        grids = tree.pop("sitters")
        listed = isinstance(grids, list) and all(isinstance(grid, dict) for grid in grids)
        right = listed and 0 < len(grids) <= _MAX_SITTERS
        _check(path, "sitters", grids, right, f"1 to {_MAX_SITTERS} tables")
    size = tree["size"] = (tree["size"][0], tree["size"][1])
    sitters: list[FrameGrid] = []
    for grid in grids:
        _check_keys(path, grid, {field.name for field in fields(FrameGrid)})
        for name, right, expected in _grid_rules(grid, size):
            _check(path, name, grid[name], right, expected)
        sitters.append(FrameGrid(**{name: tuple(value) for name, value in grid.items()}))
    info = PackInfo(**tree, sitters=tuple(sitters))
    for name, value, right, expected in _bounds(info):
        _check(path, name, value, right, expected)
    return info


def _check(path: Path, name: str, value: Any, right: bool, expected: str) -> None:
    if not right:
        raise BadPack(f"{path}: {name} = {_shown(value)}; expected {expected}; render the portrait again")


def _check_keys(path: Path, tree: dict[str, Any], names: set[str]) -> None:
    if wrong := names ^ tree.keys():
        keys = _shown(", ".join(sorted(wrong)))
        raise BadPack(f"{path}: missing or unknown key {keys}; render the portrait again")


def _grid_of_format_1(path: Path, tree: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of format 1 as those of a grid of one row."""
    frames, angles, box = tree["frames"], tree["angles"], tree["box"]
    _check(path, "frames", frames, type(frames) is int and frames >= 2, "a whole number from 2")
    counted = isinstance(angles, list) and len(angles) == frames
    _check(path, "angles", angles, counted, f"{frames} rising numbers")
    eyes = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2] if _integers(box, 4) else box
    resting = [0, tree["resting"]]
    return {"box": box, "eyes": eyes, "angles": angles, "pitches": [0], "steps": [1], "resting": resting}


def _rules(tree: dict[str, Any]) -> Iterable[tuple[str, bool, str]]:
    for name in ("title", "artist", "licence", "source", "source_sha256", "engine"):
        yield name, isinstance(tree[name], str), "text"
    settings = tree["settings"]
    plain = isinstance(settings, dict) and all(type(v) in (float, int, str, bool) for v in settings.values())
    yield "settings", plain, "a table of numbers, texts and booleans"
    yield "size", _integers(tree["size"], 2) and min(tree["size"]) > 0, "[width, height]"


def _grid_rules(tree: dict[str, Any], size: tuple[int, int]) -> Iterable[tuple[str, bool, str]]:
    box, angles, pitches, steps, resting = (
        tree[name] for name in ("box", "angles", "pitches", "steps", "resting")
    )
    inside = _integers(box, 4) and 0 <= box[0] < box[2] <= size[0] and 0 <= box[1] < box[3] <= size[1]
    yield "box", inside, "[x0, y0, x1, y1] inside the picture"
    yield "eyes", _numbers(tree["eyes"], LONGEST_SIDE) and len(tree["eyes"]) == 2, "[x, y]"
    rising = _numbers(angles, 360) and all(a < b for a, b in pairwise(angles))
    yield "angles", rising and 2 <= len(angles) <= _MAX_COLUMNS, f"2 to {_MAX_COLUMNS} rising numbers"
    falling = _numbers(pitches, 360) and all(a > b for a, b in pairwise(pitches))
    yield "pitches", falling and 1 <= len(pitches) <= _MAX_ROWS, f"1 to {_MAX_ROWS} falling numbers"
    last = len(angles) - 1
    whole = _integers(steps, len(pitches)) and all(step > 0 and last % step == 0 for step in steps)
    yield "steps", whole, f"for each of {len(pitches)} rows a divisor of {last}"
    there = _integers(resting, 2) and 0 <= resting[0] < len(pitches) and 0 <= resting[1] <= last
    yield "resting", there and resting[1] % steps[resting[0]] == 0, "[row, column] of one of the frames"


def _bounds(info: PackInfo) -> Iterable[tuple[str, Any, bool, str]]:
    """Yield the checks of a pack's size: key, value, whether it is right, and what was expected."""
    fits = max(info.size) <= LONGEST_SIDE and info.size[0] * info.size[1] <= MAX_PACK_PIXELS
    yield (
        "size",
        list(info.size),
        fits,
        f"at most {LONGEST_SIDE} pixels a side and {MAX_PACK_PIXELS:,} altogether",
    )
    areas = [(grid.box[2] - grid.box[0]) * (grid.box[3] - grid.box[1]) for grid in info.sitters]
    whole = sum(area * grid.count for area, grid in zip(areas, info.sitters, strict=True))
    expected = f"at most {MAX_BOX_PIXELS:,} pixels, and {MAX_PATCHES_PIXELS:,} in all frames"
    for area, grid in zip(areas, info.sitters, strict=True):
        yield "box", list(grid.box), area <= MAX_BOX_PIXELS and whole <= MAX_PATCHES_PIXELS, expected


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _MAX_SHOWN_VALUE else f"{text[:_MAX_SHOWN_VALUE]}..."


def _numbers(value: Any, most: int) -> bool:
    return isinstance(value, list) and all(type(a) in (int, float) and abs(a) <= most for a in value)


def _integers(value: Any, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(type(v) is int for v in value)
