"""Head pictures made elsewhere: which file looks in which direction, by name, table or measurement."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from appliance.camera.sampling import Pixels
from appliance.errors import BadImage, ConfigError
from appliance.images import image_files
from appliance.portrait.eye_layers import IRIS_LEVER, fit_eyes
from appliance.portrait.eye_recordings import match_eye_socket, match_iris
from appliance.portrait.foreign_blend import FittedPainting, HeadSquare
from appliance.portrait.landmarks import EYE_CORNERS, FaceLandmarker, FaceLandmarks, mesh_yaw
from appliance.portrait.sampling import Array
from appliance.schema import parse_toml, read_toml_text, toml_value

_TOP, _CHIN = 10, 152  # mesh points at the top of the face and at the chin
# Factors that correct the readings of yaw and pitch: the models read a turn too small, and the skin around an
# eye moves farther than the eye does (median over three portraits that were rendered with known angles).
_TOO_SMALL: Final = (1.2, 1.42)


class GazeReader:
    """Reads yaw and pitch of head pictures: the head's from its mesh, the eyes' by matching the irises."""

    def __init__(
        self, canvas: FittedPainting, place: HeadSquare, landmarker: FaceLandmarker, rest: Pixels
    ) -> None:
        """Prepare to read pictures.

        `place` is the square of the painting that the pictures show. `rest` is the picture that looks as the
        painting does, RGB uint8 (side, side, 3).
        """
        self._canvas, self._place, self._landmarker = canvas, place, landmarker
        self._eyes = fit_eyes(canvas.pixels, canvas.face)
        self._face: FaceLandmarks = landmarker.read_landmarks(rest, landmarker.find_sitter(rest))
        self._rest = self._mesh(rest)

    def read(self, picture: Pixels) -> tuple[float, float]:
        """Return how far a picture looks from the painting: degrees to picture right and up."""
        mesh = self._mesh(picture)
        turn, lowered = (now - rest for now, rest in zip(_pose(mesh), _pose(self._rest), strict=True))
        place, scale = self._place, self._place.side / picture.shape[1]
        x0, y0, x1, y1 = place.box
        whole = self._canvas.pixels.copy()
        scaled = Image.fromarray(picture).resize((place.side, place.side), Image.Resampling.LANCZOS)
        whole[y0:y1, x0:x1] = scaled
        ways = []
        for eye, corners in zip(self._eyes, EYE_CORNERS, strict=True):
            moved = (mesh[list(corners), :2] - self._rest[list(corners), :2]).mean(0) * scale
            cosine, sine = math.cos(eye.view.axes.tilt), math.sin(eye.view.axes.tilt)
            near = np.array([cosine * moved[0] + sine * moved[1], cosine * moved[1] - sine * moved[0]])
            carried = np.array(match_eye_socket(self._canvas.pixels, whole, eye, near))
            ways.append(
                (np.array(match_iris(self._canvas.pixels, whole, eye, near)) - carried) / eye.radius_px
            )
        right, down = np.clip(np.mean(ways, axis=0) / IRIS_LEVER, -0.95, 0.95).tolist()
        yaw, pitch = turn + math.degrees(math.asin(right)), -lowered - math.degrees(math.asin(down))
        return _TOO_SMALL[0] * yaw, _TOO_SMALL[1] * pitch

    def _mesh(self, picture: Pixels) -> Array:
        return self._landmarker.read_again(picture, self._face)[1]


def _pose(mesh: Array) -> tuple[float, float]:
    """Return how far a head is turned to picture right and up, in degrees, from its mesh (468, 3)."""
    x, y, depth = (mesh[_CHIN] - mesh[_TOP]).tolist()
    return mesh_yaw(mesh), math.degrees(math.atan2(depth, math.hypot(x, y)))


ANGLES_FILE: Final = "angles.toml"  # the file in a folder of head pictures that lists where each looks
# As face_looker names its files: gaze_px-4p5_py3_256.webp, where a minus may be m and a point p; x to picture
# right, y up. Its numbers are the model's own, not degrees.
_NAME: Final = re.compile(r"gaze_px([-m]?\d+(?:[p.]\d+)?)_py([-m]?\d+(?:[p.]\d+)?)_\d+")
# The content expected of angles.toml; it ends every refusal of it.
_EXPECTED: Final = "expected file, yaw and pitch of every picture, in degrees to picture right and up"


@dataclass(frozen=True, slots=True)
class HeadPictureGrid:
    """Pictures by direction: `files[row][column]` looks to `yaws[column]` and `pitches[row]`.

    Yaws rise to picture right. Pitches are up and fall, so that row 0 looks up. Both are degrees if `degrees`
    is set, else in proportion to degrees.
    """

    yaws: tuple[float, ...]
    pitches: tuple[float, ...]
    files: tuple[tuple[Path, ...], ...]
    degrees: bool

    @property
    def listed(self) -> list[Path]:
        """All files, row by row."""
        return [path for row in self.files for path in row]

    @property
    def ahead(self) -> Path:
        """That picture's file."""
        row, column = self.ahead_place
        return self.files[row][column]

    @property
    def ahead_place(self) -> tuple[int, int]:
        """Row and column of the picture that looks straight ahead, or most nearly."""
        row = min(range(len(self.pitches)), key=lambda i: abs(self.pitches[i]))
        return row, min(range(len(self.yaws)), key=lambda i: abs(self.yaws[i]))


