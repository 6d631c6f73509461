import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError

from appliance.service.bundle import redact, write_bundle


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("psk=hunter22 hunter23", "psk=(left out)"),
        ('"password": "a b"', '"password": (left out)'),
        ("Authorization: Bearer abc.def", "Authorization: (left out)"),
        ("see https://curator:hunter2@archive/x", "see https://(left out)@archive/x"),
        ('ssid="Museum Guest" channel=3', "ssid=(left out) channel=3"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\nend",
            "(private key left out)\nend",
        ),
        ("wifi.passphrase = geheim", "wifi.passphrase = (left out)"),
        ("from 192.168.1.20 port 22", "from (IP) port 22"),
        ("inet6 fe80::ba27:ebff:fe12:3456/64", "inet6 (IP)/64"),
        ("2001:db8:0:0:0:0:0:1", "(IP)"),
        ("link b8:27:eb:12:34:56 up", "link (MAC) up"),
        ("curator@museum.example wrote", "(address) wrote"),
        ("Serial: 10000000abcdef01", "Serial: (left out)"),
        ("root=PARTUUID=4b1c3a55-02", "root=PARTUUID=(left out)"),
        ("gallery3-pi mona-lisa[62]: ended", "(name) mona-lisa[62]: ended"),
    ],
)
def test_secrets_and_addresses_are_left_out(text: str, kept: str) -> None:
    assert redact(text, ["gallery3-pi"]) == kept


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T01:15:02+0000 mona-lisa[64]: following 1 of 3 visitors at 2.1 m, 29.8 pictures/s, frame 17",
        "imx708 10-001a: camera module ID 0x0302",
        "SDL 2.26.5, Python 3.11.2",
        "[   12.345678] vc4-drm gpu: bound fef00700.hdmi (ops vc4_hdmi_ops [vc4])",
    ],
)
def test_what_support_needs_stays(text: str) -> None:
    assert redact(text, ["gallery3-pi"]) == text


@given(st.ip_addresses().map(str), st.text("abc :=[]/%", max_size=5))
def test_no_address_comes_through(address: str, before: str) -> None:
    assert address not in redact(f"{before} {address} end") or address in ("::",)


def test_the_archive_is_text_and_holds_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "logs.tar.gz"
    names = write_bundle(path, ["nobody-here"])
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        assert [member.name for member in members] == [f"mona-lisa-logs/{name}" for name in names]
        for member in members:
            file = archive.extractfile(member)
            assert file is not None
            data = file.read()
            data.decode()
            with pytest.raises(UnidentifiedImageError):
                Image.open(io.BytesIO(data))
    assert {"doctor.txt", "journal.txt", "status.json"} <= set(names)
