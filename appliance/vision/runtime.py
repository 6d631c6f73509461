"""One place chooses the TFLite runtime and runs a model, on one thread."""

import importlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from appliance.camera.sampling import Floats
from appliance.errors import BadModel, NoRuntime

_RUNTIMES: Final = ("tflite_runtime.interpreter", "ai_edge_litert.interpreter")
_GREETING: Final = "^INFO: Created TensorFlow Lite"
# Seconds to wait for what was said to pass through grep (it takes a few milliseconds; guess).
_PATIENCE: Final = 1.0


def runtime() -> Any:
    """Return the `Interpreter` class of the first runtime installed; raises `NoRuntime`."""
    for name in _RUNTIMES:
        try:
            return importlib.import_module(name).Interpreter
        except ModuleNotFoundError:
            continue
    raise NoRuntime(
        "no TFLite runtime: install tflite-runtime (Python 3.11) or ai-edge-litert (3.12 and newer)"
    )


class Model:
    """A float model with one input, run in place.

    One thread: two spin against the display and the camera and take up to 500 ms under load.
    """

    def __init__(self, path: Path, input_shape: tuple[int, ...]) -> None:
        """Load a model.

        Raises
        ------
        BadModel
            If the file does not load, or its input is not float32 of `input_shape`.
        """
        interpreter = runtime()
        try:
            with _without_greeting():
                self._interpreter = interpreter(model_path=str(path), num_threads=1)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError, OSError) as error:
            raise BadModel(
                f"{path}: not a model the runtime can load; run `mona-lisa assets fetch`"
            ) from error
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
        """Return the input tensor itself, to be written into; let go of it before `run`."""
        view: Floats = self._input()
        return view

    def run(self) -> None:
        """Run the model on what was written into its input."""
        self._interpreter.invoke()

    def output(self, shape: tuple[int, ...]) -> Floats:
        """Return the output tensor of that shape itself; let go of it before `run`.

        Raises
        ------
        BadModel
            If the model has no such output.
        """
        if shape not in self._outputs:
            raise BadModel(f"{self.path}: outputs {sorted(self._outputs)}, expected {shape} among them")
        view: Floats = self._outputs[shape]()
        return view


@contextmanager
def _without_greeting() -> Iterator[None]:
    """Keep the runtime's greeting off standard error.

    Another process takes the greeting out, because what the runtime says before a crash would be lost in
    this one. Where no such process can be started, the greeting is seen.
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
        with suppress(subprocess.TimeoutExpired):  # a child that was started meanwhile still has its end open
            grep.wait(_PATIENCE)
