"""Pictures of the simulated gallery: the room, the people in it, and the sensor's noise."""

import numpy as np
from numpy.typing import NDArray

from appliance.camera.averaging import Pixels
from appliance.camera.figures import POSTER_WIDTH, Figure, Look, load_figure
from appliance.camera.lens import Lens
from appliance.camera.scenery import FLOOR, WALL, draw_scenery
from appliance.camera.walks import Person, Walk

# Noise is cut from one long strip at another place for every picture: drawing it anew would take
# longer than everything else.
_SPARE = 1 << 17
# How much of their light people lose before the brightest window.
_AGAINST_LIGHT = 0.78


class Room:
    """A walk seen through a lens.

    What is drawn depends on the walk, the lens, the time and the picture's number alone.
    """

    def __init__(self, walk: Walk, lens: Lens) -> None:
        """Furnish the room and cut out its people; raises `BadAsset` if a photograph is missing."""
        self.walk, self.lens = walk, lens
        spec = walk.room
        bare = [_behind(person) for person in walk.people if person.kind == "poster"]
        self._scenery = draw_scenery(lens, spec.seed, spec.light, spec.back_light, bare)
        self._figures: dict[tuple[str, Look], Figure] = {}
        for person in walk.people:
            # A poster hangs on a wall, which the other walls' windows light.
            dark = 1.0 if person.kind == "poster" else 1 - _AGAINST_LIGHT * spec.back_light
            looks: tuple[Look, ...] = (person.kind, "back") if person.turned_away else (person.kind,)
            for look in looks:
                if (person.photograph, look) not in self._figures:
                    figure = load_figure(person.photograph, spec.light * dark, look)
                    self._figures[person.photograph, look] = figure
        self._noise = _noise(lens.width * lens.height * 3, spec.noise, spec.seed)
        self._sums = np.empty(lens.width * lens.height * 3, np.int16)

    def draw(self, time: float, number: int) -> Pixels:
        """Return a picture, `time` seconds after the walk began, as uint8 of shape (height, width, 3).

        Parameters
        ----------
        time : middle of the exposure
        number : of the picture, >= 0; chooses its noise
        """
        picture = self._scenery.copy()
        into = time % self.walk.duration
        there = [(v, person) for person in self.walk.people if (v := person.at(into))]
        for visitor, person in sorted(there, key=lambda each: -each[0].z_mm):
            scale = self.lens.focal / visitor.z_mm
            self._figures[person.photograph, person.kind if visitor.facing else "back"].draw(
                picture,
                self.lens.project(visitor.x_mm, visitor.y_mm, visitor.z_mm),
                visitor.eye_distance_mm * scale,
                mirrored=person.mirrored,
                blur=abs(visitor.vx_mm_s) * scale * self.walk.room.exposure,
                floor=self.lens.project(0, FLOOR, visitor.z_mm)[1],
                pose=visitor.pose,
            )
        return self._grain(np.array(picture), number)

    def _grain(self, pixels: Pixels, number: int) -> Pixels:
        if self._noise is None:
            return pixels
        start = number * 2654435761 % _SPARE
        flat = pixels.reshape(-1)
        sums = np.add(flat, self._noise[start : start + flat.size], out=self._sums)
        np.clip(sums, 0, 255, out=sums)
        flat[...] = sums
        return pixels


def _behind(poster: Person) -> tuple[float, float]:
    """Return the part of the wall that a poster hides, from left to right in mm; it hangs near the wall."""
    aside = POSTER_WIDTH / 2 * poster.eye_distance_mm
    x, z = poster.x.values[0], poster.z.values[0]
    return (x - aside) * WALL / z, (x + aside) * WALL / z


def _noise(count: int, sigma: float, seed: int) -> NDArray[np.int16] | None:
    if sigma == 0:
        return None
    out = np.empty(count + _SPARE, np.int16)
    rng = np.random.default_rng(seed)
    for part in np.array_split(out, 16):  # a little at a time: the float values need not all exist at once
        part[...] = np.rint(rng.standard_normal(part.size, np.float32) * np.float32(sigma))
    return out
