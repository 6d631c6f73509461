"""The landmarks of a face: a mesh of 468 points and the contours of both eyes; which of several faces.

The models are MediaPipe's: BlazeFace, the face mesh (Kartynnik et al., "Real-time Facial Surface Geometry
from Monocular Video on Mobile GPUs", 2019) and the iris model (Ablavatski et al., "Real-time Pupil Tracking
from Monocular Video for Digital Puppetry", 2020). Each is asked several times with its crop slightly moved,
and the answers are averaged, because on paintings a single answer is rough.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from appliance.assets import model_path
from appliance.camera.base import RgbPicture
from appliance.camera.sampling import Pixels, Region
from appliance.errors import UnfitPortrait
from appliance.files import write_atomic
from appliance.portrait.contact_sheet import png_bytes
from appliance.portrait.sampling import Array
from appliance.vision.blazeface import Face, FaceDetector, letterbox_region
from appliance.vision.runtime import TfliteModel

# Finding faces: chosen by eye unless another origin is given.

# Sides of the windows in which faces are looked for, as fractions of the picture's long side, after the whole
# picture: small heads fill only a small window.
_WINDOWS: Final = (0.6, 0.38, 0.24)
_STEP: Final = 0.4  # windows are at most this fraction of their side apart
# Smaller windows are skipped if a face is wider than this fraction of the last window: no face found there
# could rival it.
_ENOUGH: Final = 0.9
_CANDIDATES: Final = 24  # at most this many faces are asked of the mesh model
_FACE_SCORE: Final = 0.4  # least score of BlazeFace, 0 to 1, on paintings
_MESH_SCORE: Final = 0.5  # least confidence of the mesh model for a face, 0 to 1
# Least confidence for any further face, once its crop is centred (a chin with the neck below it was read at
# 0.70; a confidence under 0.75 is refused as a sitter, too).
_SECOND_MESH: Final = 0.75
# Two meshes that share more than this fraction of the smaller one's rectangle are one face read twice
# (measured: a forehead within a face shares 0.83, two heads cheek to cheek 0.1).
_SHARED: Final = 0.3
# A face whose score times width is more than this fraction of the largest such product could be the sitter,
# too (by eye: a face half as large asks, a spectator in the background does not).
_RIVAL: Final = 0.45

# The mesh model:

_MESH_SIDE: Final = 192  # side of the mesh model's input, in pixels (given by the model)
_MESH_MARGIN: Final = 1.5  # side of its crop against the face's longer side (MediaPipe's)
# Movements of the crop whose answers are averaged: turn in radians, scale, shift in sides (by eye).
_MESH_JITTER: Final = tuple(product((-0.12, 0.0, 0.12), (0.93, 1.0, 1.08), (0.0, 0.03)))

# The iris model:

_IRIS_SIDE: Final = 64  # side of the iris model's input, in pixels (given by the model)
# Side of its crop in eye widths. MediaPipe takes 2.3; on paintings that shrinks the contours by a fifth, and
# 3 does not (measured).
_IRIS_MARGIN: Final = 3.0
# Movements of the crop whose answers are averaged: turn in radians, scale, shift in sides (by eye).
_IRIS_JITTER: Final = tuple(product((-0.1, 0.0, 0.1), (0.9, 1.0, 1.12), (-0.03, 0.0, 0.03)))

# Mesh points at the corners of the eyes, from picture left to picture right.
EYE_CORNERS: Final = ((33, 133), (362, 263))
# Mesh points at the face's sides, beside the ears, from picture left to picture right.
FACE_SIDES: Final = (234, 454)
# Unit vectors (2, 72) in which a mesh's outermost points are looked for: they miss its outline by less than a
# hundredth of its radius.
OUTLINE_DIRECTIONS: Final = np.stack(
    [f(np.linspace(-np.pi, np.pi, 72, endpoint=False)) for f in (np.cos, np.sin)]
)

# The faces that follow: the number of one, from 1 at picture left; "all"; None for those of a sitter's size.
FaceChoice = int | Literal["all"] | None

# The numbered picture:

_LONGEST: Final = 1200  # longest side of the numbered picture in pixels: it fits a laptop's screen (by eye)
# Side of Pillow's built-in font in pixels, which every version has and none before 10.1 can scale.
_FONT: Final = 11
_ROWS: Final = ("upper", "", "lower")  # words for the thirds of a picture from top to bottom
_COLUMNS: Final = ("left", "middle", "right")  # words for its thirds from left to right


class TurnedCrop(NamedTuple):
    """A turned square of the picture: centre and side in pixels, angle in radians; maybe mirrored."""

    x: float
    y: float
    side: float
    angle: float
    mirrored: bool = False

    def moved(self, angle: float, scale: float, x: float, y: float) -> "TurnedCrop":
        """Return this crop turned, scaled, and shifted by parts of its side."""
        x, y = self.x + x * self.side, self.y + y * self.side
        return TurnedCrop(x, y, self.side * scale, self.angle + angle, self.mirrored)

    def matrix(self, size: int) -> Array:
        """Return the (2, 3) matrix from points of the crop, `size` pixels wide, to the picture."""
        scale = self.side / size
        c, s = math.cos(self.angle) * scale, math.sin(self.angle) * scale
        turn = np.array([[c, -s], [s, c]]) @ np.diag([-1.0 if self.mirrored else 1.0, 1.0])
        return np.column_stack([turn, np.array([self.x, self.y]) - turn @ np.full(2, size / 2)])

    def read(self, image: Image.Image, size: int) -> Array:
        """Return the crop as RGB in [0, 1], (size, size, 3), averaged down; black beyond the picture."""
        fine = max(1, round(self.side / size))
        data = self.matrix(size * fine).ravel().tolist()
        kind, filter_ = Image.Transform.AFFINE, Image.Resampling.BILINEAR
        return np.asarray(image.transform((size * fine,) * 2, kind, data, filter_).reduce(fine)) / 255.0


def apply_affine(matrix: Array, points: Array) -> Array:
    """Apply a (2, 3) matrix to points (..., 2)."""
    moved: Array = points @ matrix[:, :2].T + matrix[:, 2]
    return moved


class SeveralFaces(UnfitPortrait):
    """A picture shows several faces that could be the sitter's, and none was chosen.

    `picture` is the painting with the number of each face drawn into its box.
    """

    def __init__(self, message: str, picture: Image.Image) -> None:
        super().__init__(message)
        self.picture = picture


def ask_which_face(
    image: Image.Image, faces: Mapping[int, Face], unfit: Mapping[int, UnfitPortrait] | None = None
) -> SeveralFaces:
    """Return the question which of several faces in the painting `image`, RGB, is the sitter.

    `faces` are those that could be, by the numbers that `--face` takes; `unfit` says why some of them cannot
    follow, if the others could together.
    """
    places = [f"{number} {face_position(face, *image.size)}" for number, face in faces.items()]
    words = f"{len(faces)} faces found ({', '.join(places)})"
    advice = "choose one with --face N"
    if unfit:
        reasons = "; ".join(f"face {number}: {reason}" for number, reason in unfit.items())
        words += f", and not all can follow ({reasons})"
        advice += ", or --face all for those that can"
    words += f"; {advice}"
    return SeveralFaces(words, _numbered(image, faces))


@contextmanager
def name_picture_in_refusals(image: Path, out: Path) -> Iterator[None]:
    """Name the file `image` in every refusal of the block; keep a numbered picture as `<out>-faces.png`.

    Raises `UnfitPortrait` with the names of both files in place of the block's own, and `CannotWrite` if the
    numbered picture cannot be written.
    """
    try:
        yield
    except SeveralFaces as question:
        kept = out.with_name(f"{out.name}-faces.png")
        write_atomic(kept, png_bytes(question.picture))
        raise UnfitPortrait(f"{image}: {question}; {kept} shows the numbers") from question
    except UnfitPortrait as error:
        raise UnfitPortrait(f"{image}: {error}") from error


def face_names(faces: Mapping[int, Face], width: int, height: int) -> dict[int, str]:
    """Return how faces are called in texts, "face 2 (upper left)", by their numbers."""
    return {number: f"face {number} ({face_position(face, width, height)})" for number, face in faces.items()}


def face_position(face: Face, width: int, height: int) -> str:
    """Say where in the picture a face is: "upper left", "middle", "right"."""
    x, y = face.eye_midpoint
    row = _ROWS[min(max(int(3 * y / height), 0), 2)]
    column = _COLUMNS[min(max(int(3 * x / width), 0), 2)]
    return f"{row} {column}".strip()


def _numbered(image: Image.Image, faces: Mapping[int, Face]) -> Image.Image:
    """Return the painting with each face's number drawn into its box."""
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
    text, font = str(number), ImageFont.load_default()
    small = Image.new("L", (_FONT * len(text), _FONT), 255)
    draw = ImageDraw.Draw(small)
    left, top, right, bottom = (round(v) for v in draw.textbbox((0, 0), text, font))
    draw.text(((small.width - right - left) / 2, (small.height - bottom - top) / 2), text, fill=0, font=font)
    return small.resize((size, size), Image.Resampling.LANCZOS).convert("RGB")


