"""picamera2 itself, taught the few things in which libcamera's virtual camera differs from a Pi's.

It has no raw mode, and libcamera logs an error when it is asked for some. Its buffers have one plane
each for brightness and colour, which picamera2's own allocator does not make; and it does not say how
many bytes of a buffer it filled. It delivers as fast as buffers come back, which would leave an
emulated processor no time for anything else: here it has to wait for `PAUSE` between handfuls. Nor can
it be unplugged: while the file `UNPLUGGED` exists no picture arrives, and no camera is listed.
"""

import importlib.util
import mmap
import sys
import time
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

UNPLUGGED = Path("/run/virtual-camera-unplugged")

PAUSE = 1.0

_here = Path(__file__).resolve().parent.parent
_spec = PathFinder.find_spec("picamera2", [path for path in sys.path if Path(path).resolve() != _here])
if _spec is None or _spec.loader is None:
    raise ImportError("picamera2 itself is not installed")
_real: Any = importlib.util.module_from_spec(_spec)
sys.modules["picamera2"] = _real
_spec.loader.exec_module(_real)

# The real one's modules.
allocators: Any = importlib.import_module("picamera2.allocators")
picamera2: Any = importlib.import_module("picamera2.picamera2")
_own: Any = importlib.import_module("picamera2.allocators.libcameraallocator")


class WholeBuffer:
    """Maps a buffer whole: the virtual camera leaves `bytes_used` at zero."""

    def __init__(self, allocator: Any, buffer: Any, write: bool) -> None:
        planes = buffer.planes
        self._map = mmap.mmap(planes[0].fd, sum(plane.length for plane in planes))

    def __enter__(self) -> mmap.mmap:
        return self._map

    def __exit__(self, *_: object) -> None:
        self._map.close()


class VirtualAllocator(_own.LibcameraAllocator):  # type: ignore[misc]  # picamera2 has no types
    """libcamera's own buffers; the camera is known once there is one."""

    def __init__(self) -> None:
        super().__init__(None)
        self.sync = WholeBuffer


class VirtualPicamera2(picamera2.Picamera2):  # type: ignore[misc]  # picamera2 has no types
    """Picamera2 on the virtual camera."""

    def _get_raw_modes(self) -> list[dict[str, Any]]:
        return [{"format": "SBGGR8", "size": (640, 360)}]

    @property
    def sensor_modes(self) -> list[dict[str, Any]]:
        return []

    @staticmethod
    def global_camera_info() -> list[Any]:
        return [] if UNPLUGGED.exists() else _list_cameras()

    def process_requests(self, display: Any) -> None:
        time.sleep(PAUSE)
        if UNPLUGGED.exists():
            with self._requestslock:
                self._requests: list[Any] = []  # given back, they would be filled again at once
        super().process_requests(display)

    def configure_(self, camera_config: Any) -> Any:
        self.allocator.camera = self.camera
        return super().configure_(camera_config)


_list_cameras = picamera2.Picamera2.global_camera_info
picamera2.DmaAllocator = allocators.DmaAllocator = VirtualAllocator
Picamera2: Any = VirtualPicamera2
_real.Picamera2 = picamera2.Picamera2 = Picamera2
