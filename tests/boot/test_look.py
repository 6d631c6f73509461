"""Frames are known by their content, and by nothing less than all of it."""

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from appliance.pack import Pack
from tests.boot.image import Disk
from tests.boot.look import BLACK, NO_SIGNAL, UNKNOWN, Eye, Frame
from tests.boot.machine import kernel_options


def lit(pack: Pack, frame: int) -> Image.Image:
    screen = pack.base()
    screen.paste(pack.patch(frame), pack.info.main.box[:2])
    return screen


@pytest.fixture
def eye(pack: Pack) -> Eye:
    return Eye({"sitter": pack.folder}, pack.info.size)


def test_every_frame_is_known_by_its_content(pack: Pack, eye: Eye) -> None:
    for index in range(pack.info.main.count):
        assert eye.tell(lit(pack, index)) == Frame("sitter", index, index == pack.info.main.rest)


def test_a_frame_with_one_wrong_pixel_is_unknown(pack: Pack, eye: Eye) -> None:
    screen = lit(pack, 3)
    red, green, blue = screen.tobytes()[:3]
    screen.putpixel((0, 0), (red ^ 1, green, blue))
    assert eye.tell(screen) == UNKNOWN


def test_black_and_no_signal_are_no_frames(pack: Pack, eye: Eye) -> None:
    assert eye.tell(Image.new("RGB", pack.info.size)) == BLACK
    screen = Image.new("RGB", (640, 480))
    ImageDraw.Draw(screen).text((250, 225), "Guest has not initialized the display (yet).")
    assert eye.tell(screen) == NO_SIGNAL


def test_the_text_of_a_console_is_unknown_in_every_mode(pack: Pack, eye: Eye) -> None:
    for size in (pack.info.size, (640, 480)):
        screen = Image.new("RGB", size)
        ImageDraw.Draw(screen).text((0, 0), "framed-screen login: _")
        assert eye.tell(screen) == UNKNOWN


def test_on_a_screen_on_its_side_frames_are_turned_clockwise(pack: Pack) -> None:
    width, height = pack.info.size
    eye = Eye({"sitter": pack.folder}, (height, width), 90)
    assert eye.tell(lit(pack, 1).transpose(Image.Transpose.ROTATE_270)) == Frame("sitter", 1, False)


def test_the_kernel_is_told_what_provisioning_wrote(tmp_path: Path) -> None:
    cmdline = "console=serial0,115200 console=tty3 root=PARTUUID=1-02 rootwait quiet\n"
    options = kernel_options(Disk("amd64", tmp_path, tmp_path, tmp_path, cmdline)).split()
    assert options[:5] == ["root=/dev/vda", "rw", "console=ttyS0", "console=tty3", "rootwait"]
    assert "quiet" in options
