import gc
import tracemalloc

import pytest

from appliance.assets import home_folder
from appliance.bench.gaze_methods import LENS, settings
from appliance.bench.gaze_walks import standing, to_yuv
from appliance.camera.base import Picture, YuvPicture
from appliance.gallery.camera import GalleryCamera
from appliance.gaze.pictures_to_target import GazeController
from appliance.pack import Pack

# Until the viewer is found and every buffer is as large as it must be.
SETTLED = 45


@pytest.mark.parametrize("form", ["RGB", "YUV420"])
@pytest.mark.parametrize("metres", [1.0, 3.5])
def test_following_allocates_nothing_that_stays(metres: float, form: str) -> None:
    pack = Pack(home_folder() / "frames" / "sconosciuta").info
    with GalleryCamera(standing(metres, 200.0), pace=False) as camera:
        pictures: list[Picture] = [camera.newest() for _ in range(90)]
    if form == "YUV420":
        pictures = [YuvPicture(*to_yuv(p.to_rgb()), p.captured, p.number) for p in pictures]
    controller = GazeController(settings())
    tracemalloc.start()
    try:
        for picture in pictures[:SETTLED]:
            controller.see(picture, LENS.horizontal_fov, pack)
        held = _held()
        tracemalloc.reset_peak()
        begun = tracemalloc.get_traced_memory()[0]
        for picture in pictures[SETTLED:]:
            controller.see(picture, LENS.horizontal_fov, pack)
        peak = tracemalloc.get_traced_memory()[1] - begun
        grown = _held() - held
    finally:
        tracemalloc.stop()
    assert grown < 20_000, "the samples of a second that tell life, and the plans of a few regions"
    assert peak < 250_000, "while a picture is searched; 417,000 to 811,000 at 1 m without kept buffers"


def _held() -> int:
    """Bytes that this package allocated and holds; the test's own process has other threads."""
    gc.collect()
    ours = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/appliance/*")])
    return sum(row.size for row in ours.statistics("filename"))
