"""The First Order Motion Model's networks: blocks, key points, motion, generator; their published weights.

Source of all networks: Siarohin et al., "First Order Motion Model for Image Animation", NeurIPS 2019.
Names of modules and parameters are the published checkpoint's. Tensors are (batch, channels, rows,
columns); points are (x, y), -1 and 1 at the centres of the first and the last pixel.
"""

import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from appliance.errors import BadModel
from appliance.files import open_regular

Point = tuple[float, ...]


def hull_area(points: Iterable[Sequence[float]]) -> float:
    """Return the area of the convex hull of points (x, y), by Andrew's monotone chain (1979)."""
    ordered = sorted(tuple(point) for point in points)
    hull: list[Point] = []
    for path in (ordered, ordered[::-1]):
        side: list[Point] = []
        for point in path:
            while len(side) > 1 and _turn(side[-2], side[-1], point) <= 0:
                side.pop()
            side.append(point)
        hull += side[:-1]
    return abs(sum(a[0] * b[1] - a[1] * b[0] for a, b in zip(hull, hull[1:] + hull[:1], strict=True))) / 2


def _turn(o: Point, a: Point, b: Point) -> float:
    """Return twice the area to the left of the way from `o` over `a` to `b`."""
    return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0])


# The reduction's Gaussian reaches this many standard deviations to either side.
_REACH: Final = 4


class Same(nn.Module):
    """Convolution, normalisation, ReLU; the size stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv: nn.Conv2d = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, outputs, rows, columns)."""
        return functional.relu_(self.norm(self.conv(x)))

    def fold(self) -> None:
        """Put the normalisation into the convolution: one pass over the data less."""
        self.conv = fuse_conv_bn_eval(self.conv, cast(nn.BatchNorm2d, self.norm))
        self.norm = nn.Identity()


class Down(Same):
    """As `Same`, then the mean of each 2x2: half the size."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, outputs, rows / 2, columns / 2)."""
        return functional.avg_pool2d(super().forward(x), 2)


class Up(Same):
    """Each pixel doubled, then as `Same`: twice the size."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, outputs, 2 rows, 2 columns)."""
        if isinstance(self.conv, _Doubled):
            doubled: Tensor = self.conv(x)
            return doubled
        return super().forward(functional.interpolate(x, scale_factor=2, mode="nearest"))

    def fold(self) -> None:
        """Put the normalisation into the convolution, and that onto the pixels not yet doubled."""
        super().fold()
        self.conv = _Doubled(self.conv)


class _Doubled(nn.Conv2d):
    """A 3x3 convolution of doubled pixels, rectified, computed from the pixels themselves.

    Of the nine pixels under the kernel some are the same, so a 2x2 kernel does: one for each of the
    four places that a doubled pixel has, 16 products instead of 36.
    """

    # For the first and the second of two pixels: which of three weights fall on each of two pixels.
    _TAPS: Final = (((1, 0, 0), (0, 1, 1)), ((1, 1, 0), (0, 0, 1)))

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__(conv.in_channels, 4 * conv.out_channels, 2, padding=1, device="meta")
        taps = torch.tensor(self._TAPS, dtype=conv.weight.dtype)
        weight = torch.einsum("pay,qbx,oiyx->pqoiab", taps, taps, conv.weight).flatten(0, 2)
        assert conv.bias is not None
        self.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
        self.bias = nn.Parameter(conv.bias.repeat(4), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, outputs, 2 rows, 2 columns)."""
        batch, _, rows, columns = x.shape
        places = super().forward(x).view(batch, 2, 2, -1, rows + 1, columns + 1)
        out = x.new_empty(batch, places.shape[3], rows, 2, columns, 2)
        for p in (0, 1):
            for q in (0, 1):
                place = places[:, p, q, :, p : p + rows, q : q + columns]
                torch.clamp(place, min=0, out=out[:, :, :, p, :, q])
        return out.view(batch, -1, 2 * rows, 2 * columns)


class Residual(nn.Module):
    """x + two convolutions, each normalised and rectified before; size and channels stay."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(channels)
        self.norm2: nn.Module = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the input's shape."""
        inner = functional.relu_(self.norm1(x))
        inner = functional.relu_(self.norm2(self.conv1(inner)))
        outer: Tensor = self.conv2(inner)
        return outer.add_(x)

    def fold(self) -> None:
        """Put the second normalisation into the first convolution."""
        self.conv1 = fuse_conv_bn_eval(self.conv1, cast(nn.BatchNorm2d, self.norm2))
        self.norm2 = nn.Identity()


