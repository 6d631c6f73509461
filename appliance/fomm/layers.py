"""What the networks are built of: blocks, the hourglass, the anti-aliased reduction, grids and sampling.

Source of all networks: Siarohin et al., "First Order Motion Model for Image Animation", NeurIPS 2019.
Names of modules and parameters are the published checkpoint's. Tensors are (batch, channels, rows,
columns); points are (x, y), -1 and 1 at the centres of the first and the last pixel.
"""

from typing import Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

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
    """What a 3x3 convolution makes of doubled pixels, rectified, from the pixels themselves.

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
