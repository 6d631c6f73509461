"""Which of several faces is the sitter's: the question in words, and as a numbered picture."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from appliance.errors import UnfitPortrait
from appliance.files import write_atomic
from appliance.portrait.sheet import png
from appliance.vision.blazeface import Face

# Longest side of the numbered picture in pixels: it fits a laptop's screen (chosen).
_LONGEST: Final = 1200
# Side of Pillow's built-in font in pixels, which every version has and none before 10.1 can scale.
_FONT: Final = 11
_ROWS: Final = ("upper", "", "lower")
_COLUMNS: Final = ("left", "middle", "right")


class SeveralFaces(UnfitPortrait):
    """A picture shows several faces that could be the sitter's, and none was chosen.

    `picture` is the painting with the number of each face drawn into its box.
    """

    def __init__(self, message: str, picture: Image.Image) -> None:
        super().__init__(message)
        self.picture = picture


def ask(
    image: Image.Image, faces: Mapping[int, Face], unfit: Mapping[int, UnfitPortrait] | None = None
) -> SeveralFaces:
    """Return the question which of several faces is the sitter.

    Parameters
    ----------
    image : the painting, RGB
    faces : those that could be, by the numbers that `--face` takes
    unfit : why some of them cannot follow, if the others could together
    """
    places = [f"{number} {place_of(face, *image.size)}" for number, face in faces.items()]
    words = f"{len(faces)} faces found ({', '.join(places)})"
    advice = "choose one with --face N"
    if unfit:
        reasons = "; ".join(f"face {number}: {reason}" for number, reason in unfit.items())
        words += f", and not all can follow ({reasons})"
        advice += ", or --face all for those that can"
    words += f"; {advice}"
    return SeveralFaces(words, _numbered(image, faces))


@contextmanager
def in_the_name_of(image: Path, out: Path) -> Iterator[None]:
    """Name the picture `image` in every refusal; keep a numbered picture as `<out>-faces.png`.

    Raises
    ------
    UnfitPortrait
        In place of the block's own, with the names of both files.
    CannotWrite
        If the numbered picture cannot be written.
    """
    try:
        yield
    except SeveralFaces as question:
        kept = out.with_name(f"{out.name}-faces.png")
        write_atomic(kept, png(question.picture))
        raise UnfitPortrait(f"{image}: {question}; {kept} shows the numbers") from question
    except UnfitPortrait as error:
        raise UnfitPortrait(f"{image}: {error}") from error


def place_of(face: Face, width: int, height: int) -> str:
    """Say where in the picture a face is: "upper left", "middle", "right"."""
    x, y = face.eye_midpoint
    row = _ROWS[min(max(int(3 * y / height), 0), 2)]
    column = _COLUMNS[min(max(int(3 * x / width), 0), 2)]
    return f"{row} {column}".strip()


def _numbered(image: Image.Image, faces: Mapping[int, Face]) -> Image.Image:
    scale = min(1.0, _LONGEST / max(image.size))
    picture = image.resize((max(round(image.width * scale), 1), max(round(image.height * scale), 1)))
    draw = ImageDraw.Draw(picture)
    for number, face in faces.items():
        x0, y0, x1, y1 = (value * scale for value in face.box)
        line = max(round((x1 - x0) / 60), 2)
        draw.rectangle((x0, y0, x1, y1), outline="white", width=line)
        draw.rectangle((x0 - line, y0 - line, x1 + line, y1 + line), outline="black", width=line)
        size = max(round((x1 - x0) / 4), 2 * _FONT)
        corner = min(max(round(x0), 0), picture.width - size), min(max(round(y0), 0), picture.height - size)
        picture.paste(_digits(number, size), corner)
    return picture


def _digits(number: int, size: int) -> Image.Image:
    """Draw a number in black on a white square of `size` pixels."""
    text = str(number)
    small = Image.new("L", (_FONT * max(len(text), 1), _FONT), 255)
    left, top, right, bottom = (round(v) for v in ImageDraw.Draw(small).textbbox((0, 0), text, _font()))
    at = (small.width - right - left) / 2, (small.height - bottom - top) / 2
    ImageDraw.Draw(small).text(at, text, fill=0, font=_font())
    return small.resize((size, size), Image.Resampling.LANCZOS).convert("RGB")


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default()