class _Encoder(nn.Module):
    def __init__(self, expansion: int, inputs: int, blocks: int, most: int) -> None:
        super().__init__()
        channels = [inputs] + [min(most, expansion * 2 ** (i + 1)) for i in range(blocks)]
        self.down_blocks = nn.ModuleList(Down(channels[i], channels[i + 1]) for i in range(blocks))


class _Decoder(nn.Module):
    def __init__(self, expansion: int, blocks: int, most: int) -> None:
        super().__init__()
        self.up_blocks = nn.ModuleList(
            Up(
                (1 if i == blocks - 1 else 2) * min(most, expansion * 2 ** (i + 1)),
                min(most, expansion * 2**i),
            )
            for i in reversed(range(blocks))
        )


class Hourglass(nn.Module):
    """Down `blocks` times and up again, each step up joined by what was seen on the way down."""

    def __init__(self, expansion: int, inputs: int, blocks: int, most: int) -> None:
        super().__init__()
        self.encoder = _Encoder(expansion, inputs, blocks, most)
        self.decoder = _Decoder(expansion, blocks, most)
        self.outputs = expansion + inputs

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, expansion + inputs, rows, columns)."""
        seen = [x]
        for block in self.encoder.down_blocks:
            seen.append(block(seen[-1]))
        x = seen.pop()
        for block in self.decoder.up_blocks:
            x = torch.cat([block(x), seen.pop()], 1)
        return x


class Reduce(nn.Module):
    """A picture reduced by a whole factor: a Gaussian against aliasing, then every n-th pixel from 0."""

    weight: Tensor

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__()
        self._factor = factor
        sigma = (factor - 1) / 2
        reach = round(_REACH * sigma)
        away = torch.arange(-reach, reach + 1, dtype=torch.float64)
        row = torch.exp(-(away**2) / (2 * sigma**2))
        kernel = torch.outer(row, row) / row.sum() ** 2
        self.register_buffer("weight", kernel.float().expand(channels, 1, -1, -1).clone())

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, channels, rows / factor, columns / factor)."""
        reach = self.weight.shape[-1] // 2
        return functional.conv2d(x, self.weight, stride=self._factor, padding=reach, groups=x.shape[1])


def grid_like(x: Tensor) -> Tensor:
    """Return the points of a map's pixels, (rows, columns, 2), of its type."""
    rows, columns = (torch.linspace(-1, 1, size, dtype=x.dtype, device=x.device) for size in x.shape[-2:])
    return torch.stack([columns.expand(len(rows), -1), rows[:, None].expand(-1, len(columns))], -1)


def sample(x: Tensor, points: Tensor, align_corners: bool) -> Tensor:
    """Sample maps at points (batch, rows, columns, 2), bilinear, zero beyond the border."""
    return functional.grid_sample(x, points, "bilinear", "zeros", align_corners)


def fold(network: nn.Module) -> None:
    """Put all normalisations that follow a convolution into it; the network must be in `eval` mode."""
    for module in list(network.modules()):
        if isinstance(module, Same | Residual):
            module.fold()


_TEMPERATURE: Final = 0.1


class KeyPoints(NamedTuple):
    """`value` (batch, points, 2) as (x, y) in [-1, 1]; `jacobian` (batch, points, 2, 2)."""

    value: Tensor
    jacobian: Tensor


class KeyPointDetector(nn.Module):
    """Finds key points without knowing what they stand for; trained to explain motion."""

    def __init__(self, points: int, expansion: int, blocks: int, most: int, factor: int) -> None:
        super().__init__()
        self.down = Reduce(3, factor)
        self.predictor = Hourglass(expansion, 3, blocks, most)
        self.kp = nn.Conv2d(self.predictor.outputs, points, 7)
        self.jacobian = nn.Conv2d(self.predictor.outputs, 4 * points, 7)

    def forward(self, pictures: Tensor) -> KeyPoints:
        """Return the key points of RGB pictures in [0, 1], (batch, 3, rows, columns)."""
        features = self.predictor(self.down(pictures))
        logits = self.kp(features)
        batch, points = logits.shape[:2]
        heat = (logits.flatten(2) / _TEMPERATURE).softmax(-1)
        # The grid is the heat map's own: its convolution is not padded, it is smaller than the features.
        value = heat @ grid_like(logits).flatten(0, 1)
        maps = self.jacobian(features).view(batch, points, 4, -1)
        jacobian = (maps @ heat[..., None]).view(batch, points, 2, 2)
        return KeyPoints(value, jacobian)


