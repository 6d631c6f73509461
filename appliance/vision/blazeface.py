"""Fit a picture of any shape to a model's square input."""

import functools
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.assets import model_path
from appliance.camera.base import ReadablePicture, RgbPicture
from appliance.camera.sampling import Floats, Region
from appliance.vision.runtime import TfliteModel


@functools.lru_cache(maxsize=16)
def letterbox_region(width: int, height: int) -> Region:
    """Return the smallest square around a whole picture, centred on it; its border reads as black."""
    side = max(width, height)
    x, y = (width - side) / 2, (height - side) / 2
    return Region(x, y, x + side, y + side)


class PointSampledPicture(RgbPicture):
    """A picture read as MediaPipe reads it, so that detections can be compared with its own.

    MediaPipe takes one bilinear sample per input pixel, corner pixel on corner pixel. From 640 to 128 pixels
    it uses 4 pixels of 25, moves points by 2 pixels, and has more noise than the mean that our cameras use.
    """

    def read_region(self, region: Region, out: Floats) -> None:
        """Sample a region into `out`, float32 (rows, columns, 3), RGB in [-1, 1]; border black."""
        padded = np.pad(self.pixels, ((1, 1), (1, 1), (0, 0)))
        rows, down = _neighbours(region.y0, region.height / out.shape[0], out.shape[0], self.height)
        columns, across = _neighbours(region.x0, region.width / out.shape[1], out.shape[1], self.width)
        upper, lower = padded[rows][:, columns], padded[rows + 1][:, columns]
        right = np.s_[:, columns + 1]
        across, down = across[None, :, None], down[:, None, None]
        upper = upper + (padded[rows][right] - upper.astype(np.float32)) * across
        lower = lower + (padded[rows + 1][right] - lower.astype(np.float32)) * across
        out[...] = np.rint(upper + (lower - upper) * down) / 127.5 - 1


def _neighbours(start: float, step: float, count: int, size: int) -> tuple[NDArray[np.intp], Floats]:
    """Return, for each sample, the pixel before it in an axis padded by one, and its share of the next."""
    places = np.clip(start + np.arange(count) * step, -1.0, float(size)) + 1
    before = np.minimum(places.astype(np.intp), size)
    return before, (places - before).astype(np.float32)


Point = tuple[float, float]

# Intersection over union from which two detections are the same face (MediaPipe's graphs).
_SAME_FACE_OVERLAP: Final = 0.3
# Numbers that the model gives for each anchor: the box's centre and size, and x and y of six key points.
_VALUES_PER_ANCHOR: Final = 16


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A variant of BlazeFace: its file, its input's side in pixels, its anchor grids and its usual threshold.

    `grids` are (cells per side, anchors per cell).
    """

    file: str
    side: int
    grids: tuple[tuple[int, int], ...]
    threshold: float


# The published variants: "short" for faces up to 2 m from a telephone, "full" up to 5 m (MediaPipe's graphs).
MODEL_SPECS: Final[dict[str, ModelSpec]] = {
    "short": ModelSpec("face_detection_short_range.tflite", 128, ((16, 2), (8, 6)), 0.5),
    "full": ModelSpec("face_detection_full_range_sparse.tflite", 192, ((48, 1),), 0.6),
}


@dataclass(frozen=True, slots=True)
class Face:
    """A face in picture pixels; right and left are the person's own.

    `box` is (x0, y0, x1, y1) around brow to chin; the score lies between 0 and 1.
    """

    score: float
    box: tuple[float, float, float, float]
    right_eye: Point
    left_eye: Point
    nose: Point
    mouth: Point
    right_ear: Point
    left_ear: Point

    @property
    def width(self) -> float:
        """Width of the box in pixels."""
        return self.box[2] - self.box[0]

    @property
    def eye_midpoint(self) -> Point:
        """Middle between the eyes."""
        return (self.right_eye[0] + self.left_eye[0]) / 2, (self.right_eye[1] + self.left_eye[1]) / 2

    @property
    def eye_distance(self) -> float:
        """Distance between the eyes in pixels."""
        return math.dist(self.right_eye, self.left_eye)


def anchor_centres(spec: ModelSpec) -> Floats:
    """Return anchor centres in input pixels, float32 of shape (anchors, 2), in the model's order."""
    grids = []
    for cells, repeat in spec.grids:
        y, x = np.mgrid[0:cells, 0:cells]
        grid = (np.stack([x, y], -1).reshape(-1, 2) + 0.5) * (spec.side / cells)
        grids.append(np.repeat(grid, repeat, axis=0))
    centres: Floats = np.concatenate(grids).astype(np.float32)
    return centres


