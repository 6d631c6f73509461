"""The peer: MediaPipe's own legacy face detection, in a venv of its own, asked over a pipe."""

import contextlib
import fcntl
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from appliance.assets import home_folder
from appliance.camera.sampling import Pixels
from appliance.errors import AssetUnavailable
from appliance.vision.blazeface import MODEL_SPECS, Face

VERSION: Final = "0.10.21"
_MODELS: Final[dict[str, int]] = {"short": 0, "full": 1}
_SERVER: Final = Path(__file__).with_name("mediapipe_server.py")


def make_venv(folder: Path) -> Path:
    """Install the peer into a venv, unless it is there; return its Python.

    Raises
    ------
    AssetUnavailable
        If the venv cannot be made, or MediaPipe cannot be installed on this machine.
    """
    python, done = folder / "bin" / "python", folder / f"mediapipe-{VERSION}.installed"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = folder.with_name(f"{folder.name}.lock").open("w")
    except OSError as error:
        raise AssetUnavailable(f"mediapipe {VERSION}: cannot be installed ({error})") from error
    with lock:
        fcntl.flock(
            lock, fcntl.LOCK_EX
        )  # because two processes may want it at once: tests that run in parallel
        if not done.exists():
            _run([sys.executable, "-m", "venv", "--clear", str(folder)])
            pip = [
                str(python),
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "--retries=2",
                "--quiet",
            ]
            _run([*pip, "--only-binary=:all:", f"mediapipe=={VERSION}", "numpy<2"])
            done.touch()
    return python


class Peer:
    """MediaPipe's face detection in a process of its own; a context manager."""

    def __init__(self, folder: Path | None = None) -> None:
        """Make the venv in `folder`, by default .cache/peer-venv; raises `AssetUnavailable`."""
        self._python = make_venv(folder or home_folder() / ".cache" / "peer-venv")

    def __enter__(self) -> Self:
        """Start the process; raises `AssetUnavailable` if MediaPipe does not load."""
        self._process = subprocess.Popen(
            [str(self._python), "-s", str(_SERVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._answer()
        except BaseException:
            self.__exit__(None, None, None)  # a block that is not entered is not left either
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def detect(self, kind: str, picture: Pixels, threshold: float | None = None) -> list[Face]:
        """Find faces with the same model as ours, best first; by default with the same threshold."""
        answer = self._ask(kind, picture, 1, threshold)
        faces = [
            Face(row["score"], tuple(row["box"]), *(tuple(point) for point in row["points"]))
            for row in answer["faces"]
        ]
        return sorted(faces, key=lambda face: face.score, reverse=True)

    def seconds(self, kind: str, picture: Pixels, count: int) -> list[float]:
        """Return how long each of `count` detections in a row took."""
        return [float(value) for value in self._ask(kind, picture, count)["seconds"]]

    def _ask(self, kind: str, picture: Pixels, count: int, threshold: float | None = None) -> Any:
        least = MODEL_SPECS[kind].threshold if threshold is None else threshold
        ask = {"model": _MODELS[kind], "threshold": least, "count": count}
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(ask | {"shape": picture.shape}).encode() + b"\n")
            self._process.stdin.write(picture.tobytes())
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended: `_answer` says so
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AssetUnavailable(f"mediapipe {VERSION}: its process ended with {self._process.wait()}")
        return json.loads(line)


def start_peer(
    stack: contextlib.ExitStack, wanted: bool, say: Callable[[str], object]
) -> tuple[Peer | None, str]:
    """Return the running peer, which `stack` will end, and its version; or None, and why there is none."""
    if not wanted:
        return None, "not asked for"
    say("starting MediaPipe; the first time it is installed")
    try:
        return stack.enter_context(Peer()), f"mediapipe {VERSION}"
    except AssetUnavailable as error:
        return None, f"not available ({error})"


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise AssetUnavailable(f"mediapipe {VERSION}: {command[0]}: {error.strerror}") from error
    if done.returncode:
        rows = [row for row in (done.stderr + done.stdout).splitlines() if row.strip()]
        errors = [row for row in rows if row.startswith("ERROR")] or rows or ["no reason given"]
        raise AssetUnavailable(f"mediapipe {VERSION}: cannot be installed ({errors[-1]})")
