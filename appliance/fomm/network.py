"""The whole model: key-point detector and generator, and the sizes of the published one."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from torch import Tensor, nn

from appliance.fomm.keypoints import KeyPointDetector, KeyPoints
from appliance.fomm.layers import Down, Residual, Same, Up, sample
from appliance.fomm.motion import DenseMotion, Motion


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
