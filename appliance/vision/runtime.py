"""Find the TFLite runtime, and run a model with it on one thread."""

import importlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from appliance.camera.sampling import Floats
from appliance.errors import BadModel, NoRuntime

# The supported runtimes by their names in the settings, each with its module and its package; "auto" takes
# the first that can be imported. ai-edge-litert gives the same outputs. Without AVX-512 it takes half to two
# thirds of the time; with it, as long (measured: bench vision). It takes 4 MB more.
_RUNTIMES: Final = {
    "litert": ("ai_edge_litert.interpreter", "ai-edge-litert"),
    "tflite": ("tflite_runtime.interpreter", "tflite-runtime"),
}
# Pattern of the line that the runtime prints when it loads a model.
_GREETING: Final = "^INFO: Created TensorFlow Lite"
# Time to wait until grep has passed everything on, in seconds (guess; it takes a few milliseconds).
_GREP_TIMEOUT: Final = 1.0


def find_interpreter(runtime: str = "auto") -> Any:
    """Return the `Interpreter` class of a runtime.

    `runtime` is "tflite", "litert", or "auto" for the first of `_RUNTIMES` that can be imported. Raises
    `NoRuntime` if it cannot be imported.
    """
    for module, _ in _RUNTIMES.values() if runtime == "auto" else (_RUNTIMES[runtime],):
        # A shared library that does not load is an OSError: the other runtime may still do.
        with suppress(ImportError, OSError):
            return importlib.import_module(module).Interpreter
    if runtime == "auto":
        raise NoRuntime("no TFLite runtime: install ai-edge-litert, or tflite-runtime (only for Python 3.11)")
    package = _RUNTIMES[runtime][1]
    raise NoRuntime(f'vision.runtime = "{runtime}": {package} cannot be imported; install it, or set "auto"')


def importable_runtimes() -> list[str]:
    """Return the names of the runtimes that can be imported here, the preferred one first."""
    found = []
    for name in _RUNTIMES:
        with suppress(NoRuntime):
            find_interpreter(name)
            found.append(name)
    return found


class TfliteModel:
    """A float model with one input, whose tensors are used in place.

    It runs on one thread, because two compete with the display and the camera, and take up to 500 ms then.
    """

    def __init__(self, path: Path, input_shape: tuple[int, ...], runtime: str = "auto") -> None:
        """Load a model with a runtime, named as for `find_interpreter`.

        Raises `BadModel` if the file does not load, or its input is not float32 of `input_shape`, and
        `NoRuntime` if the runtime cannot be imported.
        """
        interpreter = find_interpreter(runtime)
        try:
            with _without_greeting():
                self._interpreter = interpreter(model_path=str(path), num_threads=1)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError, OSError) as error:
            why = "not a model the runtime can load; run `mona-lisa assets fetch`"
            raise BadModel(f"{path}: {why}") from error
        details = self._interpreter.get_input_details()[0]
        shape = tuple(int(n) for n in details["shape"])
        if shape != input_shape or details["dtype"].__name__ != "float32":
            found = f"{details['dtype'].__name__} {shape}"
            raise BadModel(f"{path}: input {found}, expected float32 {input_shape}")
        self._input = self._interpreter.tensor(details["index"])
        self._outputs = {
            tuple(int(n) for n in d["shape"]): self._interpreter.tensor(d["index"])
            for d in self._interpreter.get_output_details()
        }
        self.path = path

    def input(self) -> Floats:
        """Return the input tensor itself, to write into; the caller must release it before `run`."""
        view: Floats = self._input()
        return view

    def run(self) -> None:
        """Run the model on what was written into its input."""
        self._interpreter.invoke()

    def output(self, shape: tuple[int, ...]) -> Floats:
        """Return the output tensor of that shape itself; the caller must release it before `run`.

        Raises `BadModel` if the model has no such output.
        """
        if shape not in self._outputs:
            raise BadModel(f"{self.path}: outputs {sorted(self._outputs)}, expected {shape} among them")
        view: Floats = self._outputs[shape]()
        return view


@contextmanager
def _without_greeting() -> Iterator[None]:
    """Keep the runtime's greeting off standard error.

    A child process (grep) removes the line, because a crash would lose messages that this process still
    holds. If no child can be started, the greeting appears.
    """
    try:
        grep = subprocess.Popen(["grep", "-av", _GREETING], stdin=subprocess.PIPE, stdout=2)
    except OSError:
        yield
        return
    assert grep.stdin
    real = os.dup(2)
    os.dup2(grep.stdin.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(real, 2)
        os.close(real)
        grep.stdin.close()
        with suppress(subprocess.TimeoutExpired):  # another child may still hold the pipe open
            grep.wait(_GREP_TIMEOUT)
