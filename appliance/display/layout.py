"""How a picture lies on a screen: its scale, its place, its orientation."""

from dataclasses import dataclass

from appliance.config import DisplayConfig
from appliance.grid import Box

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Fit:
    """A picture scaled to lie on an upright screen.

    `size` is that of the scaled picture, `left` and `top` its place on the screen (negative where it
    reaches over the edge), `view` the part of the screen it may cover, (x0, y0, x1, y1); all in pixels.
    """

    scale_x: float
    scale_y: float
    size: Size
    left: int
    top: int
    view: Box


@dataclass(frozen=True, slots=True)
class Layout:
    """What decides the pixels lit for a pack.

    `screen` is (width, height) as the display has it; `rotation` is how many degrees clockwise the
    picture is turned on it; `fit` is "contain" (all of it, with borders) or "cover" (no borders,
    its edges cut off); `margin` pixels on every side stay border; `brightness` is a part of 1.
    """

    screen: Size
    rotation: int = 0
    fit: str = "contain"
    margin: int = 0
    border: tuple[int, int, int] = (0, 0, 0)
    brightness: float = 1.0

    @property
    def upright(self) -> Size:
        """The screen's size as the picture sees it, (width, height)."""
        width, height = self.screen
        return (height, width) if self.rotation in (90, 270) else (width, height)

    def placed(self, picture: Size, face: Box) -> Fit:
        """Return how a picture lies on the upright screen.

        Parameters
        ----------
        picture : (width, height) in pixels
        face : (x0, y0, x1, y1) of the picture that must stay in view when its edges are cut off
        """
        width, height = self.upright
        margin = min(self.margin, (width - 1) // 2, (height - 1) // 2)
        room = width - 2 * margin, height - 2 * margin
        ratios = room[0] / picture[0], room[1] / picture[1]
        if self.fit == "cover":
            scale = max(ratios)
            size = (max(room[0], round(picture[0] * scale)), max(room[1], round(picture[1] * scale)))
        else:
            scale = min(ratios)
            size = (
                max(1, min(room[0], round(picture[0] * scale))),
                max(1, min(room[1], round(picture[1] * scale))),
            )
        scale_x, scale_y = size[0] / picture[0], size[1] / picture[1]
        left = margin + _offset(room[0], size[0], face[0] * scale_x, face[2] * scale_x)
        top = margin + _offset(room[1], size[1], face[1] * scale_y, face[3] * scale_y)
        view = margin, margin, margin + room[0], margin + room[1]
        return Fit(scale_x, scale_y, size, left, top, view)

    def turned(self, box: Box) -> Box:
        """Return where a box of the upright screen lies on the screen itself."""
        x0, y0, x1, y1 = box
        width, height = self.upright
        if self.rotation == 90:
            return height - y1, x0, height - y0, x1
        if self.rotation == 180:
            return width - x1, height - y1, width - x0, height - y0
        if self.rotation == 270:
            return y0, width - x1, y1, width - x0
        return box


def _offset(room: int, size: int, low: float, high: float) -> int:
    """Return where something of `size` begins in `room`: centred, or so that low..high is seen."""
    centred = (room - size) // 2
    if size <= room:
        return centred
    breath = min((high - low) / 8, (room - high + low) / 2)  # a head does not touch the frame
    low, high = low - max(breath, 0.0), high + max(breath, 0.0)
    if high - low >= room:
        wanted = round((room - low - high) / 2)
    else:
        wanted = round(min(max(centred, -low), room - high))
    return min(max(wanted, room - size), 0)


def layout_for(config: DisplayConfig, screen: Size) -> Layout:
    """Return how a config wants pictures to lie on a screen of that size."""
    colour = bytes.fromhex(config.border[1:])
    border = colour[0], colour[1], colour[2]
    return Layout(screen, config.rotation, config.fit, config.margin, border, config.brightness)
