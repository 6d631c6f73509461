"""The networks compute what the official code computes, to the last digits of float64."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from appliance.fomm.network import (
    VOX,
    Architecture,
    Fomm,
    KeyPoints,
    adaption,
    load_checkpoint,
    relative,
    sample,
)
from tests.fomm.recipe import TINY, checkpoint, pictures

GOLDEN = Path(__file__).with_name("golden")
# The official code's own float64 against ours: sums in another order, stored as float32.
CLOSE = 2e-7
CASES = [
    pytest.param("tiny128", TINY, id="tiny128"),
    pytest.param("vox256", VOX, id="vox256", marks=pytest.mark.slow),
]


class Run:
    """Everything the golden vectors know, computed by the product's own loader and networks."""

    def __init__(self, name: str, sizes: Architecture, folder: Path) -> None:
        torch.save(checkpoint(sizes), folder / "checkpoint")
        self.model = load_checkpoint(folder / "checkpoint", sizes, torch.float64)
        self.golden = np.load(GOLDEN / f"{name}.npz")
        self.checked: set[str] = set()
        self.pictures = {
            key: torch.from_numpy(pixels / 255.0).permute(2, 0, 1)[None]
            for key, pixels in pictures(sizes.side).items()
        }
        self.points: dict[str, KeyPoints] = {
            key: self.model.kp_detector(p) for key, p in self.pictures.items()
        }

    def moved(self, frame: str, adapt: bool) -> KeyPoints:
        source, start, now = (self.points[key] for key in ("source", "driving0", frame))
        return relative(source, start, now, adaption(source, start) if adapt else 1.0)

    def check(self, name: str, value: torch.Tensor) -> None:
        """Compare with every golden vector of that name, whole, thinned or averaged."""
        matching = [key for key in self.golden.files if re.split("[@#~]", key)[0] == name]
        assert matching, name
        self.checked.update(matching)
        for key in matching:
            ours = value
            if key.endswith("~u16"):
                wanted = torch.from_numpy(self.golden[key] / 65535)
                torch.testing.assert_close(value, wanted, rtol=0, atol=1e-5 + CLOSE)
                continue
            if key.endswith("@4"):
                ours = value[..., ::4, ::4]
            elif key.endswith("#tile16"):
                ours = torch.nn.functional.avg_pool2d(value, 16)
            np.testing.assert_allclose(ours.numpy(), self.golden[key], rtol=0, atol=CLOSE, err_msg=key)


Runs = Callable[[str, Architecture], Run]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    made: dict[str, Run] = {}

    def run(name: str, sizes: Architecture) -> Run:
        if name not in made:
            made[name] = Run(name, sizes, tmp_path_factory.mktemp(name))
        return made[name]

    return run


@pytest.mark.parametrize(("name", "sizes"), CASES)
def test_key_points_and_jacobians_are_the_official_ones(runs: Runs, name: str, sizes: Architecture) -> None:
    run = runs(name, sizes)
    for key, points in run.points.items():
        run.check(f"kp_{key}_value", points.value)
        run.check(f"kp_{key}_jacobian", points.jacobian)


@pytest.mark.parametrize(("name", "sizes"), CASES)
def test_motion_is_carried_over_as_the_official_code_does(runs: Runs, name: str, sizes: Architecture) -> None:
    run = runs(name, sizes)
    for frame in ("driving1", "driving2"):
        for word in ("absolute", "relative", "relative_adapt"):
            points = run.points[frame] if word == "absolute" else run.moved(frame, word.endswith("adapt"))
            run.check(f"norm_{word}_{frame}_value", points.value)
            run.check(f"norm_{word}_{frame}_jacobian", points.jacobian)


@pytest.mark.parametrize("align_corners", [True, False], ids=["corners", "no-corners"])
@pytest.mark.parametrize(("name", "sizes"), CASES)
def test_mask_flow_occlusion_and_frame_are_the_official_ones(
    runs: Runs, name: str, sizes: Architecture, align_corners: bool
) -> None:
    run = runs(name, sizes)
    mode = "T" if align_corners else "F"
    source = run.model.encode(run.pictures["source"])
    for frame in ("driving1", "driving2"):
        drawn, motion = run.model.generator(source, run.moved(frame, True), align_corners)
        run.check(f"mask_{frame}_{mode}", motion.mask)
        run.check(f"deformation_{frame}_{mode}", motion.flow)
        run.check(f"occlusion_map_{frame}_{mode}", motion.occlusion)
        run.check(f"prediction_{frame}_{mode}", drawn)
        large = functional.interpolate(motion.flow.movedim(-1, 1), sizes.side, mode="bilinear").movedim(1, -1)
        run.check(f"deformed_{frame}_{mode}", sample(run.pictures["source"], large, align_corners))


@pytest.mark.parametrize(("name", "sizes"), CASES)
def test_each_motion_warps_the_source_as_the_official_codes_does(
    runs: Runs, name: str, sizes: Architecture
) -> None:
    """The model warps them itself: they are taken from what its hourglass is given."""
    run = runs(name, sizes)
    met: list[torch.Tensor] = []
    network = run.model.generator.dense_motion_network
    hook = network.hourglass.register_forward_pre_hook(lambda _, inputs: met.append(inputs[0]))
    run.model.generator(run.model.encode(run.pictures["source"]), run.moved("driving1", True), True)
    hook.remove()
    # For each motion one channel of heat, then three of the warped source.
    warped = met[0].view(1, sizes.points + 1, 4, *met[0].shape[-2:])[:, :, 1:]
    run.check("sparse_deformed_driving1_T", warped)


@pytest.mark.parametrize(("name", "sizes"), CASES)
def test_nothing_of_the_golden_vectors_is_left_out(runs: Runs, name: str, sizes: Architecture) -> None:
    run = runs(name, sizes)
    if not run.checked:
        pytest.skip("the tests that compare were not run")
    assert run.checked == set(run.golden.files)


def test_the_start_of_the_film_shows_the_source_unmoved(runs: Runs) -> None:
    run = runs("tiny128", TINY)
    points = run.moved("driving0", True)
    for ours, source in zip(points, run.points["source"], strict=True):
        torch.testing.assert_close(ours, source, rtol=0, atol=1e-12)
    flow = run.model.generator(run.model.encode(run.pictures["source"]), points)[1].flow
    line = torch.linspace(-1, 1, 32, dtype=torch.float64)
    torch.testing.assert_close(flow[0, 5, :, 0], line, rtol=0, atol=1e-12)


def test_published_names_and_shapes_are_the_models() -> None:
    with torch.device("meta"):
        ours = {
            name: "x".join(map(str, value.shape)) or "-" for name, value in Fomm(VOX).state_dict().items()
        }
    rows = (GOLDEN / "vox256-names.txt").read_text("ascii").splitlines()
    assert ours == dict(row.split(" ") for row in rows)


def test_the_reductions_kernel_is_the_checkpoints() -> None:
    from appliance.fomm.network import Reduce
    from tests.fomm.recipe import reduction

    np.testing.assert_allclose(Reduce(3, 4).weight.numpy(), reduction(3), rtol=0, atol=1e-9)
