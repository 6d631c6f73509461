"""Move what an earlier `mona-lisa calibrate` wrote into config.toml to the file that calibrate has now.

Earlier versions changed six keys of [gaze] in config.toml. Nobody can tell them from keys that a person
wrote, so all six are moved, once: they are written to calibration.toml, and their lines in config.toml become
comments. config.toml as it was is kept beside it. The settings in force stay the same.

deploy/update and deploy/provision run this once on a machine, after the new version has proved itself.
"""

import sys
from pathlib import Path
from typing import Final

from appliance.config import (
    CALIBRATION_FILE,
    CONFIG_FILE,
    GazeConfig,
    config_folder,
    merge,
    parse_layer,
    read_layer,
)
from appliance.errors import ApplianceError
from appliance.files import read_regular, write_atomic
from appliance.schema import MOST_BYTES, names
from appliance.service.calibration import MEASURED, write_calibration
from appliance.terminal import printable_line

MOVED: Final = "what calibrate wrote into {config} is in {layer} now; the file as it was: {kept}"
COPIED: Final = (
    "what calibrate wrote into {config} counts from {layer} now; its lines there cannot be told, and stay"
)
REFUSED: Final = "{fault}; mend it and run this again: what calibrate wrote there is not moved yet"
# Under this name config.toml is kept; deploy/rollback restores it for a version that reads no other file.
KEPT: Final = "config.toml.with-calibration"
_COMMENT: Final = "# now in calibration.toml: "


def move(folder: Path) -> str | None:
    """Move the keys; return what was done, None if there is nothing to move.

    A power cut leaves config.toml as it was or without the keys, and in both cases calibration.toml has them.

    Raises
    ------
    ConfigError
        If config.toml is wrong; it stays as it is.
    CannotWrite
        If a file cannot be written.
    """
    own, layer, kept = folder / CONFIG_FILE, folder / CALIBRATION_FILE, folder / KEPT
    if not own.exists():
        return None
    before = read_layer(own)
    gaze, default = merge([before]).config.gaze, GazeConfig()
    if all(getattr(gaze, key) == getattr(default, key) for key in MEASURED):
        return None
    if not layer.exists():
        write_calibration(layer, gaze)
    without = _without_measured(before.text)
    if any(("gaze", key) in parse_layer(without, str(own)).values for key in MEASURED):
        return COPIED.format(config=own, layer=layer)
    write_atomic(kept, bytes(read_regular(own, MOST_BYTES)))
    write_atomic(own, without.encode())
    return MOVED.format(config=own, layer=layer, kept=kept)


def _without_measured(text: str) -> str:
    """Turn the lines of the measured keys into comments; keys within a table of one line stay."""
    rows = text.split("\n")
    measured = {("gaze", key) for key in MEASURED}
    for name in names(text):
        if not name.header and name.path in measured:
            rows[name.line - 1] = _COMMENT + rows[name.line - 1]
    return "\n".join(rows)


def main() -> int:
    """Move the keys and say so; exit 1 when config.toml is wrong or nothing can be written."""
    try:
        told = move(config_folder())
    except (ApplianceError, OSError) as error:
        print(REFUSED.format(fault=printable_line(error)), file=sys.stderr)
        return 1
    if told:
        print(told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
