"""How far an iris has moved, by matching what was painted."""

import numpy as np
from numpy.typing import NDArray

from appliance.portrait.eye_layers import PaintedEye
from appliance.portrait.sampling import sample_cubic


def iris_shift(painting: NDArray[np.uint8], frame: NDArray[np.uint8], eye: PaintedEye) -> float:
    """Return the shift in pixels along the face at which the inner iris of `frame` matches best."""
    reach = 0.7 * eye.iris.radius
    across = np.linspace(-reach, reach, 17)
    u, v = np.meshgrid(eye.iris.u + across, eye.iris.v + across * 0.6)
    axes, best = eye.view.axes, 0.0
    template = sample_cubic(painting, *axes.to_picture(u, v))
    for step in (0.02, 0.002):
        shifts = best + step * np.arange(-10, 11)
        errors = [
            np.square(sample_cubic(frame, *axes.to_picture(u + d, v)) - template).mean() for d in shifts
        ]
        best = float(shifts[int(np.argmin(errors))])
    return best * axes.width