def adaption(source: KeyPoints, start: KeyPoints) -> float:
    """Return how much larger the source's face is than the film's: the ratio of their hulls' roots."""
    ratio = hull_area(source.value[0].tolist()) / max(hull_area(start.value[0].tolist()), 1e-12)
    return float(ratio**0.5)


def relative(source: KeyPoints, start: KeyPoints, now: KeyPoints, scale: float) -> KeyPoints:
    """Carry a film's motion since its start over to the source.

    p = p_source + scale (p_now - p_start);  J = J_now J_start^-1 J_source
    """
    turn = now.jacobian @ torch.linalg.inv(start.jacobian)
    return KeyPoints(source.value + scale * (now.value - start.value), turn @ source.jacobian)


# Of the heat around a key point.
_VARIANCE: Final = 0.01


class Motion(NamedTuple):
    """A frame's motion, all on the reduced grid.

    `mask` (batch, points + 1, rows, columns), which motion counts where, the background's first;
    `flow` (batch, rows, columns, 2), the point of the source that each place shows;
    `occlusion` (batch, 1, rows, columns), 1 where the source shows it, 0 where it must be invented.
    """

    mask: Tensor
    flow: Tensor
    occlusion: Tensor


class DenseMotion(nn.Module):
    """Weighs the key points' motions against each other, place by place."""

    def __init__(self, points: int, expansion: int, blocks: int, most: int, factor: int) -> None:
        super().__init__()
        self.down = Reduce(3, factor)
        self.hourglass = Hourglass(expansion, 4 * (points + 1), blocks, most)
        self.mask = nn.Conv2d(self.hourglass.outputs, points + 1, 7, padding=3)
        self.occlusion = nn.Conv2d(self.hourglass.outputs, 1, 7, padding=3)

    def forward(self, small: Tensor, source: KeyPoints, driving: KeyPoints, align_corners: bool) -> Motion:
        """Return the motion from one source, reduced by `down` to (1, 3, rows, columns)."""
        grid = grid_like(small)
        sparse = _sparse(grid, source, driving)
        warped = sample(small.expand(len(sparse), -1, -1, -1), sparse, align_corners)
        # For each motion its heat and the source warped by it, interleaved.
        inputs = torch.cat([_heat(grid, source, driving)[:, None], warped], 1)
        features = self.hourglass(inputs.view(1, -1, *small.shape[-2:]))
        mask = self.mask(features).softmax(1)
        flow = torch.einsum("bkhw,khwc->bhwc", mask, sparse)
        return Motion(mask, flow, self.occlusion(features).sigmoid())


def _sparse(grid: Tensor, source: KeyPoints, driving: KeyPoints) -> Tensor:
    """Return each motion's points of the source, (points + 1, rows, columns, 2); the first stays still.

    T(z) = p_source + J_source J_driving^-1 (z - p_driving)
    """
    turn = (source.jacobian @ torch.linalg.inv(driving.jacobian))[0]
    away = grid - driving.value[0, :, None, None]
    moved = torch.einsum("kij,khwj->khwi", turn, away) + source.value[0, :, None, None]
    return torch.cat([grid[None], moved])


def _heat(grid: Tensor, source: KeyPoints, driving: KeyPoints) -> Tensor:
    """Return how much nearer each place is to the driving point than to the source's, as heat."""

    def around(points: Tensor) -> Tensor:
        return torch.exp(-(grid - points[0, :, None, None]).square().sum(-1) / (2 * _VARIANCE))

    heat = around(driving.value) - around(source.value)
    return torch.cat([torch.zeros_like(heat[:1]), heat])


@dataclass(frozen=True, slots=True)
class Sizes:
    """A network's first width in channels, its greatest, and its steps down."""

    expansion: int
    most: int
    blocks: int


@dataclass(frozen=True, slots=True)
class Architecture:
    """The model's sizes; `side` is that of its pictures in pixels, `factor` the motion's reduction."""

    side: int
    detector: Sizes
    generator: Sizes
    motion: Sizes
    residuals: int
    points: int = 10
    factor: int = 4


