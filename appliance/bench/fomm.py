"""The cost of a FOMM frame against its convolutions alone; a driving film drawn without a person."""

import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any, Final

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from appliance.assets import home_folder
from appliance.bench.memory import run_and_measure
from appliance.fomm.network import VOX, Fomm, KeyPoints, Source, fold
from appliance.pack import DEFAULT_COLUMNS, Pack

SIZE: Final = (360, 640)


def frames_of_the_sitter() -> list[Image.Image]:
    """Return the frames of the bundled portrait's level gaze, small; the first looks to picture left."""
    pack = Pack(home_folder() / "frames" / "sconosciuta")
    grid, whole, shown = pack.info.main, pack.base(), []
    for column in range(len(grid.angles)):
        whole.paste(pack.patch(grid.number(grid.resting[0], column)), grid.box[:2])
        shown.append(whole.resize(SIZE, Image.Resampling.BOX))
    return shown


def there_and_back(pictures: int = 60) -> list[int]:
    """Return the frames of a film: from the middle to the left, over to the right and to the middle again."""
    time = np.linspace(0, 2 * np.pi, pictures)
    return [round(16 - 16 * float(value)) for value in np.sin(time)]


def write_driving_film(path: Path, pictures: Iterable[Image.Image], rotation: int = 0) -> Path:
    """Write a film of 30 pictures a second.

    Parameters
    ----------
    pictures : all of one size, with even sides
    rotation : by which it is to be turned when shown, degrees counter-clockwise, as telephones note it
    """
    with av.open(str(path), "w") as container:
        stream: Any = None
        for picture in pictures:
            if stream is None:
                stream = container.add_stream("mpeg4", rate=30)
                stream.width, stream.height = picture.size
                stream.pix_fmt, stream.bit_rate = "yuv420p", 8_000_000
                if rotation:
                    stream.set_display_rotation(rotation)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture))))
        container.mux(stream.encode())
    return path


# The requirement: the frame against its convolutions, and 1.2 GB in units of 1024 x 1024 bytes.
TO_CONVOLUTIONS: Final = 1.1
MEMORY_MB: Final = 1144
_ROUNDS: Final = 5
_TRIES: Final = 3
_ANIMATE: Final = """
import sys
from pathlib import Path
from torch.nn.modules.module import register_module_forward_hook
from appliance.fomm.animate import animate
from appliance.fomm.network import Generator
drawn = []
register_module_forward_hook(lambda module, *_: drawn.append(1) if isinstance(module, Generator) else None)
animate(*(Path(name) for name in sys.argv[1:5]))
Path(sys.argv[5]).write_text(str(len(drawn)))
"""


def bench_fomm(say: Callable[[str], None]) -> dict[str, Any]:
    """Measure a frame at 256 pixels on one thread, and a film of 60 pictures to a pack.

    Returns
    -------
    `frame`: CPU seconds of a frame, the source being encoded; of the convolutions it runs, timed alone
    on inputs of the same sizes; and of those the published network runs for the same frame, which is
    the baseline, as ours save some of their work. The ratios are medians over rounds, each by the best
    of `_TRIES` of all three. `animation`: frames drawn, CPU seconds and peak memory
    in MB of a process from painting, film and checkpoint to the pack.

    Raises
    ------
    ApplianceError
        If the bundled portrait was not rendered, or the animation fails.
    """
    torch.manual_seed(0)
    published = Fomm(VOX).eval().requires_grad_(False)
    # First: a process's peak begins with that of the one that starts it.
    say("fomm: 60 pictures to a pack, a minute or two of CPU")
    animation = _animation(published)
    say(f"fomm: a frame against its convolutions, {_ROUNDS} rounds")
    frame = _frame(published)
    return {
        "frame": frame,
        "animation": animation,
        "required": {
            "frame / convolutions": {
                "at_most": TO_CONVOLUTIONS,
                "median": frame["ratio"],
                "met": frame["ratio"] <= TO_CONVOLUTIONS,
            },
            "frame / its own convolutions": {
                "at_most": TO_CONVOLUTIONS,
                "median": frame["ratio_to_own"],
                "met": frame["ratio_to_own"] <= TO_CONVOLUTIONS,
            },
            "frames drawn": {
                "at_most": DEFAULT_COLUMNS,
                "count": animation["frames_drawn"],
                "met": animation["frames_drawn"] <= DEFAULT_COLUMNS,
            },
            "peak MB": {
                "at_most": MEMORY_MB,
                "peak": animation["peak_mb"],
                "met": animation["peak_mb"] <= MEMORY_MB,
            },
        },
    }


def _frame(published: Fomm) -> dict[str, float]:
    ours = Fomm(VOX).eval().requires_grad_(False)
    ours.load_state_dict(published.state_dict())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            fold(ours)
            source = ours.encode(torch.rand(1, 3, VOX.side, VOX.side))
            driving = KeyPoints(source.points.value + 0.05, source.points.jacobian)
            own, plain = _convolutions(ours, source, driving), _convolutions(published, source, driving)
            runs: list[Callable[[], object]] = [lambda: ours.generator(source, driving), own, plain]
            rounds = [
                tuple(map(min, zip(*(tuple(map(_cpu, runs)) for _ in range(_TRIES)), strict=True)))
                for _ in range(_ROUNDS)
            ]
    finally:
        torch.set_num_threads(threads)
    frame, alone, as_published = (round(median(column), 3) for column in zip(*rounds, strict=True))
    return {
        "cpu_s": frame,
        "published_convolutions_cpu_s": as_published,
        "ratio": round(median(a / c for a, _, c in rounds), 3),
        "own_convolutions_cpu_s": alone,
        "ratio_to_own": round(median(a / b for a, b, _ in rounds), 3),
    }


def _convolutions(model: Fomm, source: Source, driving: KeyPoints) -> Callable[[], None]:
    """Return what runs the convolutions of a frame alone, on inputs of the same sizes."""
    met: list[tuple[nn.Conv2d, Tensor]] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.Conv2d)
        met.append((module, torch.rand(inputs[0].shape)))

    convolutions = [module for module in model.generator.modules() if isinstance(module, nn.Conv2d)]
    hooks = [module.register_forward_pre_hook(note) for module in convolutions]
    model.generator(source, driving)
    for hook in hooks:
        hook.remove()

    def run() -> None:
        for module, x in met:
            functional.conv2d(x, module.weight, module.bias, module.stride, module.padding)

    return run


def _cpu(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def _animation(published: Fomm) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film, weights, count = folder / "film.mp4", folder / "weights", folder / "count"
        shown = frames_of_the_sitter()
        write_driving_film(film, [shown[i] for i in there_and_back()])
        parts: dict[str, nn.Module] = {"generator": published.generator, "kp_detector": published.kp_detector}
        torch.save({part: network.state_dict() for part, network in parts.items()}, weights)
        painting = home_folder() / "frames" / "sconosciuta.png"
        paths = map(str, (painting, film, weights, folder / "pack", count))
        used = run_and_measure(["-c", _ANIMATE, *paths])
        drawn = int(count.read_text("ascii"))
    return {"frames_drawn": drawn, "cpu_s": used.cpu_s, "peak_mb": used.peak_mb}
