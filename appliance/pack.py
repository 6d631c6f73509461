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
    check_writable,
    hold_ctrl_c,
    new_folder,
    owner_of,
    read_regular,
    restore_interrupted,
    write_atomic,
)
from appliance.schema import ANY_TEXT, ANY_WHOLE, CheckedTable, OneOf, Predicate

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
DEFAULT_COLUMNS: Final = 33  # columns of a portrait's grid of frames, by default: those of the original piece
DEFAULT_ROWS: Final = 9  # rows of a portrait's grid of frames, by default; the middle one is level
LONGEST_SIDE: Final = 7680  # longest side of a screen or a picture, in pixels: that of 8K
# Largest picture, in pixels: somewhat more than `portrait render` makes by default (3840x3840). Reading takes
# up to 7 bytes for each, 3 of the file and 4 of Pillow: 112 MB.
MAX_PACK_PIXELS: Final = 16_000_000
# Largest box of a sitter, in pixels: more than a 4K screen. Compiling holds it twice besides the base.
MAX_BOX_PIXELS: Final = 9_000_000
# Largest sum of all sitters' patches, in pixels, 4 bytes each when compiled: 33 frames of a whole 4K screen.
MAX_PATCHES_PIXELS: Final = 300_000_000
_MAX_TOML_BYTES: Final = 65_536  # largest pack.toml, in bytes: 999 angles take 22,000
# Largest number of dots in pack.toml; 999 angles have one each. The parser's time rises with the square of a
# dotted key's parts: 40 kB of "a.a.a..." took 2.4 GB and 19 s.
_MAX_TOML_DOTS: Final = 2_000
# Largest size of a PNG besides its pixels, in bytes: headers, a colour profile, texts.
_MAX_PNG_OVERHEAD: Final = 1 << 20
# Largest number of chunks in a PNG: encoders write at least 8 kB into each, 12,000 in the largest picture.
_MAX_PNG_CHUNKS: Final = 100_000
_MAX_SHOWN_VALUE: Final = 200  # longest part of a decoder's own words that an error quotes, in characters
# Largest number of sitters in a picture: more than any painting has with faces that are large enough.
_MAX_SITTERS: Final = 24
_MAX_ROWS: Final = 99  # largest number of rows in a grid: more than can be told apart
_MAX_COLUMNS: Final = 999  # largest number of columns in a grid: more than can be told apart
_INSIDE: Final = "[x0, y0, x1, y1] inside the picture"
# zlib's fastest strategy, Z_HUFFMAN_ONLY: a third less time than the default, for 1 % more of a painting.
_HUFFMAN: Final = 2
_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"  # the first bytes of every PNG
_PNG_MODES: Final = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}  # Pillow's names of PNG's colour types
_ADVICE: Final = "; render the portrait again"
# Keys of pack.toml besides its tables.
_PLAIN_KEYS: Final = ("title", "artist", "licence", "source", "source_sha256", "size", "engine")
_FORMAT_1_KEYS: Final = ("box", "frames", "resting", "angles")  # keys of format 1 for its row of frames


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

        Raises `BadPack` if the folder or pack.toml is missing, damaged or of another format.
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
                # At most uncompressed, with one byte per colour.
                data = read_regular(path, len(mode) * size[0] * size[1] + _MAX_PNG_OVERHEAD)
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
                raise BadPack(f"{path}: missing{_ADVICE}") from error
            raise
        told, expected = "{}x{} {}".format(*found), f"{size[0]}x{size[1]} {mode}"
        raise BadPack(f"{path}: {told}, expected {expected} (pack.toml){_ADVICE}")


@contextmanager
def as_bad_pack(path: Path, verdict: str, advice: str = "") -> Iterator[None]:
    """Turn every error in a pack into a `BadPack` with a one-line message; the appliance's own errors pass.

    Every kind is caught, because decoders raise many, and other versions raise others: TypeError, IndexError,
    struct.error, RecursionError, MemoryError. The message names the `path` at fault, the `verdict` about it,
    the cause, and the `advice`.
    """
    try:
        yield
    except ApplianceError:
        raise
    except Exception as error:
        lines = (getattr(error, "strerror", None) or str(error)).splitlines()
        cause = lines[0][:_MAX_SHOWN_VALUE] if lines else type(error).__name__
        raise BadPack(f"{path}: {verdict} ({cause}){advice}") from error


def _keep_pixels(data: bytearray) -> tuple[int, int, str]:
    """Remove all chunks of a PNG but those with its pixels; return its width, height and mode.

    Texts, profiles, palettes and animations are removed, because RGB pixels need none of them and decoders
    fail in them in many ways. Raises `ValueError` if a chunk is cut off, has a wrong checksum, or a necessary
    one is missing.

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

    Raises `CannotWrite` if the folder contains something else, or this user may not write it.
    """
    try:
        free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
        free = free or (folder / "pack.toml").is_file()
    except OSError as error:
        raise CannotWrite(f"{folder}: cannot be written ({error.strerror})") from error
    if not free:
        raise CannotWrite(f"{folder}: exists and is no pack; expected the name of a new folder")
    check_writable(Path(os.path.realpath(folder)))  # a link is followed when the pack is written


