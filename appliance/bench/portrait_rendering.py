"""The cost of rendering a portrait; a folder of pictures judged; a picture of several sitters."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw

from appliance.assets import home_folder
from appliance.bench.memory import run_and_measure
from appliance.errors import ApplianceError, ConfigError
from appliance.files import write_atomic
from appliance.pack import Box, FrameGrid, Pack, write_pack
from appliance.portrait.contact_sheet import png_bytes
from appliance.portrait.evaluate import evaluate_pack
from appliance.portrait.painting_to_pack import render
from appliance.portrait.verdict import VERDICT_WORDS
from appliance.terminal import printable_line

# Boxes of neighbouring heads begin so far from each other, as a share of their size.
_STEP: Final = 0.8
# Columns to each side of rest that are "beside" it: with their neighbours they are all kept in memory.
_BESIDE: Final = 5


def write_sitters(pack: Pack, folder: Path, across: int, down: int, scale: float) -> Pack:
    """Write a pack of a picture with `across` times `down` sitters, and return it.

    Parameters
    ----------
    pack : whose largest sitter is taken, with all frames
    scale : how large a head is in it, as a share of that in `pack`
    """
    grid, base = pack.info.main, pack.base()
    x0, y0, x1, y1 = grid.box
    width, height = round(scale * (x1 - x0)), round(scale * (y1 - y0))
    boxes: list[Box] = []
    for number in range(across * down):
        left = round((number % across + (1 / _STEP - 1) / 2) * _STEP * width)
        top = round((number // across + (1 / _STEP - 1) / 2) * _STEP * height)
        boxes.append((left, top, left + width, top + height))
    grids = tuple(replace(grid, box=box, eyes=_middle(box)) for box in boxes)
    info = replace(pack.info, sitters=grids)
    masks = [_owned(boxes, sitter) for sitter in range(len(boxes))]

    def patches() -> Iterator[Image.Image]:
        for sitter, mask in enumerate(masks):
            for frame in range(grid.count):
                patch = pack.patch(frame).resize((width, height))
                if info.mode(sitter) == "RGBA":
                    patch.putalpha(mask)
                yield patch

    for each, mask in zip(grids, masks, strict=True):
        base.paste(pack.patch(grid.rest).resize((width, height)), each.box[:2], mask)
    write_pack(folder, info, base, patches())
    return Pack(folder)


def beside_rest(grid: FrameGrid) -> list[int]:
    """Return the frames of the resting row nearest rest, from one side to the other."""
    row, column = grid.resting
    return [grid.number(row, other) for other in grid.columns(row) if abs(other - column) <= _BESIDE]


def serpentine_order(grid: FrameGrid) -> list[int]:
    """Return all frames of a grid in an order in which each is beside the one before."""
    frames: list[int] = []
    for row in range(len(grid.pitches)):
        columns = grid.columns(row) if row % 2 else reversed(grid.columns(row))
        frames += [grid.number(row, column) for column in columns]
    return frames


def _owned(boxes: list[Box], sitter: int) -> Image.Image:
    """Return where in a sitter's box the pixels are its own: where boxes overlap, the nearest middle's."""
    x0, y0, x1, y1 = boxes[sitter]
    across, down = np.meshgrid(np.arange(x0, x1), np.arange(y0, y1))
    distances = []
    for box in boxes:
        x, y = _middle(box)
        inside = (box[0] <= across) & (across < box[2]) & (box[1] <= down) & (down < box[3])
        distances.append(np.where(inside, np.hypot(across - x, down - y), np.inf))
    own = np.argmin(distances, axis=0) == sitter
    return Image.fromarray(own.astype(np.uint8) * 255)


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


SIZE: Final = (1080, 1920)
# A row of the sheet in pixels: its height, the width of each of three heads, and that of the eyes.
_ROW: Final = 480
_HEAD: Final = 300
_EYES: Final = 800
_LINE: Final = 14
_LETTERS: Final = 200
# Columns of the table: heading, key of the figures, width.
_COLUMNS: Final = (
    ("gaze", "angles", 14),
    ("ghost rim", "ghost_rim", 13),
    ("arc", "limbus_arc", 13),
    ("hard edge", "hard_edge", 13),
    ("white light", "white_light", 30),
    ("white grain", "white_grain", 30),
    ("cut iris", "cut_iris", 13),
    ("catch-light", "catch_light", 13),
    ("over corner", "over_corner", 13),
    ("eye width", "eye_width", 26),
    ("nose", "nose_way", 6),
)


def bench_pictures(folder: Path, out: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Render every file of a folder at 1080x1920 and evaluate it.

    Parameters
    ----------
    folder : of pictures; of a file with several faces the first from picture left is taken
    out : the contact sheet, a PNG: a row for each picture, at rest and at both ends of its range
    say : receives a line per picture

    Returns
    -------
    What `portrait evaluate` says of each file, by name; `refused` with the reason for one that cannot
    be rendered.

    Raises
    ------
    ConfigError
        If the folder holds no files.
    CannotWrite
        If the sheet cannot be written.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    if not files:
        raise ConfigError(f"--pictures {folder}: no files there; expected a folder of pictures")
    results: dict[str, Any] = {}
    rows = []
    for path in files:
        say(f"portrait: {path.name}")
        with tempfile.TemporaryDirectory(prefix="mona-lisa-") as scratch:
            pack = Path(scratch) / "pack"
            try:
                render(path, pack, size=SIZE, choose=1)
                results[path.name] = evaluate_pack(pack, render_again=False) | {"pack": path.name}
                rows.append(_row(pack, path.name, results[path.name]))
            except ApplianceError as error:
                results[path.name] = {"refused": str(error)}
                rows.append(_titled(_wide(_LINE * 2), [f"{path.name}: refused", str(error)]))
    sheet = Image.new("RGB", (rows[0].width, sum(row.height for row in rows)))
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    write_atomic(out, png_bytes(sheet))
    return results


def table(results: dict[str, Any]) -> list[str]:
    """Return what `bench_pictures` found as the lines of a table; reasons stand below each picture."""
    heading = "".join(f"{title:<{width}}" for title, _, width in _COLUMNS)
    out = [f"{'picture':28}{heading}verdict"]
    for name, found in results.items():
        if "refused" in found:
            out.append(printable_line(f"{name:27.27} refused: {found['refused']}"))
            continue
        cells = "".join(f"{_cell(found[key]):<{width}}" for _, key, width in _COLUMNS)
        out.append(printable_line(f"{name:27.27} {cells}{VERDICT_WORDS[found['verdict']]}"))
        out += [printable_line(f"{'':28}- {line}") for line in _below(found)]
    return out


def _below(found: dict[str, Any]) -> list[str]:
    """Return the lines of text below a picture: reasons, then remarks."""
    return [*found["reasons"], *(f"remark: {remark}" for remark in found["remarks"])]


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(_cell(part).replace(" ", "-") for part in value)
    return "none" if value is None else f"{value:.4g}"


def _row(folder: Path, name: str, found: dict[str, Any]) -> Image.Image:
    """Draw a picture's row: its head at rest and in the outermost frames, beside it the eyes enlarged."""
    pack = Pack(folder)
    x0, y0, x1, y1 = pack.info.main.box
    row, whole = _wide(_ROW + _LINE * (1 + len(_below(found)))), pack.base()
    frames = pack.info.main.rest, 0, pack.info.main.count - 1
    for column, frame in enumerate(frames):
        whole.paste(pack.patch(frame), (x0, y0))
        head = whole.crop((x0, y0, x1, y1))
        head.thumbnail((_HEAD - 4, _ROW))
        row.paste(head, (column * _HEAD, 0))
    with Image.open(folder.with_name(f"{folder.name}-eyes.png")) as eyes:
        # The close-up has five strips: at rest, both ends (the second and the last) and between.
        strip = eyes.height // 5
        for place, number in enumerate((0, 1, 4)):
            part = eyes.crop((0, number * strip, eyes.width, (number + 1) * strip))
            part.thumbnail((_EYES, _ROW // 3))
            row.paste(part, (3 * _HEAD, place * (_ROW // 3)))
    left, right = found["angles"]
    title = f"{name}: {VERDICT_WORDS[found['verdict']]}; at rest, {left:+.0f} and {right:+.0f} degrees"
    return _titled(row, [title, *_below(found)])


def _wide(height: int) -> Image.Image:
    return Image.new("RGB", (3 * _HEAD + _EYES, height))


def _titled(row: Image.Image, lines: list[str]) -> Image.Image:
    """Write lines at the foot of a row."""
    for number, line in enumerate(reversed(lines)):
        text = line.encode("ascii", "replace").decode()[:_LETTERS]  # all that Pillow's own font surely has
        ImageDraw.Draw(row).text((4, row.height - _LINE * (number + 1)), text, fill="white")
    return row


PICTURES: Final = ("sconosciuta.png", "astronaut.png")
RENDERED_SIZE: Final = "1080x1920"
_COPY: Final = """
import sys
from pathlib import Path
from appliance.pack import Pack, write_pack
pack = Pack(Path(sys.argv[1]))
write_pack(Path(sys.argv[2]), pack.info, pack.base(), (pack.patch(i) for i in range(pack.info.main.count)))
"""


def bench_portrait(say: Callable[[str], None]) -> dict[str, Any]:
    """Return CPU seconds and peak memory in MB for 33 frames at 1080x1920, per picture.

    `ratio` is that of CPU time to the baseline's: a process that reads the finished pack and writes
    it again.
    """
    results: dict[str, Any] = {}
    for name in PICTURES:
        say(f"portrait: {name}")
        with tempfile.TemporaryDirectory() as folder:
            pack, copy = Path(folder) / "pack", Path(folder) / "copy"
            picture = str(home_folder() / "frames" / name)
            command = ["portrait", "render", picture, "--size", RENDERED_SIZE, "--out", str(pack)]
            ours = run_and_measure(["-m", "appliance", *command])
            packing = run_and_measure(["-c", _COPY, str(pack), str(copy)])
        results[name] = {
            "cpu_s": ours.cpu_s,
            "peak_mb": ours.peak_mb,
            "packing_cpu_s": packing.cpu_s,
            "ratio": round(ours.cpu_s / packing.cpu_s, 2),
        }
    return results
