"""A folder of pictures rendered and judged: one contact sheet to look at, and one table."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw

from appliance.errors import ApplianceError, ConfigError
from appliance.files import write_atomic
from appliance.pack import Pack
from appliance.portrait.evaluate import evaluate
from appliance.portrait.render import render
from appliance.portrait.sheet import png
from appliance.portrait.verdict import WORDS
from appliance.text import readable

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
                results[path.name] = evaluate(pack, render_again=False) | {"pack": path.name}
                rows.append(_row(pack, path.name, results[path.name]))
            except ApplianceError as error:
                results[path.name] = {"refused": str(error)}
                rows.append(_titled(_wide(_LINE * 2), [f"{path.name}: refused", str(error)]))
    sheet = Image.new("RGB", (rows[0].width, sum(row.height for row in rows)))
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    write_atomic(out, png(sheet))
    return results


def table(results: dict[str, Any]) -> list[str]:
    """Return what `bench_pictures` found as the lines of a table; reasons stand below each picture."""
    heading = "".join(f"{title:<{width}}" for title, _, width in _COLUMNS)
    out = [f"{'picture':28}{heading}verdict"]
    for name, found in results.items():
        if "refused" in found:
            out.append(readable(f"{name:27.27} refused: {found['refused']}"))
            continue
        cells = "".join(f"{_cell(found[key]):<{width}}" for _, key, width in _COLUMNS)
        out.append(readable(f"{name:27.27} {cells}{WORDS[found['verdict']]}"))
        out += [readable(f"{'':28}- {line}") for line in _below(found)]
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
    title = f"{name}: {WORDS[found['verdict']]}; at rest, {left:+.0f} and {right:+.0f} degrees"
    return _titled(row, [title, *_below(found)])


def _wide(height: int) -> Image.Image:
    return Image.new("RGB", (3 * _HEAD + _EYES, height))


def _titled(row: Image.Image, lines: list[str]) -> Image.Image:
    """Write lines at the foot of a row."""
    for number, line in enumerate(reversed(lines)):
        text = line.encode("ascii", "replace").decode()[:_LETTERS]  # all that Pillow's own font surely has
        ImageDraw.Draw(row).text((4, row.height - _LINE * (number + 1)), text, fill="white")
    return row
