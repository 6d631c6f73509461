"""Where things lie, and how a thing that takes long to make is kept: whole, or not at all."""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parents[2]
HERE: Final = Path(__file__).resolve().parent
CACHE: Final = PROJECT / ".cache" / "boot"

_began = time.monotonic()


def say(line: str) -> None:
    """Tell what is being done, and when."""
    sys.stderr.write(f"== {time.monotonic() - _began:4.0f} s  {line}\n")


@contextmanager
def finished(path: Path) -> Iterator[Path | None]:
    """Yield None if `path` is there already, else where to make it; it is renamed when that is done."""
    if path.exists():
        yield None
        return
    new = path.with_name(path.name + ".new")
    if new.is_dir():
        shutil.rmtree(new)
    new.parent.mkdir(parents=True, exist_ok=True)
    yield new
    new.rename(path)


def forget_others(kept: Path, pattern: str) -> None:
    """Remove what was kept beside `kept` under the same pattern for earlier versions."""
    for other in kept.parent.glob(pattern):
        if other != kept:
            if other.is_dir():
                shutil.rmtree(other)
            else:
                other.unlink()
