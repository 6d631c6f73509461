"""A graphics card that answers the ioctls themselves, where there is none; the boot machine has a real one."""

import ctypes
import errno
import struct

OURS = 10


class Kernel:
    """A graphics card as its ioctls show it: `lit` has the framebuffer of each CRTC, 0 for none."""

    def __init__(self, framebuffers: int = 2, crtcs: int = 3) -> None:
        self.own = [OURS + number for number in range(framebuffers)]
        self.lit = {60 + number: 0 for number in range(crtcs)}
        self.master = True
        self.gone = False
        self._next = 0

    def ioctl(self, _: int, request: int, argument: bytearray) -> int:
        if self.gone:
            raise OSError(errno.ENODEV, "No such device")
        if request == 0x40046411:  # DRM_IOCTL_AUTH_MAGIC
            raise OSError(errno.EINVAL if self.master else errno.EACCES, "Invalid argument")
        if request == 0xC04064A0:  # DRM_IOCTL_MODE_GETRESOURCES
            places, counts = struct.unpack_from("4Q", argument), struct.unpack_from("4I", argument, 32)
            for ids, place, room in zip((self.own, list(self.lit)), places, counts, strict=False):
                ctypes.memmove(place, struct.pack(f"{len(ids)}I", *ids), 4 * min(len(ids), room))
            struct.pack_into("2I", argument, 32, len(self.own), len(self.lit))
            return 0
        assert request == 0xC06864A1  # DRM_IOCTL_MODE_GETCRTC
        (crtc,) = struct.unpack_from("I", argument, 12)
        struct.pack_into("I", argument, 16, self.lit[crtc])
        return 0

    def flip(self) -> None:
        """What SDL does: the next framebuffer on our CRTC, unless the kernel refuses."""
        if self.master and not self.gone:
            self.lit[61] = self.own[self._next % len(self.own)]
            self._next += 1