@dataclass(frozen=True, slots=True)
class EyeLandmarks:
    """One eye as the models see it, in picture pixels.

    `lower` and `upper` are the lids, (9, 2) each, from the corner at picture left to the one at picture
    right; `iris` is the iris's centre (x, y) and `radius` its radius. `spread` is the scatter of the answers
    for its centre, in eye widths.
    """

    lower: Array
    upper: Array
    iris: tuple[float, float]
    radius: float
    spread: float

    @property
    def width(self) -> float:
        """Distance of the corners in pixels."""
        return math.dist(self.lower[0], self.lower[-1])

    @property
    def middle(self) -> Array:
        """The point half way between the corners, (2,)."""
        middle: Array = (self.lower[0] + self.lower[-1]) / 2
        return middle

    @property
    def opening(self) -> float:
        """The distance of the lids in the middle, in eye widths."""
        return math.dist(self.lower[4], self.upper[4]) / max(self.width, 1e-6)


@dataclass(frozen=True, slots=True)
class FaceLandmarks:
    """A face in picture pixels.

    `mesh` is (468, 3), z in pixels and smaller towards the onlooker; `confidence` is the mesh model's, 0 to
    1; `tilt` is the angle of the line through the eyes in radians, clockwise; `half_width` is half the face's
    width; `eyes` are the one at picture left and the one at picture right.
    """

    mesh: Array
    confidence: float
    tilt: float
    half_width: float
    eyes: tuple[EyeLandmarks, EyeLandmarks]

    @property
    def size(self) -> float:
        """The longer side of the face in pixels, which a turn to the side hardly changes."""
        low, high = _upright(self.mesh, self.tilt)[1:]
        return float((high - low).max())

    @property
    def yaw(self) -> float:
        """The head's own turn to picture right, in degrees, from the depth of the face's sides."""
        return mesh_yaw(self.mesh)