def write_pack(
    folder: Path,
    info: PackInfo,
    base: "Image.Image",
    patches: "Iterable[Image.Image]",
    beside: Callable[[], Mapping[str, bytes]] = dict,
) -> None:
    """Write a pack completely or not at all, also on Ctrl-C.

    `patches` are in the order of `PackInfo.patch_names`; a generator is consumed one by one. `beside` is
    called after the last one, and returns further files, by name, that are written beside the folder together
    with the pack or not at all.

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
    for name, value, expected in _excesses(info):
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
    def table(values: dict[str, Any]) -> CheckedTable:
        return CheckedTable(values, lambda _: f"{path}: ", BadPack, _ADVICE)

    top = table(tree)
    number = top.get("format", int, OneOf((1, FORMAT)))
    top.check_keys(("format", *_PLAIN_KEYS, "settings", *(_FORMAT_1_KEYS if number == 1 else ("sitters",))))
    texts = {name: top.get(name, str, ANY_TEXT) for name in _PLAIN_KEYS if name != "size"}
    settings = top.get("settings", dict, Predicate(_are_plain, "a table of numbers, texts and booleans"))
    width, height = top.get("size", list, Predicate(_is_size, "[width, height]"))
    listed = Predicate(_are_sitters, f"1 to {_MAX_SITTERS} tables")
    grids = [_grid_of_format_1(top)] if number == 1 else top.get("sitters", list, listed)
    sitters = tuple(_grid(table(grid), (width, height)) for grid in grids)
    info = PackInfo(**texts, size=(width, height), settings=settings, sitters=sitters)
    for name, value, expected in _excesses(info):
        raise table({name: value}).refusal(name, f"expected {expected}")
    return info


def _grid_of_format_1(top: CheckedTable) -> dict[str, Any]:
    """Return the keys of format 1 as those of a grid of one row."""
    frames = top.get("frames", int, Predicate(lambda n: n >= 2, "a whole number from 2"))
    angles = top.get("angles", list, Predicate(lambda a: len(a) == frames, f"{frames} rising numbers"))
    box = top.get("box", list, Predicate(lambda v: _integers(v, 4), _INSIDE))
    resting = top.get("resting", int, ANY_WHOLE)
    eyes = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]
    row = {"pitches": [0], "steps": [1], "resting": [0, resting]}
    return {"box": box, "eyes": eyes, "angles": angles, **row}


def _grid(table: CheckedTable, size: tuple[int, int]) -> FrameGrid:
    """Return a sitter's grid of frames; raises `BadPack`."""
    table.check_keys(field.name for field in fields(FrameGrid))

    def get(name: str, right: Callable[[list[Any]], bool], what: str) -> tuple[Any, ...]:
        return table.get(name, tuple, Predicate(right, what))

    def inside(box: list[Any]) -> bool:
        return _integers(box, 4) and 0 <= box[0] < box[2] <= size[0] and 0 <= box[1] < box[3] <= size[1]

    def rising(angles: list[Any], least: int = 2, most: int = _MAX_COLUMNS) -> bool:
        there = _numbers(angles, 360) and least <= len(angles) <= most
        return there and all(a < b for a, b in pairwise(angles))

    box = get("box", inside, _INSIDE)
    eyes = get("eyes", lambda v: _numbers(v, LONGEST_SIDE) and len(v) == 2, "[x, y]")
    angles = get("angles", rising, f"2 to {_MAX_COLUMNS} rising numbers")
    pitches = get("pitches", lambda v: rising(v[::-1], 1, _MAX_ROWS), f"1 to {_MAX_ROWS} falling numbers")
    rows, last = len(pitches), len(angles) - 1

    def divide(steps: list[Any]) -> bool:
        return _integers(steps, rows) and all(step > 0 and last % step == 0 for step in steps)

    steps = get("steps", divide, f"for each of {rows} rows a divisor of {last}")

    def is_frame(place: list[Any]) -> bool:
        there = _integers(place, 2) and 0 <= place[0] < rows and 0 <= place[1] <= last
        return bool(there and place[1] % steps[place[0]] == 0)

    resting = get("resting", is_frame, "[row, column] of one of the frames")
    return FrameGrid(box=box, eyes=eyes, angles=angles, pitches=pitches, steps=steps, resting=resting)


def _are_plain(settings: dict[str, Any]) -> bool:
    return all(type(value) in (float, int, str, bool) for value in settings.values())


def _is_size(size: list[Any]) -> bool:
    return _integers(size, 2) and min(size) > 0


def _are_sitters(grids: list[Any]) -> bool:
    return 0 < len(grids) <= _MAX_SITTERS and all(isinstance(grid, dict) for grid in grids)


def _excesses(info: PackInfo) -> Iterable[tuple[str, Any, str]]:
    """Yield what makes a pack too large: key, value, and what was expected."""
    if max(info.size) > LONGEST_SIDE or info.size[0] * info.size[1] > MAX_PACK_PIXELS:
        expected = f"at most {LONGEST_SIDE} pixels a side and {MAX_PACK_PIXELS:,} altogether"
        yield "size", list(info.size), expected
    areas = [(grid.box[2] - grid.box[0]) * (grid.box[3] - grid.box[1]) for grid in info.sitters]
    whole = sum(area * grid.count for area, grid in zip(areas, info.sitters, strict=True))
    expected = f"at most {MAX_BOX_PIXELS:,} pixels, and {MAX_PATCHES_PIXELS:,} in all frames"
    for area, grid in zip(areas, info.sitters, strict=True):
        if area > MAX_BOX_PIXELS or whole > MAX_PATCHES_PIXELS:
            yield "box", list(grid.box), expected


def _numbers(value: Any, most: int) -> bool:
    return isinstance(value, list) and all(type(a) in (int, float) and abs(a) <= most for a in value)


def _integers(value: Any, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(type(v) is int for v in value)
