"""A pack made ready for one screen: scaled once, then only the patch that changes is blitted."""

from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from appliance.pack import Pack


@dataclass(frozen=True, slots=True)
class Fit:
    """How a picture lies on a screen: scaled by one factor, centred, black borders around it.

    `size` is that of the scaled picture, `left` and `top` its place on the screen; all in pixels.
    """

    scale_x: float
    scale_y: float
    size: tuple[int, int]
    left: int
    top: int


def contain(picture: tuple[int, int], screen: tuple[int, int]) -> Fit:
    """Return the largest fit that shows the whole picture; sizes are (width, height) in pixels."""
    scale = min(screen[0] / picture[0], screen[1] / picture[1])
    width = max(1, min(screen[0], round(picture[0] * scale)))
    height = max(1, min(screen[1], round(picture[1] * scale)))
    left, top = (screen[0] - width) // 2, (screen[1] - height) // 2
    return Fit(width / picture[0], height / picture[1], (width, height), left, top)


def fitted_base(pack: Pack, screen: tuple[int, int]) -> Image.Image:
    """Return the resting picture on a black screen, RGB; raises `BadPack`."""
    base = pack.base()
    fit = contain(base.size, screen)
    if fit.size != base.size:
        base = base.resize(fit.size, Image.Resampling.LANCZOS)
    lit = Image.new("RGB", screen)
    lit.paste(base, (fit.left, fit.top))
    return lit


def fitted_patches(pack: Pack, screen: tuple[int, int]) -> tuple[tuple[int, int], Iterator[Image.Image]]:
    """Return where a pack's patches lie on a screen (x, y), and the frames' patches scaled for it.

    Patches are cut out of the scaled frame, so that they meet the scaled base without a seam. Only
    the part of the frame that scaling looks at is put together, one frame at a time.

    Raises
    ------
    BadPack
        If the base is missing or damaged; while iterating, if a patch is.
    """
    info = pack.info
    fit = contain(info.size, screen)
    x0, y0, x1, y1 = info.box
    if fit.size == info.size:
        return (fit.left + x0, fit.top + y0), (pack.patch(i) for i in range(info.frames))
    # Lanczos looks three source pixels (or three target pixels, if larger) to each side.
    reach_x, reach_y = 3 * max(1.0, 1 / fit.scale_x) + 1, 3 * max(1.0, 1 / fit.scale_y) + 1
    left = max(0, int((x0 - reach_x) * fit.scale_x))
    top = max(0, int((y0 - reach_y) * fit.scale_y))
    right = min(fit.size[0], int((x1 + reach_x) * fit.scale_x) + 2)
    bottom = min(fit.size[1], int((y1 + reach_y) * fit.scale_y) + 2)
    part = (
        max(0, int(left / fit.scale_x - reach_x)),
        max(0, int(top / fit.scale_y - reach_y)),
        min(info.size[0], int(right / fit.scale_x + reach_x) + 1),
        min(info.size[1], int(bottom / fit.scale_y + reach_y) + 1),
    )
    around = pack.base().crop(part)
    box = (
        left / fit.scale_x - part[0],
        top / fit.scale_y - part[1],
        right / fit.scale_x - part[0],
        bottom / fit.scale_y - part[1],
    )

    def scaled() -> Iterator[Image.Image]:
        for i in range(info.frames):
            around.paste(pack.patch(i), (x0 - part[0], y0 - part[1]))
            yield around.resize((right - left, bottom - top), Image.Resampling.LANCZOS, box=box)

    return (fit.left + left, fit.top + top), scaled()
