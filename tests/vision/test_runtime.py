import subprocess
import sys
from pathlib import Path

import pytest

from appliance.assets import home_folder, model_path
from appliance.errors import NoRuntime
from appliance.vision import runtime

GREETING = "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\\n"
# Stands in for the runtime: it speaks as the real one does, past Python, and may end the process.
RUNTIME = """
import os, sys, types
class Interpreter:
    def __init__(self, **_): os.write(2, b"{said}"); {then}
module = types.ModuleType("tflite_runtime.interpreter"); module.Interpreter = Interpreter
sys.modules.update({{"tflite_runtime": types.ModuleType("tflite_runtime"), module.__name__: module}})
from appliance.vision.runtime import TfliteModel
TfliteModel("face.tflite", (1, 2))
"""


def stderr_of(program: str) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, cwd=home_folder(), check=False).stderr


def test_what_a_model_says_before_it_crashes_is_not_lost() -> None:
    program = RUNTIME.format(said=GREETING + "bad tensor 7\\n", then="os.abort()")
    said = stderr_of(program)
    assert said.startswith("bad tensor 7\n") and "INFO" not in said


def test_the_runtimes_greeting_is_kept_off_the_terminal() -> None:
    path = model_path("face_detection_short_range.tflite")
    program = (
        f"from appliance.vision.runtime import TfliteModel; TfliteModel({str(path)!r}, (1, 128, 128, 3))"
    )
    assert stderr_of(program) == ""


def test_without_grep_a_model_is_loaded_all_the_same(tmp_path: Path) -> None:
    path = model_path("face_detection_short_range.tflite")
    program = (
        f"import os, sys; os.environ['PATH'] = {str(tmp_path)!r}\n"
        f"from appliance.vision.runtime import TfliteModel; model = TfliteModel({str(path)!r}, (1, 128, 128, 3))\n"
        "print(model.path, file=sys.stderr)"
    )
    assert stderr_of(program).endswith(f"{path}\n")


def test_without_any_runtime_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_RUNTIMES", ("no_such_runtime.interpreter", "nor_this.interpreter"))
    with pytest.raises(NoRuntime, match="no TFLite runtime: install tflite-runtime"):
        runtime.find_interpreter()


def test_the_second_runtime_is_used_where_the_first_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "second_runtime.py").write_text("class Interpreter: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(runtime, "_RUNTIMES", ("no_such_runtime.interpreter", "second_runtime"))
    assert runtime.find_interpreter().__module__ == "second_runtime"
