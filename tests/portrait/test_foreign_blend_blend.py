"""Blending head frames over a painting: the weight, the seam, and which frames are chosen."""

import math
from pathlib import Path

import numpy as np
import pytest

from appliance.errors import BadImage
from appliance.portrait.foreign_blend import (
    blend_frame,
    blend_weights,
    choose_evenly_spaced_frames,
    list_head_frames,
)


@pytest.mark.parametrize("away", [0.5, 60.5, 150.5, 180.5, 200.5, 220.5])
def test_the_weight_is_the_original_pieces_sigmoid(away: float) -> None:
    alpha = blend_weights(512)
    original = 1 / (1 + math.exp(0.06 * (away - 180)))
    where = round(256 + away - 0.5)
    assert alpha[256, where] == pytest.approx(original, rel=1e-9)
    assert alpha[where, 300 if away > 60 else 256] == pytest.approx(original, rel=1e-9)


@pytest.mark.parametrize("side", [512, 256, 640, 33])
def test_the_weight_is_zero_at_the_edge_and_whole_in_the_middle(side: int) -> None:
    alpha = blend_weights(side)
    assert not alpha[[0, -1]].any()
    assert not alpha[:, [0, -1]].any()
    assert alpha[side // 2, side // 2] > 0.999


def test_a_head_leaves_no_seam_on_the_painting() -> None:
    # The worst case: a white frame over a black painting.
    painting, frame = np.zeros((512, 512, 3), np.uint8), np.full((512, 512, 3), 255, np.uint8)
    mixed = blend_frame(painting, frame, blend_weights(512)).astype(int)
    assert mixed[[0, -1]].max() == 0
    assert mixed[[1, -2]].max() <= 1
    assert np.abs(np.diff(mixed[:, 256, 0])).max() <= 4  # the sigmoid's own slope, 255 * 0.06 / 4
    assert np.array_equal(blend_frame(painting, painting, blend_weights(512)), painting)


def test_frames_are_chosen_by_motion_and_not_by_time() -> None:
    time = np.linspace(0, 1, 200)
    motions = np.sin(time * np.pi * 1.5) * 10  # there and part of the way back, uneven
    chosen = choose_evenly_spaced_frames(motions.tolist(), 33)
    steps = np.diff(motions[chosen])
    assert len(set(chosen)) == 33
    assert (steps > 0).all()
    assert steps.max() < 1.5 * steps.mean()


def test_frames_that_are_no_squares_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="0 head frames"):
        list_head_frames(tmp_path / "none")
