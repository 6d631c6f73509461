"""How a picture of any shape meets a model's square input."""

import functools

from appliance.camera.averaging import Region


@functools.lru_cache(maxsize=16)
def letterbox(width: int, height: int) -> Region:
    """Return the smallest square around a whole picture, centred on it; its border reads as black."""
    side = max(width, height)
    x, y = (width - side) / 2, (height - side) / 2
    return Region(x, y, x + side, y + side)
