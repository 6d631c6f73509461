"""Weights and pictures that anyone can make again from their names: what the golden vectors were made of."""

import math
import zlib

import numpy as np
import torch
from numpy.typing import NDArray

from appliance.fomm.network import Architecture, Fomm, Sizes

TINY = Architecture(
    side=128,
    detector=Sizes(8, 24, 3),
    generator=Sizes(8, 24, 2),
    motion=Sizes(8, 24, 3),
    residuals=2,
)


def checkpoint(sizes: Architecture) -> dict[str, dict[str, torch.Tensor]]:
    """A checkpoint's two networks, float32."""
    with torch.device("meta"):
        wanted = Fomm(sizes).state_dict()
    parts: dict[str, dict[str, torch.Tensor]] = {"generator": {}, "kp_detector": {}}
    for name, like in wanted.items():
        part, entry = name.split(".", 1)
        parts[part][entry] = torch.from_numpy(entry_value(name, tuple(like.shape)))
    return parts


def entry_value(name: str, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """One entry: numbers in [-1, 1) from MT19937, seeded by the CRC-32 of the name, scaled by its kind."""
    kind = name.rsplit(".", 1)[1]
    if kind == "num_batches_tracked":
        return np.array(1000, np.int64)
    if name.endswith(".down.weight"):
        return reduction(shape[0])
    uniform = np.random.RandomState(zlib.crc32(name.encode())).random_sample(math.prod(shape)) * 2 - 1
    uniform = uniform.reshape(shape)
    if kind == "weight" and len(shape) == 4:
        value = uniform * gain(name) * math.sqrt(3 / math.prod(shape[1:]))
    elif kind in ("weight", "running_var"):
        value = 1 + 0.5 * uniform
    elif kind == "running_mean" or ".norm" in name:
        value = 0.3 * uniform
    elif name == "kp_detector.jacobian.bias":
        value = np.tile([1.0, 0.0, 0.0, 1.0], shape[0] // 4) + 0.1 * uniform
    else:
        value = 0.1 * uniform
    return value.astype(np.float32)


def gain(name: str) -> float:
    if name.startswith("generator.bottleneck.") and name.endswith(".conv2.weight"):
        return 0.5
    return {
        "kp_detector.kp.weight": 0.9,
        "kp_detector.jacobian.weight": 0.25,
        "generator.dense_motion_network.mask.weight": 2.5,
        "generator.dense_motion_network.occlusion.weight": 2.5,
        "generator.final.weight": 0.45,
    }.get(name, 1.5)


def reduction(channels: int) -> NDArray[np.float32]:
    """The fixed Gaussian, 13x13 of sigma 1.5, sum 1."""
    x = np.arange(13, dtype=np.float64) - 6
    kernel = np.exp(-(x[:, None] ** 2 + x**2) / (2 * 1.5**2))
    return np.repeat((kernel / kernel.sum()).astype(np.float32)[None, None], channels, axis=0)


def picture(seed: int, side: int) -> NDArray[np.int64]:
    """Sums of triangle waves, (side, side, 3) from 0 to 255, by whole numbers alone."""
    y, x = np.mgrid[0:side, 0:side].astype(np.int64) * (256 // side)
    out = np.zeros((side, side, 3), np.int64)
    for c in range(3):
        for i in range(6):
            a = (7 * seed + 3 * c + 5 * i) % 11 - 5
            b = (5 * seed + 7 * c + 4 * i) % 11 - 5
            out[..., c] += np.abs((a * x + b * y + (97 * seed + 61 * c + 43 * i) % 512) % 512 - 256)
    return out * 255 // (6 * 256)


def pictures(side: int) -> dict[str, NDArray[np.uint8]]:
    """The source, the film's start and two more of its pictures, RGB."""
    a, b, c, d = (picture(seed, side) for seed in (1, 2, 3, 4))
    made = {"source": a, "driving0": b, "driving1": (4 * b + c) // 5, "driving2": (b + d) // 2}
    return {name: value.astype(np.uint8) for name, value in made.items()}
