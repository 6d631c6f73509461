"""Scale, rotate and crop a pack's pictures for one screen."""

from collections.abc import Iterator
from typing import Final

from PIL import Image, ImageChops, ImageDraw

from appliance.display.layout import PlacedPicture, ScreenLayout
from appliance.pack import Box, Pack

# Largest scaled picture that is held whole, in pixels: a portrait format of 9:16 that covers a landscape 4K
# screen has 26 million. Of larger ones only the visible part is scaled, which may differ by one grey level.
_MAX_SCALED_WHOLE: Final = 32_000_000
# Pillow's rotations, which are counter-clockwise.
_ROTATIONS: Final = {
    90: Image.Transpose.ROTATE_270,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_90,
}


def fit_base(pack: Pack, layout: ScreenLayout) -> Image.Image:
    """Return the whole screen with the resting picture as RGB; raises `BadPack`."""
    base = pack.base()
    fit = layout.place(base.size, pack.info.main.box)
    x0, y0, x1, y1 = seen = _visible_part(fit, (0, 0, *fit.size))
    if fit.size[0] * fit.size[1] <= _MAX_SCALED_WHOLE:
        base = base.resize(fit.size, Image.Resampling.LANCZOS) if fit.size != base.size else base
        base = base.crop(seen) if seen != (0, 0, *fit.size) else base
    else:
        # Only the visible part, because a long, thin picture that covers the screen would take gigabytes.
        right, bottom = min(x1 / fit.scale_x, base.width), min(y1 / fit.scale_y, base.height)
        part = x0 / fit.scale_x, y0 / fit.scale_y, right, bottom
        base = base.resize((x1 - x0, y1 - y0), Image.Resampling.LANCZOS, part)
    if base.size == layout.upright:
        return dim_and_rotate(base, layout)
    lit = Image.new("RGB", layout.upright, layout.border)
    lit.paste(base, (fit.left + x0, fit.top + y0))
    return dim_and_rotate(lit, layout)


def fit_patches(pack: Pack, layout: ScreenLayout, sitter: int = 0) -> tuple[Box, Iterator[Image.Image]]:
    """Return the box of a sitter's patches on a screen, (x0, y0, x1, y1), and an iterator over the patches.

    Patches are cut out of the scaled frame, so that they join the scaled base without a seam. Only the part
    of the frame that affects the patch is composed, one frame at a time.

    They are RGB; if they overlap another sitter's box they are RGBA, and the other sitter's pixels are
    transparent. Iterating raises `BadPack` if the base or a patch is missing or damaged.
    """
    info = pack.info
    fit = layout.place(info.size, info.main.box)
    box = info.sitters[sitter].box
    images: Iterator[Image.Image]
    if fit.size == info.size:
        seen = _visible_part(fit, box)
        inside = (seen[0] - box[0], seen[1] - box[1], seen[2] - box[0], seen[3] - box[1])
        images = (pack.patch(i, sitter).crop(inside) for i in range(info.sitters[sitter].count))
    else:
        seen = _visible_part(fit, _affected_part(fit, box))
        images = _scale_patches(pack, fit, seen, sitter)
    placed = (seen[0] + fit.left, seen[1] + fit.top, seen[2] + fit.left, seen[3] + fit.top)
    return layout.rotate_box(placed), (dim_and_rotate(image, layout) for image in images)


def _visible_part(fit: PlacedPicture, box: Box) -> Box:
    """Return the part of a box of the scaled picture that is on the screen; at least one pixel."""
    x0, y0 = max(box[0], fit.view[0] - fit.left), max(box[1], fit.view[1] - fit.top)
    x1, y1 = min(box[2], fit.view[2] - fit.left), min(box[3], fit.view[3] - fit.top)
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def _affected_part(fit: PlacedPicture, box: Box) -> Box:
    """Return the part of the scaled picture that a change inside `box` of the picture affects."""
    # The Lanczos filter uses three source pixels, or three target pixels if those are larger, to each side.
    reach_x, reach_y = _filter_reach(fit)
    return (
        max(0, int((box[0] - reach_x) * fit.scale_x)),
        max(0, int((box[1] - reach_y) * fit.scale_y)),
        min(fit.size[0], int((box[2] + reach_x) * fit.scale_x) + 2),
        min(fit.size[1], int((box[3] + reach_y) * fit.scale_y) + 2),
    )


def _filter_reach(fit: PlacedPicture) -> tuple[float, float]:
    return 3 * max(1.0, 1 / fit.scale_x) + 1, 3 * max(1.0, 1 / fit.scale_y) + 1


def _scale_patches(pack: Pack, fit: PlacedPicture, seen: Box, sitter: int) -> Iterator[Image.Image]:
    """Yield `seen` of the scaled picture in every frame of a sitter; raises `BadPack`."""
    (width, height), grid = pack.info.size, pack.info.sitters[sitter]
    left, top, right, bottom = seen
    reach_x, reach_y = _filter_reach(fit)
    part = (
        max(0, int(left / fit.scale_x - reach_x)),
        max(0, int(top / fit.scale_y - reach_y)),
        min(width, int(right / fit.scale_x + reach_x) + 1),
        min(height, int(bottom / fit.scale_y + reach_y) + 1),
    )
    box = (
        left / fit.scale_x - part[0],
        top / fit.scale_y - part[1],
        right / fit.scale_x - part[0],
        bottom / fit.scale_y - part[1],
    )
    size = right - left, bottom - top
    place = grid.box[0] - part[0], grid.box[1] - part[1]
    around = pack.base().crop(part)
    # Pixels beyond the sitter's box belong to another sitter if they are in that one's box.
    own = Image.new("L", around.size, 255)
    for other in pack.info.sitters:
        if other is not grid:
            x0, y0, x1, y1 = other.box
            theirs = x0 - part[0], y0 - part[1], x1 - part[0] - 1, y1 - part[1] - 1
            ImageDraw.Draw(own).rectangle(theirs, fill=0)
    own.paste(255, (*place, place[0] + grid.box[2] - grid.box[0], place[1] + grid.box[3] - grid.box[1]))
    for i in range(grid.count):
        patch = pack.patch(i, sitter)
        alpha = patch.getchannel("A") if patch.mode == "RGBA" else None
        around.paste(patch, place, alpha)
        image = around.resize(size, Image.Resampling.LANCZOS, box=box)
        if alpha:
            own.paste(alpha, place)
        if own.getextrema() != (255, 255):
            image.putalpha(own.resize(size, Image.Resampling.NEAREST, box=box))
        yield image


def apply_colour_key(image: Image.Image, key: tuple[int, int, int]) -> Image.Image:
    """Return an RGBA image as RGB, with the magenta colour key exactly where it is transparent."""
    red, green, blue, alpha = image.split()
    # Pixels that would equal the key in 16-bit colour get a green of 8.
    alike = ImageChops.darker(red.point(lambda v: v >= 248 and 255), blue.point(lambda v: v >= 248 and 255))
    green.paste(8, mask=ImageChops.darker(alike, green.point(lambda v: v < 8 and 255)))
    solid = Image.merge("RGB", (red, green, blue))
    solid.paste(key, mask=ImageChops.invert(alpha))
    return solid


def dim_and_rotate(image: Image.Image, layout: ScreenLayout) -> Image.Image:
    """Return a part of the upright screen in the display's brightness and rotation."""
    if layout.brightness < 1:
        dim = [round(level * layout.brightness) for level in range(256)] * 3
        image = image.point(dim + list(range(256)) * (image.mode == "RGBA"))
    return image.transpose(_ROTATIONS[layout.rotation]) if layout.rotation else image
