"""From key points to where every place of a frame comes from in the source."""

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from appliance.fomm.keypoints import KeyPoints
from appliance.fomm.layers import Hourglass, Reduce, grid_like, sample

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
