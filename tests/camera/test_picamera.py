import errno
import gc
import importlib.util
import os
import subprocess
import sys
import weakref
from types import ModuleType
from typing import Any, ClassVar, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.assets import home_folder
from appliance.camera.base import YuvPicture
from appliance.camera.lens import (
    LENS_DIFFERS,
    LENS_UNKNOWN,
    choose_field_of_view,
    known_sensor_mode,
    widest_sensor_mode,
)
from appliance.camera.picamera import (
    CAMERA_CROPPED,
    CAMERA_DOUBTED,
    ONLY_USB,
    PiCamera,
    exposure_middle,
    split_planes,
)
from appliance.config import OPENING
from appliance.errors import CameraAbsent, CameraBusy, CameraStalled

EVEN = st.integers(1, 40).map(lambda n: 2 * n)


@given(EVEN, EVEN, st.integers(0, 20).map(lambda n: 2 * n), st.sampled_from(["YUV420", "NV12"]))
def test_planes_are_cut_out_of_a_buffer_with_a_stride(
    width: int, height: int, padding: int, layout: str
) -> None:
    stride = width + padding
    buffer = np.full((height * 3 // 2, stride), 9, np.uint8)
    buffer[:height, :width] = 1
    if layout == "NV12":
        buffer[height:, 0:width:2], buffer[height:, 1:width:2] = 2, 3
    else:
        chroma = buffer[height:].reshape(height, stride // 2)
        chroma[: height // 2, : width // 2], chroma[height // 2 :, : width // 2] = 2, 3
    y, u, v = split_planes(buffer, (width, height), layout)
    assert y.shape == (height, width) and u.shape == v.shape == (height // 2, width // 2)
    assert (y == 1).all() and (u == 2).all() and (v == 3).all()


@pytest.mark.parametrize(
    ("yuv", "rgb"),
    [
        ((76, 85, 255), (254, 0, 0)),
        ((150, 44, 21), (0, 255, 1)),
        ((29, 255, 107), (0, 0, 254)),
        ((128, 128, 128), (128,) * 3),
    ],
)
def test_full_range_colours_come_out_right(yuv: tuple[int, ...], rgb: tuple[int, ...]) -> None:
    y, u, v = (
        np.full(shape, value, np.uint8) for shape, value in zip(((8, 8), (4, 4), (4, 4)), yuv, strict=True)
    )
    pixels = YuvPicture(y, u, v, 0.0, 0).to_rgb()
    assert np.abs(pixels.astype(int) - rgb).max() <= 2


@pytest.mark.skipif(importlib.util.find_spec("picamera2") is not None, reason="picamera2 is installed")
def test_without_picamera2_the_camera_is_absent_in_one_line() -> None:
    with pytest.raises(
        CameraAbsent, match=r"^picamera2 cannot be loaded .*; sudo apt-get install python3-picamera2$"
    ):
        PiCamera(640, 360, 30, 66, 5).__enter__()


def test_a_picture_was_taken_before_its_first_row_came() -> None:
    # picamera2's maintainers: the timestamp is later than the start of the exposure by the exposure time.
    began, came = 100.0, 100.066
    metadata = {"SensorTimestamp": round(came * 1e9), "ExposureTime": 66_000}
    assert exposure_middle(metadata) == pytest.approx((began + came) / 2)
    assert (
        exposure_middle({"SensorTimestamp": 5_000_000_000}) == 5.0
    )  # libcamera's virtual camera tells no more


@pytest.mark.parametrize("variant", ["imx708", "imx708_wide", "imx708_noir", "imx708_wide_noir"])
def test_every_variant_of_a_sensor_is_read_at_its_full_width(variant: str) -> None:
    assert known_sensor_mode(variant) == {"output_size": (2304, 1296), "bit_depth": 10}
    assert known_sensor_mode("imx519") == {}


@pytest.mark.parametrize(
    ("model", "configured", "angle", "doubt"),
    [
        ("imx708", 0, 66, ""),
        ("imx708_wide", 0, 102, ""),
        ("imx708_wide_noir", 0, 102, ""),
        ("imx219", 0, 62.2, ""),
        ("ov5647", 0, 53.5, ""),
        ("imx500", 0, 66, ""),
        ("imx477", 0, 66, LENS_UNKNOWN),
        ("imx477", 40, 40, ""),
        ("imx708_wide", 66, 66, LENS_DIFFERS % 102),
        ("imx708", 67.5, 67.5, ""),
    ],
)
def test_the_lens_gives_the_angle_unless_the_config_does(
    model: str, configured: float, angle: float, doubt: str
) -> None:
    assert choose_field_of_view(model, configured) == (angle, doubt)


# What picamera2 lists of an imx519, a sensor that is not known here: its second mode sees 55 % of the width.
IMX519 = [
    {"size": (1280, 720), "bit_depth": 10, "crop_limits": (1048, 1042, 2560, 1440)},
    {"size": (1920, 1080), "bit_depth": 10, "crop_limits": (408, 674, 3840, 2160)},
    {"size": (2328, 1748), "bit_depth": 10, "crop_limits": (0, 0, 4656, 3496)},
    {"size": (3840, 2160), "bit_depth": 10, "crop_limits": (408, 672, 3840, 2160)},
    {"size": (4656, 3496), "bit_depth": 10, "crop_limits": (0, 0, 4656, 3496)},
]
# An imx477: the second mode keeps the width, but is too low for a picture of 16:9 or 4:3 as wide.
IMX477 = [
    {"size": (1332, 990), "bit_depth": 10, "crop_limits": (696, 528, 2664, 1980)},
    {"size": (2028, 1080), "bit_depth": 12, "crop_limits": (0, 440, 4056, 2160)},
    {"size": (2028, 1520), "bit_depth": 12, "crop_limits": (0, 0, 4056, 3040)},
    {"size": (4056, 3040), "bit_depth": 12, "crop_limits": (0, 0, 4056, 3040)},
]


@pytest.mark.parametrize(
    ("modes", "size", "chosen", "bits"),
    [
        (IMX519, (640, 360), (2328, 1748), 10),
        (IMX477, (640, 320), (2028, 1080), 12),
        (IMX477, (640, 360), (2028, 1520), 12),
        (IMX477, (640, 480), (2028, 1520), 12),
    ],
)
def test_an_unknown_sensor_gets_its_smallest_full_width_mode(
    modes: list[dict[str, Any]], size: tuple[int, int], chosen: tuple[int, int], bits: int
) -> None:
    assert widest_sensor_mode(modes, size) == {"output_size": chosen, "bit_depth": bits}


def test_modes_that_do_not_say_what_they_see_are_passed_over() -> None:
    assert widest_sensor_mode([{"format": "YUYV"}], (640, 360)) == {}


USB = {"Model": "HD Pro Webcam", "Id": "/base/scb/pcie@7d500000/pci@0,0/usb@0,0-1.3:1.0-046d:0825"}
RIBBON = {"Model": "imx708_wide", "Id": "/base/soc/i2c0mux/i2c@1/imx708@1a"}


class Manager:
    """picamera2's, as it is on a service's private network: it lists what was there when it was made."""

    plugged: list[dict[str, str]]

    def __init__(self) -> None:
        self.cameras: dict[int, object] = {}
        self.listed: list[dict[str, str]] | None = None

    def cleanup(self, number: int) -> None:
        del self.cameras[number]


class Driver:
    """picamera2 as far as `PiCamera` uses it; `fails` is what `configure` raises, `full` that of opening."""

    _cm = Manager()
    fails: Exception | None = None
    full: Exception | None = None
    gone: Exception | None = None
    holder: "Driver | None" = None
    modes: list[dict[str, Any]] | None = IMX519

    def __init__(self, number: int) -> None:
        self.notifyme_r, self.notifyme_w = os.pipe()
        weakref.finalize(self, os.close, self.notifyme_r)
        self._cm.cameras[number] = self  # as picamera2 0.3.25 does
        if self.full or Driver.holder is not None:
            raise RuntimeError("Camera __init__ sequence did not complete.") from self.full
        Driver.holder = self
        self.number = number
        self.waits: list[float] = []
        self.controls: list[dict[str, Any]] = []

    @staticmethod
    def global_camera_info() -> list[dict[str, str]]:
        if Driver._cm.listed is None:
            Driver._cm.listed = list(Manager.plugged)
        return Driver._cm.listed

    @property
    def sensor_modes(self) -> list[dict[str, Any]]:
        if self.modes is None:
            raise AttributeError("'NoneType' object has no attribute 'at'")  # libcamera's virtual camera
        return self.modes

    def create_video_configuration(self, **wanted: object) -> dict[str, object]:
        return wanted

    def configure(self, wanted: dict[str, Any]) -> None:
        if self.fails:
            raise self.fails
        self.wanted = wanted

    def start(self) -> None:
        """Nothing to start."""

    def capture_request(self, wait: float) -> Any:
        self.waits.append(wait)
        if self.gone:
            raise self.gone
        if self.waits[1:]:
            raise TimeoutError
        return self  # the request, too

    def make_array(self, name: str) -> Any:
        assert name in self.wanted
        return self.buffer

    def get_metadata(self) -> dict[str, Any]:
        return {"SensorTimestamp": 5_000_000_000, **self.metadata}

    def set_controls(self, controls: dict[str, Any]) -> None:
        self.controls.append(controls)

    buffer = np.zeros((540, 640), np.uint8)
    metadata: ClassVar[dict[str, Any]] = {}
    camera_properties: Final = {"PixelArraySize": (4608, 2592)}

    def camera_configuration(self) -> dict[str, Any]:
        return self.wanted

    def release(self) -> None:
        """Nothing to give back."""

    cancel_all_and_flush = release

    def close(self) -> None:
        Driver.holder = None
        self._cm.cleanup(self.number)
        os.close(self.notifyme_w)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> type[Driver]:
    """Stands in for picamera2; no camera is plugged in yet."""
    libcamera: Any = ModuleType("libcamera")
    libcamera.ColorSpace = type("ColorSpace", (), {"Sycc": staticmethod(lambda: None)})
    libcamera.Transform = lambda hflip, vflip: (hflip, vflip)
    picamera2: Any = ModuleType("picamera2")
    picamera2.Picamera2 = Driver
    monkeypatch.setitem(sys.modules, "libcamera", libcamera)
    monkeypatch.setitem(sys.modules, "picamera2", picamera2)
    monkeypatch.setattr(Driver, "_cm", Manager())
    monkeypatch.setattr(Manager, "plugged", [], raising=False)
    monkeypatch.setattr(Driver, "fails", None)
    monkeypatch.setattr(Driver, "full", None)
    return Driver


def camera(configured: float = 0, rotation: int = 0) -> PiCamera:
    return PiCamera(640, 360, 30, configured, 0.5, rotation)


def test_a_camera_that_failed_to_open_is_let_go(driver: type[Driver]) -> None:
    Manager.plugged = [RIBBON]
    driver.fails = OSError(errno.ENOMEM, "Cannot allocate memory")
    for _ in range(2):
        with pytest.raises(CameraBusy, match=r"imx708_wide: cannot be opened \(.*Cannot allocate memory\)"):
            camera().__enter__()


def test_a_camera_plugged_in_after_the_first_look_is_found(driver: type[Driver]) -> None:
    with pytest.raises(CameraAbsent, match="no camera found"):
        camera().__enter__()
    Manager.plugged = [RIBBON]
    with camera() as opened:
        assert opened.model == "imx708_wide"


def test_a_day_of_tries_leaves_no_descriptor_open(driver: type[Driver]) -> None:
    Manager.plugged = [RIBBON]
    driver.full = OSError(errno.EBUSY, "Device or resource busy")

    def descriptors() -> int:
        with pytest.raises(CameraBusy, match="Device or resource busy"):
            camera().__enter__()
        gc.collect()
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    first = descriptors()
    assert [descriptors() for _ in range(5)] == [first] * 5


def test_the_first_picture_may_take_as_long_as_the_opening(driver: type[Driver]) -> None:
    Manager.plugged = [RIBBON]
    with camera() as opened:
        opened.newest()
        with pytest.raises(CameraStalled, match=r"^no picture for 0\.5 s$"):
            opened.newest()
        assert driver.holder is not None
        assert driver.holder.waits == [OPENING + 0.5, 0.5]


def test_the_camera_is_asked_for_no_stream_that_is_not_read(driver: type[Driver]) -> None:
    Manager.plugged = [RIBBON]
    with camera() as opened:
        assert driver.holder is not None
        assert driver.holder.wanted.keys() & {"main", "lores", "raw"} == {"main"}
        picture = opened.newest()
    assert picture.y.shape == (360, 640) and picture.u.shape == (180, 320)


def test_an_error_inside_picamera2_counts_as_a_stalled_camera(
    driver: type[Driver], monkeypatch: pytest.MonkeyPatch
) -> None:
    Manager.plugged = [RIBBON]
    said = "'NoneType' object has no attribute 'request'"
    monkeypatch.setattr(driver, "gone", AttributeError(said))
    with camera() as opened, pytest.raises(CameraStalled) as raised:
        opened.newest()
    assert str(raised.value) == f"picamera2 failed (AttributeError: {said})"


def test_a_wide_lens_is_read_as_wide(driver: type[Driver], caplog: pytest.LogCaptureFixture) -> None:
    Manager.plugged = [RIBBON]
    with camera() as opened:
        assert opened.horizontal_fov == 102
    assert not caplog.records
    with camera(configured=66) as opened:
        assert opened.horizontal_fov == 66
    (line,) = caplog.records
    assert line.msg == CAMERA_DOUBTED
    assert line.getMessage() == (
        "camera imx708_wide, field of view 66.0 degrees: its own lens has 102 degrees; is "
        "camera.field_of_view right?"
    )


def test_an_unknown_sensor_is_asked_for_its_full_width(
    driver: type[Driver], monkeypatch: pytest.MonkeyPatch
) -> None:
    Manager.plugged = [{"Model": "imx519", "Id": "/base/soc/i2c0mux/i2c@1/imx519@1a"}]
    with camera():
        assert driver.holder is not None
        assert driver.holder.wanted["sensor"] == {"output_size": (2328, 1748), "bit_depth": 10}
    monkeypatch.setattr(Driver, "modes", None)
    with camera():
        assert driver.holder is not None
        assert driver.holder.wanted["sensor"] == {}


@pytest.mark.parametrize(("rotation", "flips"), [(0, (False, False)), (180, (True, True))])
def test_a_camera_mounted_upside_down_is_turned(
    driver: type[Driver], rotation: int, flips: tuple[bool, bool]
) -> None:
    Manager.plugged = [RIBBON]
    with camera(rotation=rotation):
        assert driver.holder is not None
        assert driver.holder.wanted["transform"] == flips


def test_a_usb_camera_is_called_one(driver: type[Driver]) -> None:
    Manager.plugged = [USB]
    with pytest.raises(CameraAbsent) as raised:
        camera().__enter__()
    assert str(raised.value) == ONLY_USB % "HD Pro Webcam"


def test_beside_a_usb_camera_the_one_on_the_ribbon_cable_is_used(driver: type[Driver]) -> None:
    Manager.plugged = [USB, RIBBON]
    with camera() as opened:
        assert driver.holder is not None
        assert (driver.holder.number, opened.model) == (1, "imx708_wide")


def test_a_red_coat_is_red_in_the_cameras_picture(
    driver: type[Driver], monkeypatch: pytest.MonkeyPatch
) -> None:
    Manager.plugged = [RIBBON]
    # I420: Y, then U, then V; red in full range.
    red = np.repeat(np.array((76, 85, 255), np.uint8), (360 * 640, 180 * 320, 180 * 320))
    monkeypatch.setattr(driver, "buffer", red.reshape(540, 640))
    with camera() as opened:
        pixels = opened.newest().to_rgb()
    assert pixels.shape == (360, 640, 3)
    assert np.abs(pixels.astype(int) - (254, 0, 0)).max() <= 2


def test_a_new_rate_reaches_the_sensor_once(driver: type[Driver]) -> None:
    Manager.plugged = [RIBBON]
    with camera() as opened:
        assert driver.holder is not None
        assert driver.holder.wanted["controls"] == {"FrameDurationLimits": (33_333, 66_666)}
        for rate in (30, 5, 5, 30):
            opened.set_rate(rate)
        limits = [controls["FrameDurationLimits"] for controls in driver.holder.controls]
        assert limits == [(200_000, 400_000), (33_333, 66_666)]


@pytest.mark.parametrize(
    ("crop", "angle"),
    [
        ((0, 0, 4608, 2592), 102.0),
        ((115, 65, 4378, 2462), 102.0),  # 95.01 %: all but the rim
        # 2 atan(tan(51 degrees) / 2) = 63.4
        ((1152, 648, 2304, 1296), 63.4),
        (None, 102.0),
    ],
    ids=["all of the sensor", "all but the rim", "half", "not told"],
)
def test_a_cropped_sensor_sees_a_narrower_angle(
    driver: type[Driver],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    crop: tuple[int, ...] | None,
    angle: float,
) -> None:
    Manager.plugged = [RIBBON]
    monkeypatch.setattr(driver, "metadata", {"ScalerCrop": crop} if crop else {})
    with camera() as opened:
        opened.newest()
        assert opened.horizontal_fov == pytest.approx(angle, abs=0.05)
    narrower = [] if angle == 102 else [CAMERA_CROPPED % (50, opened.horizontal_fov)]
    assert [record.getMessage() for record in caplog.records] == narrower


def test_a_start_with_a_pi_camera_loads_no_simulated_one() -> None:
    program = (
        "import sys; from appliance.config import CameraConfig; from appliance.service.camera_creation import create_camera\n"
        "create_camera('picamera', CameraConfig())\n"
        "print(*(name for name in sys.modules if name.startswith('appliance.')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=home_folder())
    loaded = set(done.stdout.split())
    assert "appliance.camera.picamera" in loaded, done.stderr
    assert not [name for name in loaded if name.startswith(("appliance.gallery", "appliance.camera.replay"))]
