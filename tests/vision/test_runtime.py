import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from appliance.assets import home_folder, model_path
from appliance.bench.gaze_walks import ASTRONAUT, scene
from appliance.camera.base import RgbPicture
from appliance.camera.sampling import Floats
from appliance.config import VisionConfig
from appliance.errors import NoRuntime
from appliance.tracking.search_regions import Detectors
from appliance.vision import runtime
from appliance.vision.blazeface import MODEL_SPECS, FaceDetector
from appliance.vision.runtime import find_interpreter, importable_runtimes

BOTH = importable_runtimes()
GREETING = "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\\n"
# Stands in for the runtime: it speaks as the real one does, past Python, and may end the process.
RUNTIME = """
import os, sys, types
class Interpreter:
    def __init__(self, **_): os.write(2, b"{said}"); {then}
module = types.ModuleType("tflite_runtime.interpreter"); module.Interpreter = Interpreter
sys.modules.update({{"tflite_runtime": types.ModuleType("tflite_runtime"), module.__name__: module}})
from appliance.vision.runtime import TfliteModel
TfliteModel("face.tflite", (1, 2), "tflite")
"""


def stderr_of(program: str) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, cwd=home_folder(), check=False).stderr


def test_what_a_model_says_before_it_crashes_is_not_lost() -> None:
    program = RUNTIME.format(said=GREETING + "bad tensor 7\\n", then="os.abort()")
    said = stderr_of(program)
    assert said.startswith("bad tensor 7\n") and "INFO" not in said


@pytest.mark.parametrize("name", BOTH)
def test_the_runtimes_greeting_is_kept_off_the_terminal(name: str) -> None:
    path = model_path("face_detection_short_range.tflite")
    program = f"from appliance.vision.runtime import TfliteModel; TfliteModel({str(path)!r}, (1, 128, 128, 3), {name!r})"
    assert stderr_of(program) == ""


def test_without_grep_a_model_is_loaded_all_the_same(tmp_path: Path) -> None:
    path = model_path("face_detection_short_range.tflite")
    program = (
        f"import os, sys; os.environ['PATH'] = {str(tmp_path)!r}\n"
        f"from appliance.vision.runtime import TfliteModel; model = TfliteModel({str(path)!r}, (1, 128, 128, 3))\n"
        "print(model.path, file=sys.stderr)"
    )
    assert stderr_of(program).endswith(f"{path}\n")


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of modules that stand in for the runtimes: "first" is preferred to "second"."""
    monkeypatch.syspath_prepend(tmp_path)
    pairs = {name: (f"{name}_runtime", f"{name}-package") for name in ("first", "second")}
    monkeypatch.setattr(runtime, "_RUNTIMES", pairs)
    for module, _ in pairs.values():
        monkeypatch.delitem(sys.modules, module, raising=False)
    return tmp_path


def test_without_any_runtime_one_line_says_what_to_install(modules: Path) -> None:
    with pytest.raises(NoRuntime) as caught:
        find_interpreter()
    assert str(caught.value).startswith("no TFLite runtime: install ai-edge-litert, or tflite-runtime (only")
    assert importable_runtimes() == []


def test_a_runtime_that_was_asked_for_and_is_missing_is_named(modules: Path) -> None:
    (modules / "first_runtime.py").write_text("class Interpreter: pass\n")
    with pytest.raises(NoRuntime) as caught:
        find_interpreter("second")
    assert str(caught.value) == (
        'vision.runtime = "second": second-package cannot be imported; install it, or set "auto"'
    )


@pytest.mark.parametrize("fault", ["import no_such_module", 'raise OSError("GLIBC_2.99 not found")'])
def test_a_runtime_that_does_not_load_gives_way_to_the_other(modules: Path, fault: str) -> None:
    (modules / "first_runtime.py").write_text(f"{fault}\n")
    (modules / "second_runtime.py").write_text("class Interpreter: pass\n")
    assert find_interpreter().__module__ == "second_runtime"
    assert importable_runtimes() == ["second"]


def test_ai_edge_litert_is_used_wherever_it_is_installed() -> None:
    assert find_interpreter() is find_interpreter(BOTH[0])
    assert BOTH[0] == "litert" or "litert" not in BOTH
    if sys.version_info < (3, 12):
        assert BOTH == ["litert", "tflite"], "set-up installs both for Python 3.11"


@pytest.mark.parametrize("name", BOTH)
def test_the_models_run_with_the_runtime_in_the_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def find(name: str) -> object:
        asked.append(name)
        return find_interpreter(name)

    monkeypatch.setattr(runtime, "find_interpreter", find)
    Detectors(VisionConfig(runtime=name))
    assert asked == [name, name]


def outputs_for(detector: FaceDetector, pixels: Floats) -> dict[int, Floats]:
    """What a model gives for its input, by the number of values for each anchor."""
    np.copyto(detector.model.input()[0], pixels)
    detector.model.run()
    anchors = sum(cells * cells * repeat for cells, repeat in detector.spec.grids)
    return {values: detector.model.output((1, anchors, values)).copy() for values in (1, 16)}


@pytest.mark.skipif(len(BOTH) < 2, reason="needs both runtimes, which exist for Python 3.11")
@pytest.mark.parametrize("kind", MODEL_SPECS)
def test_both_runtimes_give_the_same_numbers_and_faces(kind: str) -> None:
    picture = RgbPicture(scene(ASTRONAUT, (640, 480), 0.2, (0.4, 0.5)), 0.0, 0)
    one, other = (FaceDetector(kind, runtime=name) for name in BOTH)
    found = one.detect(picture)
    assert found and found == other.detect(picture)
    side = MODEL_SPECS[kind].side
    noise = np.random.default_rng(0).uniform(-1, 1, (side, side, 3)).astype(np.float32)
    for name, ours in outputs_for(one, noise).items():
        # Bit for bit on x86-64; another processor may add up in another order.
        np.testing.assert_allclose(ours, outputs_for(other, noise)[name], rtol=1e-5, atol=1e-4)
