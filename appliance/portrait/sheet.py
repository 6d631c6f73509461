"""A contact sheet: all frames of a portrait side by side, for the eye to judge."""

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

from appliance.pack import Box

_WIDEST = 360
_MARGIN = 0.12
_LABEL = 14


def contact_sheet(
    base: Image.Image, box: Box, patches: Sequence[Image.Image], angles: Sequence[float]
) -> Image.Image:
    """Lay out all frames, cut around the patch, each with its number and its gaze angle in degrees.

    Parameters
    ----------
    base : the whole painting
    box : where the patches lie in it
    patches, angles : of every frame
    """
    margin = round(_MARGIN * (box[2] - box[0]))
    x0, y0 = max(box[0] - margin, 0), max(box[1] - margin, 0)
    around = base.crop((x0, y0, min(box[2] + margin, base.width), min(box[3] + margin, base.height)))
    width = min(around.width, _WIDEST)
    height = round(around.height * width / around.width)
    columns = max(1, round(math.sqrt(len(patches) * height / width)))
    rows = math.ceil(len(patches) / columns)
    sheet = Image.new("RGB", (columns * width, rows * (height + _LABEL)))
    draw = ImageDraw.Draw(sheet)
    for i, (patch, angle) in enumerate(zip(patches, angles, strict=True)):
        x, y = i % columns * width, i // columns * (height + _LABEL)
        around.paste(patch, (box[0] - x0, box[1] - y0))
        sheet.paste(around.resize((width, height), Image.Resampling.LANCZOS), (x, y))
        draw.text((x + 2, y + height + 1), f"{i}: {angle:+.1f} deg", fill="white")
    return sheet