class FaceLandmarker:
    """Finds faces and their landmarks; the models are loaded once."""

    def __init__(self) -> None:
        """Load the models; raises `BadAsset` or `BadModel`."""
        self._detector = FaceDetector("short", _FACE_SCORE)
        self._mesh = TfliteModel(model_path("face_landmark.tflite"), (1, _MESH_SIDE, _MESH_SIDE, 3))
        self._iris = TfliteModel(model_path("iris_landmark.tflite"), (1, _IRIS_SIDE, _IRIS_SIDE, 3))

    def find_sitter(self, pixels: Pixels, choice: int | None = None) -> Face:
        """Find the one sitter: the face that is largest, surest and confirmed by the mesh model.

        `pixels` is RGB, uint8 of shape (height, width, 3). `choice` is the number of one of several faces,
        from 1 at picture left; None if there is one. Raises `UnfitPortrait` if there is no face, or none of
        that number, and `SeveralFaces` if several could be the sitter and none was chosen.
        """
        found = choose_faces(self.numbered_faces(pixels), choice)
        if len(found) > 1:
            raise ask_which_face(Image.fromarray(pixels), found)
        return next(iter(found.values()))

    def numbered_faces(self, pixels: Pixels) -> dict[int, Face]:
        """Return all faces by their number, from 1 at picture left; raises `UnfitPortrait` if none."""
        faces = self.find_faces(pixels)
        if not faces:
            raise UnfitPortrait(
                f"no face found in {pixels.shape[1]}x{pixels.shape[0]} pixels; expected a sitter looking "
                "out of it, the head at least a tenth of its size; crop it closer to the face"
            )
        return dict(enumerate(faces, 1))

    def find_faces(self, pixels: Pixels) -> list[Face]:
        """Return the faces that the mesh model confirms, from picture left to picture right.

        They are counted by their eyes' midpoint, as `detect` counts them.
        """
        picture, image = RgbPicture(pixels, 0.0, 0), Image.fromarray(pixels)
        found: list[Face] = []
        for part, windows in _windows(picture.width, picture.height):
            # Smaller windows would show only faces too small to rival one that is this large.
            if any(face.width > _ENOUGH * part * max(picture.width, picture.height) for face in found):
                break
            found += [f for window in windows for f in self._detector.detect(picture, window)]
        sure = []
        for face in _distinct(found)[:_CANDIDATES]:
            mesh, confidence = self._read_mesh(image, _around(face))
            if confidence > _MESH_SCORE:
                mesh, centred = self._read_mesh(image, _recentred(mesh))
                corners = np.stack([mesh[:, :2].min(0), mesh[:, :2].max(0)])
                sure.append((confidence * _weight(face), centred, corners, face))
        sure.sort(key=lambda entry: -entry[0])
        kept = sure[:1]
        for entry in sure[1:]:
            if entry[1] >= _SECOND_MESH and all(_shared(entry[2], other[2]) <= _SHARED for other in kept):
                kept.append(entry)
        return sorted((entry[3] for entry in kept), key=lambda face: face.eye_midpoint[0])

    def read_landmarks(self, pixels: Pixels, face: Face) -> FaceLandmarks:
        """Find the landmarks of a face.

        `pixels` is RGB, uint8 of shape (height, width, 3); `face` says roughly where it is in that picture.
        """
        image, crop = Image.fromarray(pixels), _around(face)
        for _ in range(3):  # each answer centres the next crop, as in video tracking
            crop = _recentred(self._read_mesh(image, crop)[0])
        # A head upside down is sometimes taken for an upright one; then the turned crop fits better.
        turned = crop.moved(math.pi, 1.0, 0.0, 0.0)
        if self._read_mesh(image, turned)[1] > self._read_mesh(image, crop)[1]:
            crop = turned
        answers = [self._read_mesh(image, crop.moved(a, s, 0.7 * d, 0.5 * d)) for a, s, d in _MESH_JITTER]
        mesh = np.mean([points for points, _ in answers], axis=0)
        return FaceLandmarks(
            mesh=mesh,
            confidence=float(np.mean([confidence for _, confidence in answers])),
            tilt=crop.angle,
            half_width=math.dist(*mesh[list(FACE_SIDES), :2]) / 2,
            eyes=self._eyes(image, mesh, crop.angle),
        )

    def read_again(
        self, pixels: Pixels, face: FaceLandmarks
    ) -> tuple[tuple[EyeLandmarks, EyeLandmarks], Array]:
        """Read eyes and mesh in another frame of the same sitter, from fewer crops; for measuring.

        Both eyes, and the mesh (468, 3), are in that frame's pixels.
        """
        image, crop = Image.fromarray(pixels), _recentred(face.mesh)
        answers = [self._read_mesh(image, crop.moved(a, 1.0, 0.0, 0.0))[0] for a in (-0.1, 0.0, 0.1)]
        mesh = np.mean(answers, axis=0)
        return self._eyes(image, mesh, crop.angle), mesh

    def face_confidence(self, pixels: Pixels, mesh: Array) -> float:
        """Return how sure the mesh model is, 0 to 1, that a face still lies where `mesh` lay."""
        return self._read_mesh(Image.fromarray(pixels), _recentred(mesh))[1]

    def _read_mesh(self, image: Image.Image, crop: TurnedCrop) -> tuple[Array, float]:
        """Return the mesh (468, 3) in picture pixels, and its confidence, as read from one crop."""
        self._mesh.input()[0] = crop.read(image, _MESH_SIDE)
        self._mesh.run()
        points = self._mesh.output((1, 1, 1, 1404)).reshape(468, 3).astype(np.float64)
        logit = float(self._mesh.output((1, 1, 1, 1)).item())
        depth = points[:, 2] * (crop.side / _MESH_SIDE)
        flat = apply_affine(crop.matrix(_MESH_SIDE), points[:, :2])
        return np.column_stack([flat, depth]), 1 / (1 + math.exp(-max(logit, -80.0)))

    def _eyes(self, image: Image.Image, mesh: Array, angle: float) -> tuple[EyeLandmarks, EyeLandmarks]:
        left, right = (mesh[list(pair), :2] for pair in EYE_CORNERS)
        return self._eye(image, left, angle, False), self._eye(image, right, angle, True)

    def _eye(self, image: Image.Image, corners: Array, angle: float, mirrored: bool) -> EyeLandmarks:
        # The model was trained on eyes whose outer corner lies at the left, so the other one is mirrored.
        contours, irises = self._read_iris(image, corners, angle, mirrored)
        contour, iris = contours.mean(0), irises.mean(0)
        upper = np.concatenate([contour[:1], contour[9:16], contour[8:9]])
        order = slice(None, None, -1) if mirrored else slice(None)
        return EyeLandmarks(
            lower=contour[:9][order],
            upper=upper[order],
            iris=(float(iris[0, 0]), float(iris[0, 1])),
            radius=math.dist(iris[1], iris[3]) / 2,
            spread=float(irises[:, 0].std(0).mean()) / max(math.dist(contour[0], contour[8]), 1e-6),
        )

    def _read_iris(
        self, image: Image.Image, corners: Array, angle: float, mirrored: bool
    ) -> tuple[Array, Array]:
        """Return the answers of all jittered crops, (27, 71, 2) contour and (27, 5, 2) iris points."""
        x, y = corners.mean(0).tolist()
        crop = TurnedCrop(x, y, math.dist(*corners) * _IRIS_MARGIN, angle, mirrored)
        contours, irises = [], []
        for turn, scale, shift in _IRIS_JITTER:
            moved = crop.moved(turn, scale, shift, shift / 2)
            self._iris.input()[0] = moved.read(image, _IRIS_SIDE)
            self._iris.run()
            matrix = moved.matrix(_IRIS_SIDE)
            contours.append(apply_affine(matrix, self._iris.output((1, 213)).reshape(71, 3)[:, :2]))
            irises.append(apply_affine(matrix, self._iris.output((1, 15)).reshape(5, 3)[:, :2]))
        return np.array(contours), np.array(irises)


