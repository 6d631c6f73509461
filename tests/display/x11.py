"""A real X server for tests: Xvfb, pictures of its screen, and the shape of its cursor."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import (
    CDLL,
    POINTER,
    Structure,
    byref,
    c_char_p,
    c_int,
    c_short,
    c_uint,
    c_ulong,
    c_ushort,
    c_void_p,
)
from ctypes.util import find_library
from shutil import which

import pytest
from PIL import Image, ImageGrab, features

needs_xvfb = pytest.mark.skipif(
    not which("Xvfb") or not features.check("xcb"),
    reason="Xvfb is missing (apt-get install xvfb), or Pillow's XCB",
)


@contextmanager
def xvfb(width: int, height: int, depth: int = 24) -> Iterator[str]:
    """Run a server with one screen; yields its DISPLAY."""
    read, write = os.pipe()
    # -noreset: a server that loses its last client would start again, and refuse the next meanwhile.
    server = subprocess.Popen(
        [
            "Xvfb",
            "-displayfd",
            str(write),
            "-screen",
            "0",
            f"{width}x{height}x{depth}",
            "-nolisten",
            "tcp",
            "-noreset",
        ],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as said:
        number = said.readline().strip()
    try:
        yield f":{number}"
    finally:
        server.terminate()
        server.wait()


def photographed(display: str, size: tuple[int, int]) -> Image.Image:
    """What the server's screen shows in its upper left corner, RGB."""
    return ImageGrab.grab((0, 0, *size), xdisplay=display).convert("RGB")


class _Cursor(Structure):
    _fields_ = (
        ("x", c_short),
        ("y", c_short),
        ("width", c_ushort),
        ("height", c_ushort),
        ("xhot", c_ushort),
        ("yhot", c_ushort),
        ("serial", c_ulong),
        ("pixels", POINTER(c_ulong)),
        ("atom", c_ulong),
        ("name", c_char_p),
    )


def cursor_is_seen(display: str) -> bool:
    """Whether any pixel of the cursor is not transparent, where it stands now."""
    x11, fixes = CDLL(find_library("X11")), CDLL(find_library("Xfixes"))
    x11.XOpenDisplay.restype = c_void_p
    x11.XCloseDisplay.argtypes = (c_void_p,)
    fixes.XFixesQueryExtension.argtypes = (c_void_p, POINTER(c_int), POINTER(c_int))
    fixes.XFixesGetCursorImage.argtypes = (c_void_p,)
    fixes.XFixesGetCursorImage.restype = POINTER(_Cursor)
    connection = x11.XOpenDisplay(display.encode())
    try:
        assert fixes.XFixesQueryExtension(connection, byref(c_int()), byref(c_int()))
        cursor = fixes.XFixesGetCursorImage(connection).contents
        return any(c_uint(cursor.pixels[i]).value >> 24 for i in range(cursor.width * cursor.height))
    finally:
        x11.XCloseDisplay(connection)