# Of vox-256 and vox-adv-256: they differ in training only.
VOX: Final = Architecture(
    side=256,
    detector=Sizes(32, 1024, 5),
    generator=Sizes(64, 512, 2),
    motion=Sizes(64, 1024, 5),
    residuals=6,
)


class Source(NamedTuple):
    """A source picture, encoded once: features, the reduced picture, and its key points."""

    features: Tensor
    small: Tensor
    points: KeyPoints


class Generator(nn.Module):
    """Draws the source as it looks with other key points."""

    def __init__(self, sizes: Architecture) -> None:
        super().__init__()
        e, most, blocks = sizes.generator.expansion, sizes.generator.most, sizes.generator.blocks
        width = [min(most, e * 2**i) for i in range(blocks + 1)]
        motion = sizes.motion
        self.dense_motion_network = DenseMotion(
            sizes.points, motion.expansion, motion.blocks, motion.most, sizes.factor
        )
        self.first = Same(3, e, 7)
        self.down_blocks = nn.Sequential(*(Down(width[i], width[i + 1]) for i in range(blocks)))
        self.bottleneck = nn.Sequential()
        for i in range(sizes.residuals):
            self.bottleneck.add_module(f"r{i}", Residual(width[-1]))
        self.up_blocks = nn.Sequential(*(Up(width[i + 1], width[i]) for i in reversed(range(blocks))))
        self.final = nn.Conv2d(e, 3, 7, padding=3)

    def encode(self, picture: Tensor, points: KeyPoints) -> Source:
        """Encode an RGB picture in [0, 1], (1, 3, side, side): the part that is the same in every frame."""
        features = self.down_blocks(self.first(picture))
        return Source(features, self.dense_motion_network.down(picture), points)

    def forward(
        self, source: Source, driving: KeyPoints, align_corners: bool = True
    ) -> tuple[Tensor, Motion]:
        """Return a frame, RGB in [0, 1] of (1, 3, side, side), and its motion.

        Parameters
        ----------
        driving : the key points that the frame shall have
        align_corners : how sampling counts: true is what the model was trained with (PyTorch 1.0),
            false what the official code has computed since PyTorch 1.3 changed the default
        """
        motion = self.dense_motion_network(source.small, source.points, driving, align_corners)
        features = sample(source.features, motion.flow, align_corners).mul_(motion.occlusion)
        features = self.up_blocks(self.bottleneck(features))
        return self.final(features).sigmoid_(), motion


class Fomm(nn.Module):
    """Both networks, under the names of the checkpoint."""

    def __init__(self, sizes: Architecture = VOX) -> None:
        super().__init__()
        detector = sizes.detector
        self.side = sizes.side
        self.kp_detector = KeyPointDetector(
            sizes.points, detector.expansion, detector.blocks, detector.most, sizes.factor
        )
        self.generator = Generator(sizes)

    def encode(self, picture: Tensor) -> Source:
        """Encode the source, RGB in [0, 1] of (1, 3, side, side)."""
        points: KeyPoints = self.kp_detector(picture)
        return self.generator.encode(picture, points)


_PARTS: Final = ("generator", "kp_detector")
# Number of faulty entries that are named before the rest is counted, and of characters shown of a name.
_NAMED: Final = 3
_SHOWN: Final = 100
_EXPECTED: Final = "expected vox-cpk or vox-adv-cpk"
# Weights in other kinds of numbers, sparse or without storage are none that training left.
_FLOATS: Final = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# Errors of reading bytes that are no checkpoint: they are read as a program for a small machine.
_NOT_READ: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
)


def load_checkpoint(path: Path, sizes: Architecture = VOX, dtype: torch.dtype = torch.float32) -> Fomm:
    """Read a checkpoint into the model, ready to run.

    Parameters
    ----------
    path : vox-cpk.pth.tar or vox-adv-cpk.pth.tar as published, or only their two networks
    sizes : of the model that the file must hold

    Raises
    ------
    BadModel
        In one line: no checkpoint, cut short, carries code, or entries missing, unknown or misshapen.
    """
    whole = _read(path)
    if not isinstance(whole, dict) or not all(isinstance(whole.get(part), dict) for part in _PARTS):
        held = (
            f"keys {', '.join(sorted(map(_name, whole))[:8])}"
            if isinstance(whole, dict)
            else type(whole).__name__
        )
        raise BadModel(f"{path}: no FOMM checkpoint (holds {held}); expected generator and kp_detector")
    with torch.device("meta"):
        model = Fomm(sizes)
    state = {f"{part}.{name}": value for part in _PARTS for name, value in _plain(whole[part]).items()}
    del whole
    _check(path, model, state, dtype)
    model.load_state_dict(state, assign=True)
    model.eval().requires_grad_(False)
    with torch.inference_mode():
        fold(model)
    return model