def weighted_nms(found: list[tuple[float, list[float]]]) -> list[tuple[float, list[float]]]:
    """Merge overlapping detections into their mean, weighted by score: weighted non-maximum suppression.

    A detection is its score and its values; the first four are the box's centre x, centre y, width and
    height. The merged detections are sorted by score, best first; each has the best score of its group.

    This is plain Python, because for a dozen detections NumPy's calls take twice as long: the model that has
    just run has displaced them from the processor's cache.
    """
    rest = sorted(found, reverse=True)
    merged = []
    while rest:
        score, best = rest[0]
        group = rest[:1]
        apart: list[tuple[float, list[float]]] = []
        for one in rest[1:]:
            (group if _intersection_over_union(best, one[1]) > _SAME_FACE_OVERLAP else apart).append(one)
        total = sum([weight for weight, _ in group])
        mean = [0.0] * len(best)
        for weight, values in group:
            share = weight / total
            mean = [sofar + share * value for sofar, value in zip(mean, values, strict=True)]
        merged.append((score, mean))
        rest = apart
    return merged


class FaceDetector:
    """Finds faces in a picture, or in a region of it."""

    def __init__(self, kind: str, threshold: float | None = None, runtime: str = "auto") -> None:
        """Load a model.

        Raises `BadAsset` if the model was not fetched, `BadModel` if the file is not that model, and
        `NoRuntime` if the runtime cannot be imported.

        Parameters
        ----------
        kind : "short" or "full"
        threshold : the smallest score, by default the model's usual one
        runtime : what runs the model, named as for `find_interpreter`
        """
        self.spec = MODEL_SPECS[kind]
        side = self.spec.side
        threshold = self.spec.threshold if threshold is None else threshold
        self._least = np.float32(math.log(threshold / (1 - threshold)))
        self.model = TfliteModel(model_path(self.spec.file), (1, side, side, 3), runtime)
        centres = anchor_centres(self.spec)
        self._offsets = np.tile(centres, (1, _VALUES_PER_ANCHOR // 2))
        self._offsets[:, 2:4] = 0  # width and height do not depend on the anchor
        self._values = (1, len(centres), _VALUES_PER_ANCHOR)
        self._scores = (1, len(centres), 1)
        self.model.output(self._values)
        self.model.output(self._scores)

    def detect(self, picture: ReadablePicture, region: Region | None = None) -> list[Face]:
        """Find faces, best first, in a square of picture pixels; by default in the whole picture."""
        region = region or letterbox_region(picture.width, picture.height)
        picture.read_region(region, self.model.input()[0])
        self.model.run()
        logits = self.model.output(self._scores).ravel()
        # Only the few anchors above the threshold are decoded; take() is the fastest way to select them.
        found = (logits > self._least).nonzero()[0]
        if not found.size:
            return []
        values = self.model.output(self._values)[0].take(found, axis=0)
        values += self._offsets.take(found, axis=0)
        scores = [1 / (1 + math.exp(-logit)) for logit in logits.take(found).tolist()]
        scale = region.width / self.spec.side
        merged = weighted_nms(list(zip(scores, values.tolist(), strict=True)))
        return [_face(score, row, region, scale) for score, row in merged]


def _intersection_over_union(a: list[float], b: list[float]) -> float:
    """Return intersection over union of two boxes (centre x, centre y, width, height)."""
    across = min((a[2] + b[2]) / 2 - abs(a[0] - b[0]), a[2], b[2])
    down = min((a[3] + b[3]) / 2 - abs(a[1] - b[1]), a[3], b[3])
    if across <= 0 or down <= 0:
        return 0.0
    shared = across * down
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def _face(score: float, row: list[float], region: Region, scale: float) -> Face:
    left, top = region.x0, region.y0
    x, y, w, h = row[:4]
    pairs = zip(row[4::2], row[5::2], strict=True)
    points: list[Point] = [(left + px * scale, top + py * scale) for px, py in pairs]
    x0, y0 = left + (x - w / 2) * scale, top + (y - h / 2) * scale
    x1, y1 = left + (x + w / 2) * scale, top + (y + h / 2) * scale
    return Face(score, (x0, y0, x1, y1), *points)
