"""What a curator would frown at, measured on the frames as they are shown.

Every measure says which pixels it reads. Lids, old iris and new iris alone decide them, and all of
them count: no patch is chosen by how it looks.
"""

from dataclasses import dataclass

import numpy as np

from appliance.portrait.eye_frames import EyeRecorder
from appliance.portrait.measure_head import eye_widths, nose_way
from appliance.portrait.measure_iris import catch_lights, cut_iris, over_corner
from appliance.portrait.measure_rims import LUMA, contrast, ghost_rim, limbus_arcs, new_edges
from appliance.portrait.measure_white import White, uncovered_white, white_levels
from appliance.portrait.sampling import Array


@dataclass(frozen=True, slots=True)
class Figures:
    """The measures of a portrait; of two eyes, the one at picture left first.

    `contrasts` is each painted eye's own, see `contrast`; `rims`, `arcs`, `edges`, `levels`, `cuts`,
    `lights` and `corners` are (2, frames), see `ghost_rim`, `limbus_arcs`, `new_edges`, `white_levels`,
    `cut_iris`, `catch_lights` and `over_corner`; `whites` has each eye's frames, None where nothing can
    be compared, see `uncovered_white`; `widths` is (2, 2), each eye's width in the first and the last
    frame, see `eye_widths`; `nose` see `nose_way`; `angles` is the gaze in the outermost frames in degrees;
    `step` is how many columns of the grid lie from one frame to the next.
    """

    contrasts: tuple[float, float]
    rims: Array
    arcs: Array
    edges: Array
    whites: tuple[list[White | None], list[White | None]]
    levels: Array
    cuts: Array
    lights: Array
    corners: Array
    widths: Array
    nose: float
    angles: tuple[float, float]
    step: int = 1


def measure(recorder: EyeRecorder, angles: tuple[float, ...]) -> Figures:
    """Measure a portrait once all its patches have passed the recorder.

    Parameters
    ----------
    angles : the gaze that the pack names for each frame, in degrees
    """
    eyes, sitter, box = recorder.eyes(), recorder.sitter, recorder.box
    first, second = eyes
    ends = [end @ LUMA for end in recorder.ends]
    found = zip(eyes, sitter.eyes, sitter.face.eyes, strict=True)
    return Figures(
        contrasts=(contrast(first), contrast(second)),
        rims=np.array([ghost_rim(eye) for eye in eyes]),
        arcs=np.array([limbus_arcs(eye) for eye in eyes]),
        edges=np.array([new_edges(eye) for eye in eyes]),
        whites=(uncovered_white(first), uncovered_white(second)),
        levels=np.array([white_levels(eye) for eye in eyes]),
        cuts=np.array([cut_iris(eye) for eye in eyes]),
        lights=np.array([catch_lights(eye) for eye in eyes]),
        corners=np.array([over_corner(frames, eye, marks) for frames, eye, marks in found]),
        widths=eye_widths(sitter, box, ends),
        nose=nose_way(sitter, box, ends),
        angles=(angles[0], angles[-1]),
        step=recorder.step,
    )
