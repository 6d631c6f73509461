"""What a curator would see in a sitter's frames: in the level row, and in the rows farthest up and down."""

from collections.abc import Iterable, Iterator

from PIL import Image

from appliance.grid import FrameGrid
from appliance.portrait.eye_frames import EyeRecorder
from appliance.portrait.measures import Figures, measure
from appliance.portrait.sitter import Sitter
from appliance.portrait.verdict import Verdict, judge, with_rows


class Examined:
    """Keeps what the measures need of a sitter's frames as they pass, and judges them."""

    def __init__(self, sitter: Sitter, grid: FrameGrid) -> None:
        self._sitter, self._grid = sitter, grid
        level, last = grid.resting[0], len(grid.pitches) - 1
        self._recorders = {row: EyeRecorder(sitter, grid.box, row) for row in sorted({0, level, last})}

    def passing(self, patches: Iterable[Image.Image]) -> Iterator[Image.Image]:
        """Yield the patches as they come."""
        for recorder in self._recorders.values():
            patches = recorder.passing(patches)
        yield from patches

    def figures(self) -> tuple[Figures, dict[str, Figures]]:
        """Return the measures of the level row, and of the others by their names.

        To be asked once, when all patches have passed: what was kept is large, and let go of.
        """
        recorders, self._recorders = self._recorders, {}
        found = {row: measure(recorder, self._grid.angles) for row, recorder in recorders.items()}
        level = found.pop(self._grid.resting[0])
        return level, {self._name(row): figures for row, figures in found.items()}

    def verdict(self) -> Verdict:
        """Return the verdict; as `figures`, to be asked once."""
        level, rows = self.figures()
        return with_rows(judge(level, self._sitter.doubts), rows)

    def _name(self, row: int) -> str:
        pitch = self._grid.pitches[row]
        return f"row {row}, looking {'up' if pitch > 0 else 'down'} {abs(pitch):.0f} degrees"
