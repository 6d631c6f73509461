"""The frames of one sitter: a grid of gaze directions, columns by yaw and rows by pitch."""

from dataclasses import dataclass

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class FrameGrid:
    """The frames of one sitter.

    `box` is (x0, y0, x1, y1), the rectangle that changes, and `eyes` is (x, y), the middle between the
    sitter's eyes, both in picture pixels. `angles` is the yaw of each column in degrees, rising, 0 towards
    a viewer in front and positive to picture right. `pitches` is the pitch of each row in degrees, falling:
    row 0 looks up, 0 degrees is level. A row has every `steps[row]`-th column, the first and the last
    always: outer rows may be coarser, because they hold more than memory and time allow otherwise.
    `resting` is (row, column) of the frame that is the painting.

    Frames are numbered row by row, from 0.
    """

    box: Box
    eyes: tuple[float, float]
    angles: tuple[float, ...]
    pitches: tuple[float, ...]
    steps: tuple[int, ...]
    resting: tuple[int, int]

    @classmethod
    def one_row(cls, box: Box, angles: tuple[float, ...], resting: int) -> "FrameGrid":
        """Return the grid of a sitter whose gaze is level in all frames; its eyes are taken in mid-box."""
        eyes = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        return cls(box, eyes, angles, (0.0,), (1,), (0, resting))

    @property
    def count(self) -> int:
        """How many frames."""
        return sum(len(self.columns(row)) for row in range(len(self.pitches)))

    @property
    def rest(self) -> int:
        """The number of the resting frame."""
        return self.number(*self.resting)

    def columns(self, row: int) -> range:
        """Return the columns that a row has."""
        return range(0, len(self.angles), self.steps[row])

    def number(self, row: int, column: int) -> int:
        """Return the number of a frame; raises `ValueError` if the row has no such column."""
        return sum(len(self.columns(above)) for above in range(row)) + self.columns(row).index(column)

    def place(self, number: int) -> tuple[int, int]:
        """Return (row, column) of a frame; raises `IndexError` if there is none of that number."""
        row = 0
        while row < len(self.pitches) and number >= len(columns := self.columns(row)):
            number, row = number - len(columns), row + 1
        return row, self.columns(row)[number]

    def nearest(self, row: int, column: int) -> int:
        """Return the number of the frame of a row that is nearest to a column."""
        return self.number(row, min(self.columns(row), key=lambda other: abs(other - column)))

    def corners(self) -> list[int]:
        """Return the numbers of 3 x 3 frames: first, middle and last column of first, level and last row."""
        rows = (0, self.resting[0], len(self.pitches) - 1)
        last = len(self.angles) - 1
        return [self.nearest(row, column) for row in rows for column in (0, last // 2, last)]


def overlap(one: Box, other: Box) -> bool:
    """Tell whether two boxes have pixels in common."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