def mesh_yaw(mesh: Array) -> float:
    """Return how far a head is turned to picture right, in degrees, from its mesh (468, 3)."""
    x, y, depth = (mesh[FACE_SIDES[1]] - mesh[FACE_SIDES[0]]).tolist()
    return math.degrees(math.atan2(depth, max(math.hypot(x, y), 1e-6)))


def choose_faces(faces: dict[int, Face], choice: FaceChoice) -> dict[int, Face]:
    """Return the faces that follow: the one of a number, all, or without a choice those of a sitter's size.

    Smaller faces, spectators in the background and pictures on the wall, follow only if they are chosen.
    Raises `UnfitPortrait` if there is no face of that number.
    """
    if choice == "all":
        return faces
    if choice is not None:
        if choice not in faces:
            raise UnfitPortrait(f"--face {choice}: {len(faces)} found; expected 1 to {len(faces)}")
        return {choice: faces[choice]}
    most = max(map(_weight, faces.values()))
    return {number: face for number, face in faces.items() if _weight(face) > _RIVAL * most}


def _windows(width: int, height: int) -> list[tuple[float, list[Region]]]:
    """Return squares that cover the picture, with their fraction of its long side, large ones first."""
    windows = [(1.0, [letterbox_region(width, height)])]
    for part in _WINDOWS:
        side = part * max(width, height)
        corners = product(_starts(height, side), _starts(width, side))
        windows.append((part, [Region(x, y, x + side, y + side) for y, x in corners]))
    return windows


