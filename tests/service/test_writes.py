"""What a whole day writes and where it connects to, as the kernel sees it (strace)."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.assets import home_folder
from appliance.pack import Pack, write_pack
from appliance.service.camera_aiming import BEGINS
from tests.conftest import base_image, small_info, small_patches
from tests.display.x11 import needs_xvfb, xvfb
from tests.service.test_app import portrait_at

CALLS = (
    "open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,"
    "unlink,unlinkat,rmdir,truncate,chmod,fchmodat,chown,lchown,fchownat,utime,utimes,utimensat,setxattr,"
    "socket,connect,bind,sendto,sendmsg,socketpair"
)
# A call's folder and path, as in openat(AT_FDCWD</home>, "file", ...; -y tells the folder of a descriptor.
PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)(?:<([^>]*)>)?, )?"((?:[^"\\]|\\.)*)"')
EVENTS = [
    "opened",
    "camera lost",
    "camera back",
    "config read again",
    "another portrait",
    "closed",
    "opened again",
]


def can_trace() -> bool:
    return (
        bool(shutil.which("strace")) and not subprocess.run(["strace", "-o", os.devnull, "true"]).returncode
    )


def written(calls: list[str]) -> set[str]:
    """The paths that calls changed, or opened for writing."""
    found = set()
    for call in calls:
        name, _, arguments = call.partition("(")
        reads = name.startswith("open") and not re.search("O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", arguments)
        if (
            reads
            or " = -1 " in call
            or name in ("socket", "connect", "bind", "sendto", "sendmsg", "socketpair")
        ):
            continue
        # What a link leads to is not written.
        for folder, path in PATH.findall(arguments)[-1 if name.startswith("symlink") else 0 :]:
            found.add(os.path.normpath(Path(folder or home_folder()) / path))
    return found


@pytest.mark.skipif(not can_trace(), reason="strace is not installed, or may trace nothing here")
def test_a_day_writes_only_where_the_guide_says(tmp_path: Path) -> None:
    state, run, lit, config = (tmp_path / name for name in ("state", "run", "lit", "config.toml"))
    run.mkdir()
    for name, title in (("first", "First Sitter"), ("second", "Second Sitter")):
        write_pack(state / name, small_info(title=title), base_image(), small_patches())
    (state / "current").symlink_to("first")
    config.touch()
    environment = {key: value for key, value in os.environ.items() if key != "CACHE_DIRECTORY"}
    trace = ["strace", "-f", "-qq", "-y", "-s", "500", "-e", f"trace={CALLS}", "-o", f"{tmp_path}/trace"]
    day = [
        sys.executable,
        "-B",
        "-m",
        "tests.service.day",
        str(state),
        str(run),
        f"offscreen:{lit}",
        str(config),
    ]
    done = subprocess.run([*trace, *day], capture_output=True, text=True, cwd=home_folder(), env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == EVENTS, done.stderr
    calls = [
        row.split(maxsplit=1)[1] for row in (tmp_path / "trace").read_text("utf-8", "replace").splitlines()
    ]
    places = written(calls)
    # The guide's: systemd/README.md. The display's folder stands for the glass, the config is this test's own.
    named: tuple[str, ...] = (f"{state}/.cache", f"{state}/..last-right-config.toml.new-")
    named += (
        f"{state}/.last-right-config.toml",
        f"{state}/.current.",
        f"{state}/current",
        f"{run}/",
        f"{lit}",
    )
    others = {
        place for place in places if not place.startswith((*named, "/dev/null")) and place != str(config)
    }
    assert not others
    for expected in (
        f"{run}/status.json",
        f"{run}/mona-lisa.prom",
        f"{state}/.last-right-config.toml",
        f"{state}/current",
    ):
        assert expected in places, "the trace works"
    assert any(place.startswith(f"{state}/.cache/first-") for place in places)
    assert any(place.startswith(f"{state}/.cache/second-") for place in places)
    sockets = [call for call in calls if call.startswith("socket")]
    assert all("AF_UNIX" in call or "AF_NETLINK" in call for call in sockets), sockets
    assert not [call for call in calls if re.match("connect|sendto|sendmsg", call) and "AF_INET" in call]


@needs_xvfb
@pytest.mark.skipif(not can_trace(), reason="strace is not installed, or may trace nothing here")
def test_while_the_camera_is_aimed_no_picture_reaches_the_disk(pack: Pack, tmp_path: Path) -> None:
    pictures, trace = tmp_path / "pictures", tmp_path / "trace"
    pictures.mkdir()
    for number in range(30):
        portrait_at(pictures / f"{number:02}.png", 10 * number)
    config = tmp_path / "config.toml"
    config.write_text(f'[display]\npack = "{pack.folder}"\nwidth = 540\nheight = 960\n[camera]\nrate = 10\n')
    command = ["strace", "-f", "-qq", "-y", "-s", "500", "-e", f"trace={CALLS}", "-o", str(trace)]
    command += [sys.executable, "-B", "-m", "appliance", "aim", "--config", str(config)]
    with xvfb(720, 1080) as server:
        desktop = {key: value for key, value in os.environ.items() if key != "SDL_VIDEODRIVER"}
        done = subprocess.run(
            [*command, "--camera", f"replay:{pictures}", "--display", "window"],
            capture_output=True,
            text=True,
            cwd=home_folder(),
            env=desktop | {"DISPLAY": server},
        )
    assert BEGINS % 10 in done.stdout and " m away with eyes " in done.stdout, done.stderr
    assert "no more pictures after 29.png" in done.stderr
    calls = [row.split(maxsplit=1)[1] for row in trace.read_text("utf-8", "replace").splitlines()]
    assert any(call.startswith("open") and "29.png" in call for call in calls), "the trace works"
    assert written(calls) - {"/dev/null"} == set()
    sockets = [call for call in calls if call.startswith(("socket(", "connect("))]
    assert sockets and all("AF_UNIX" in call for call in sockets), sockets
