"""Compares two outputs of `mona-lisa detect --json`: the same faces, eye points within half a pixel."""

import json
import sys
from pathlib import Path

LIMIT = 0.5  # pixels: the processors round differently, no more


def main(here: Path, there: Path) -> int:
    """Print the largest distance; exit 1 when it is over the limit or the faces are not the same."""
    ours, theirs = (json.loads(path.read_text("utf-8"))[0]["faces"] for path in (here, there))
    if len(ours) != len(theirs) or not ours:
        print(f"{len(ours)} faces here, {len(theirs)} there; expected the same, at least 1")
        return 1
    worst = max(
        abs(a - b)
        for one, other in zip(ours, theirs, strict=True)
        for eye in ("right_eye", "left_eye")
        for a, b in zip(one[eye], other[eye], strict=True)
    )
    print(f"{len(ours)} face, eye points at most {worst:.4f} px apart (limit {LIMIT})")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