def _starts(length: int, side: float) -> list[float]:
    """Return where windows of `side` begin, to cover `length`; one centred window if it is wider."""
    room = length - side
    if room <= 0:
        return [room / 2]
    return [float(v) for v in np.linspace(0, room, math.ceil(room / (_STEP * side)) + 1)]


def _distinct(faces: list[Face]) -> list[Face]:
    """Drop faces whose centre lies within half a face of a surer one; surest first."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda f: -f.score):
        if all(math.dist(_centre(face), _centre(k)) > 0.5 * max(face.width, k.width) for k in kept):
            kept.append(face)
    return kept


def _weight(face: Face) -> float:
    """Return how much a face looks like the sitter's: large and sure."""
    return face.score * face.width


def _shared(one: Array, other: Array) -> float:
    """Return the part of the smaller of two rectangles, [[x0, y0], [x1, y1]], that both cover."""
    overlap = np.minimum(one[1], other[1]) - np.maximum(one[0], other[0])
    smaller = min(float(np.prod(r[1] - r[0])) for r in (one, other))
    return float(np.prod(np.maximum(overlap, 0))) / max(smaller, 1e-6)


def _centre(face: Face) -> tuple[float, float]:
    return (face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2


def _around(face: Face) -> TurnedCrop:
    """Return the crop in which the mesh model reads a detected face."""
    (x0, y0), (x1, y1) = face.right_eye, face.left_eye
    return TurnedCrop(*_centre(face), _MESH_MARGIN * face.width, math.atan2(y1 - y0, x1 - x0))


def _recentred(mesh: Array) -> TurnedCrop:
    """Return the crop in which a mesh is read again: upright along the eyes and around all its points."""
    first, last = mesh[EYE_CORNERS[0][0], :2], mesh[EYE_CORNERS[1][1], :2]
    angle = math.atan2(last[1] - first[1], last[0] - first[0])
    turn, low, high = _upright(mesh, angle)
    x, y = (turn.T @ ((low + high) / 2)).tolist()
    return TurnedCrop(x, y, _MESH_MARGIN * float((high - low).max()), angle)


def _upright(mesh: Array, angle: float) -> tuple[Array, Array, Array]:
    """Return the matrix that turns a face upright, and the least and greatest x and y of its mesh then."""
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    turned = mesh[:, :2] @ turn.T
    return turn, turned.min(0), turned.max(0)