def _read(path: Path) -> Any:
    try:
        open_regular(path).close()  # from a pipe nothing may ever come
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                held = sum(entry.file_size for entry in archive.infolist())
            # PyTorch packs nothing: what grows when it is unpacked is meant to fill the memory.
            if held > path.stat().st_size:
                raise ValueError("compressed, which PyTorch never writes")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the layout, which is the published one
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise BadModel(f"{path}: no such file; appliance/fomm/README.md says where it is had") from error
    except _NOT_READ as error:
        raise BadModel(f"{path}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Say in a few words why bytes are no checkpoint."""
    text = " ".join(str(error).split())
    if code := re.search(r"\bGLOBAL ([\w.]+)", text):
        return f"carries code ({code[1]}) and was not read further; expected weights only"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    # PyTorch's own words advise to read the file unsafely: only what comes after them is told.
    fault = re.search(r"WeightsUnpickler error: (.*?)(?: Check the documentation|$)", text)
    told = fault[1] if fault else "an archive or a program" if "weights_only" in text else text
    told = re.sub(r"^\[enforce fail at [^]]*\][ .]*", "", told)
    told = re.split(r"\. | \(", told)[0].rstrip(".")[:_SHOWN]
    if not re.search(r"[a-z]", told):
        told = "ends too soon" if isinstance(error, EOFError) else "laid out otherwise"
    return f"no checkpoint, or cut short ({told}); {_EXPECTED}"


def _name(key: object) -> str:
    """Return a key as it can be shown: on one line, and not longer than that."""
    return ascii(key)[1:-1][:_SHOWN] if isinstance(key, str) else f"a {type(key).__name__}"


def _plain(entries: dict[Any, Any]) -> dict[str, Any]:
    """Strip the prefix that training on several cards leaves."""
    return {_name(name).removeprefix("module."): value for name, value in entries.items()}


def _check(path: Path, model: Fomm, state: dict[str, Any], dtype: torch.dtype) -> None:
    """Compare names, kinds and shapes with the model's, and bring the values to `dtype`.

    Counters of batches may be missing.
    """
    wanted = model.state_dict()
    faults = []
    for name, like in wanted.items():
        value = state.get(name)
        if value is None and name.endswith("num_batches_tracked"):
            state[name] = torch.zeros((), dtype=torch.int64)
        elif value is None:
            faults.append(f"{name} is missing")
        elif not _is_plain(value, like):
            faults.append(f"{name} is {_kind(value)}, expected {_dtype(like)}")
        elif value.shape != like.shape:
            faults.append(f"{name} is {_shape(value)}, expected {_shape(like)}")
        else:
            state[name] = value = value.to(dtype if like.is_floating_point() else like.dtype).contiguous()
            if not value.isfinite().all():
                faults.append(f"{name} holds numbers that are not finite")
            elif name.endswith("running_var") and bool((value < 0).any()):
                faults.append(f"{name} holds variances below 0")
    faults += [f"{name} is unknown" for name in state if name not in wanted]
    if faults:
        more = f" and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
        raise BadModel(f"{path}: {'; '.join(faults[:_NAMED])}{more}; {_EXPECTED}")


def _is_plain(value: object, like: Tensor) -> bool:
    """Tell whether a value is an ordinary tensor, in memory, of numbers of the kind of `like`."""
    return (
        type(value) in (Tensor, nn.Parameter)
        and isinstance(value, Tensor)
        and not value.is_nested
        and value.layout == torch.strided
        and not value.is_meta
        and value.dtype in (_FLOATS if like.is_floating_point() else (like.dtype,))
    )


def _kind(value: object) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    if value.is_nested or value.is_meta or value.layout != torch.strided:
        return "no ordinary tensor"
    return _dtype(value)


def _dtype(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "a single number"
