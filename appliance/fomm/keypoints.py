"""Ten key points of a face, each with how its surroundings are turned and stretched."""

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from appliance.fomm.hull import hull_area
from appliance.fomm.layers import Hourglass, Reduce, grid_like

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
