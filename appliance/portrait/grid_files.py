"""Head pictures made elsewhere as a grid: which file looks in which direction."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.errors import BadImage, ConfigError
from appliance.images import image_files
from appliance.toml import parse_toml, read_toml, toml_value

ANGLES_FILE: Final = "angles.toml"
# As face_looker names its files: gaze_px-4p5_py3_256.webp, a minus also written m, a point p; x to picture
# right, y up. Its numbers are the model's own, not degrees.
_NAME: Final = re.compile(r"gaze_px([-m]?\d+(?:[p.]\d+)?)_py([-m]?\d+(?:[p.]\d+)?)_\d+")
_EXPECTED: Final = "expected file, yaw and pitch of every picture, in degrees to picture right and up"


@dataclass(frozen=True, slots=True)
class GridFiles:
    """Pictures by direction: `files[row][column]` looks to `yaws[column]` and `pitches[row]`.

    Yaws rise to picture right; pitches are up and fall, so that row 0 looks up. They are degrees if
    `degrees` is set, else in proportion to degrees.
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
        """The picture that looks straight ahead, or most nearly."""
        row, column = self.resting
        return self.files[row][column]

    @property
    def resting(self) -> tuple[int, int]:
        """Row and column of that picture."""
        row = min(range(len(self.pitches)), key=lambda i: abs(self.pitches[i]))
        return row, min(range(len(self.yaws)), key=lambda i: abs(self.yaws[i]))


def grid_files(folder: Path) -> GridFiles | None:
    """Return the grid that a folder holds, by its angles.toml or its files' names; None if it holds none.

    Raises
    ------
    BadImage
        If the grid has a gap, or two pictures of one direction.
    ConfigError
        If angles.toml cannot be read, or names a picture that is not there.
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
    try:
        tree = parse_toml(read_toml(path))
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


def _grid(folder: Path, found: list[tuple[float, float, Path]], degrees: bool) -> GridFiles:
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
    return GridFiles(yaws, pitches, tuple(tuple(by_place[y, p] for y in yaws) for p in pitches), degrees)