def find_head_picture_grid(folder: Path) -> HeadPictureGrid | None:
    """Return the grid that a folder holds, by its angles.toml or its files' names; None if it holds none.

    Raises `BadImage` if the grid has a gap, or two pictures of one direction, and `ConfigError` if
    angles.toml cannot be read, or names a picture that is not there.
    """
    listed = folder / ANGLES_FILE
    if listed.exists():
        return _grid(folder, _listed(listed), degrees=True)
    named = [(match, path) for path in image_files(folder) if (match := _NAME.fullmatch(path.stem))]
    if not named:
        return None
    found = [(_number(match[1]), _number(match[2]), path) for match, path in named]
    return _grid(folder, found, degrees=False)


def _number(text: str) -> float:
    return float(text.replace("m", "-").replace("p", "."))


def _listed(path: Path) -> list[tuple[float, float, Path]]:
    """Return yaw, pitch and file of each picture that angles.toml lists."""
    try:
        tree = parse_toml(read_toml_text(path))
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: cannot be read ({cause}); {_EXPECTED}") from error
    pictures = tree.get("pictures")
    if not isinstance(pictures, list) or tree.keys() != {"pictures"}:
        raise ConfigError(f"{path}: {_EXPECTED}, each in a table [[pictures]]")
    found = []
    for number, picture in enumerate(pictures, 1):
        right = isinstance(picture, dict) and picture.keys() == {"file", "yaw", "pitch"}
        right = right and isinstance(picture["file"], str) and Path(picture["file"]).name == picture["file"]
        right = right and all(
            type(picture[key]) in (int, float) and abs(picture[key]) <= 90 for key in ("yaw", "pitch")
        )
        if not right:
            raise ConfigError(f"{path}: picture {number} = {toml_value(picture)}; {_EXPECTED}")
        file = path.parent / picture["file"]
        if not file.is_file():
            raise ConfigError(f"{path}: picture {number}: {file.name} is not in {path.parent}")
        found.append((float(picture["yaw"]), float(picture["pitch"]), file))
    return found


def _grid(folder: Path, found: list[tuple[float, float, Path]], degrees: bool) -> HeadPictureGrid:
    by_place: dict[tuple[float, float], Path] = {}
    for yaw, pitch, path in found:
        if (yaw, pitch) in by_place:
            both = f"{by_place[yaw, pitch].name} and {path.name}"
            raise BadImage(f"{folder}: {both} both look to {yaw:g}, {pitch:g}; expected one picture each")
        by_place[yaw, pitch] = path
    yaws = tuple(sorted({yaw for yaw, _ in by_place}))
    pitches = tuple(sorted({pitch for _, pitch in by_place}, reverse=True))
    for pitch in pitches:
        for yaw in yaws:
            if (yaw, pitch) not in by_place:
                raise BadImage(
                    f"{folder}: no picture looks to {yaw:g}, {pitch:g}; expected all {len(yaws)} yaws in "
                    f"each of {len(pitches)} rows"
                )
    if len(yaws) < 3:
        raise BadImage(f"{folder}: {len(yaws)} yaws; expected a grid of 3 or more")
    return HeadPictureGrid(
        yaws, pitches, tuple(tuple(by_place[y, p] for y in yaws) for p in pitches), degrees
    )
