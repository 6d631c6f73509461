"""Eyes drawn with known truth, and the marks that a model would make of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.portrait.landmarks import EyeLandmarks, FaceLandmarks

SIZE = (400, 120)
# A catch-light glows over some pixels, as in photographs.
LAMP, LAMP_BLUR = (250, 248, 240), 2.2
SKIN, WHITE, IRIS, PUPIL = (205, 165, 130), (222, 215, 200), (95, 65, 40), (20, 15, 12)


@dataclass(frozen=True)
class DrawnEye:
    """An almond around (x, y) of the given width, with an iris `gaze` to picture right of its middle.

    `lamp` is where the catch-light lies, from the eye's middle in pixels; `model_wider` is how much
    farther out the model sees the corners, in parts of half the width. `size` is the iris's diameter
    in eye widths, of which the upper lid hides the part `hidden`; `pupil` is the pupil's radius and
    `rim` the colour of the iris's outermost eighth, in radii.
    """

    x: float
    y: float
    width: float
    gaze: float = 0.0
    lamp: tuple[float, float] | None = None
    model_wider: float = 0.0
    size: float = 0.4
    pupil: float = 0.45
    rim: tuple[int, int, int] = IRIS
    hidden: float = 0.0

    @property
    def radius(self) -> float:
        return self.size / 2 * self.width

    @property
    def upper(self) -> float:
        """Height of the upper lid over the middle, in eye widths; 0.9 of it is the lower one's."""
        return 0.19 + max(self.size - 0.4, 0) * 0.6

    @property
    def middle(self) -> float:
        """The y of the iris's centre."""
        return (
            self.y + (0.5 - self.hidden) * 2 * self.radius - self.upper * self.width
            if self.hidden
            else self.y
        )

    def lid(self, x: NDArray[np.float64], height: float) -> NDArray[np.float64]:
        part = np.clip(1 - (2 * (x - self.x) / self.width) ** 2, 0, None)
        return self.y + height * self.width * part

    def marks(self, wrong_by: float = 0.0) -> EyeLandmarks:
        """What a model would say: right, or with the iris off by a part of the eye's width."""
        half = self.width / 2 * (1 + self.model_wider)
        x = np.linspace(self.x - half, self.x + half, 9)
        return EyeLandmarks(
            lower=np.column_stack([x, self.lid(x, 0.9 * self.upper)]),
            upper=np.column_stack([x, self.lid(x, -self.upper)]),
            iris=(self.x + self.gaze + wrong_by * self.width, self.middle - wrong_by / 2 * self.width),
            # The model has seen no larger irises than people have.
            radius=min(self.radius, 0.24 * self.width) * (1 - wrong_by),
            spread=0.0,
        )


def draw(eyes: list[DrawnEye], seed: int = 1) -> NDArray[np.uint8]:
    """Draw a picture of SIZE with grain, 3 x 3 samples a pixel."""
    y, x = (np.mgrid[0 : 3 * SIZE[1], 0 : 3 * SIZE[0]] + 0.5) / 3
    picture = np.broadcast_to(np.array(SKIN, float), (*x.shape, 3)).copy()
    for eye in eyes:
        inside = (
            (y > eye.lid(x, -eye.upper))
            & (y < eye.lid(x, 0.9 * eye.upper))
            & (abs(x - eye.x) < eye.width / 2)
        )
        line = (abs(y - eye.lid(x, -eye.upper)) < 0.02 * eye.width) & (abs(x - eye.x) < eye.width / 2)
        away = np.hypot(x - eye.x - eye.gaze, y - eye.middle)
        picture[inside] = WHITE
        picture[inside & (away < eye.radius)] = eye.rim
        picture[inside & (away < (0.88 if eye.rim != IRIS else 1) * eye.radius)] = IRIS
        picture[inside & (away < eye.pupil * eye.radius)] = PUPIL
        if eye.lamp:
            off = np.hypot(x - eye.x - eye.lamp[0], y - eye.y - eye.lamp[1])
            glow = (
                np.exp(-0.5 * (off / LAMP_BLUR) ** 2)[..., None] * (inside & (away < eye.radius))[..., None]
            )
            picture += glow * (np.array(LAMP) - picture)
        picture[line] = (70, 45, 35)
    small = picture.reshape(SIZE[1], 3, SIZE[0], 3, 3).mean((1, 3))
    grain = np.random.default_rng(seed).normal(0, 2, small.shape)
    drawn: NDArray[np.uint8] = np.clip(small + grain + 0.5, 0, 255).astype(np.uint8)
    return drawn


def landmarks(eyes: list[DrawnEye], wrong_by: float = 0.0) -> FaceLandmarks:
    """Landmarks of a face with those two eyes, the mesh left out."""
    left, right = (eye.marks(wrong_by) for eye in eyes)
    half_width = 0.2 * (eyes[0].width + eyes[1].width) / 2 / 0.08
    return FaceLandmarks(np.zeros((468, 3)), 1.0, 0.0, half_width, (left, right))
