import grp
import io
import json
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError

from appliance.cli import main
from appliance.config import LAYERS, Config, LayeredConfig, show_config
from appliance.errors import NotPermitted
from appliance.service import support_archive
from appliance.service.support_archive import (
    check_log_readable,
    known_config,
    known_entries,
    known_lines,
    known_status,
    redact,
    write_bundle,
)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("see https://curator:hunter2@archive/x", "see https://(left out)@archive/x"),
        ("from 192.168.1.20 port 22", "from (IP) port 22"),
        ("inet6 fe80::ba27:ebff:fe12:3456/64", "inet6 (IP)/64"),
        ("2001:db8:0:0:0:0:0:1", "(IP)"),
        ("link b8:27:eb:12:34:56 up", "link (MAC) up"),
        ("curator@museum.example wrote", "(address) wrote"),
        ("Serial: 1000-0000", "Serial: (left out)"),
        ("root=PARTUUID=4b1c3a55-02", "root=PARTUUID=(left out)"),
        ("gallery3-pi mona-lisa[62]: ended", "(name) mona-lisa[62]: ended"),
        (
            'c.toml:3: gaze.gain = "hunter2"; expected a number',
            "c.toml:3: gaze.gain = (left out); expected a number",
        ),
    ],
)
def test_addresses_and_names_are_left_out(text: str, kept: str) -> None:
    assert redact(text, ["gallery3-pi"]) == kept


AT = "2026-11-23T01:15:02+0000 gallery3-pi"
KEY = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtz\nc2gtZWQyNTUxOQAAACB7\nZQ==\n"


@pytest.mark.parametrize(
    "text",
    [
        "secret_key: hunter2",
        "AWS_ACCESS_KEY_ID=hunter2",
        "PresharedKey = hunter2",
        "credentials=hunter2",
        "got bearer hunter2 from it",
        "psk=hunter22 hunter2",
        '"password": "a hunter2"',
        "Authorization: Basic hunter2",
        "wifi.passphrase = hunter2",
        'ssid="hunter2" channel=3',
        'Api-Key: """\nhunter2\nhunter2 again\n"""',
        "token:\n  - hunter2\n  - hunter2",
        f"{KEY}hunter2\n-----END OPENSSH PRIVATE KEY-----",
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{KEY}hunter2",
        "it is 9f86d081884c7d65 hunter2",
        f"secret:\n{AT} mona-lisa[62]: hunter2",
    ],
)
def test_no_secret_is_sent_to_support_whatever_it_is_called(text: str) -> None:
    told = redact(f"{AT} mona-lisa[62]: ended\n{text}\n{AT} mona-lisa[62]: one\n{AT} mona-lisa[62]: two\n")
    assert "hunter2" not in told and "b3Blbn" not in told
    assert told.startswith(f"{AT} mona-lisa[62]: ended\n(left out)\n")
    assert told.endswith(": two\n"), "what comes later is told"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T01:15:02+0000 mona-lisa[64]: following 1 of 3 visitors at 2.1 m, 29.8 pictures/s, frame 17, row 5",
        "imx708 10-001a: camera module ID 0x0302",
        "SDL 2.26.5, Python 3.11.2",
        "[   12.345678] vc4-drm gpu: bound fef00700.hdmi (ops vc4_hdmi_ops [vc4])",
        "display connected: card1-HDMI-A-1 (/sys/class/drm/card1-HDMI-A-1)",
        "/opt/mona-lisa/releases/0.1.0-4fa3c2d1e0/venv/bin/mona-lisa: ended with 75",
        "dtoverlay=vc4-kms-v3d,cma-256",
    ],
)
def test_what_support_needs_stays(text: str) -> None:
    assert redact(text, ["gallery3-pi"]) == text


# Key-like words, as programs spell them: with anything around, in any case, with any sign for a space.
WORDS = (
    "secret key|access key id|preshared key|credentials|bearer|api key|password|passwd|psk|token|auth|wpa psk"
)
SPELLED = st.builds(
    lambda word, sign, upper, before, after: (
        before + (word.replace(" ", sign).upper() if upper else word.title().replace(" ", sign)) + after
    ),
    st.sampled_from(WORDS.split("|")),
    st.sampled_from(["", "_", "-", ".", " "]),
    st.booleans(),
    st.sampled_from(["", "AWS_", "my", "wifi.", '"', "export "]),
    st.sampled_from(["", "s", "2", '"']),
)
SECRETS = st.text("abcXYZ019+/=", min_size=1, max_size=60).map(lambda text: f"q9Q{text}")


@given(SPELLED, st.sampled_from(["=", ": ", " = ", " ", ":", '": "', "=\n", ': """\n']), SECRETS)
def test_no_secret_survives_in_any_file_of_the_archive(key: str, sign: str, secret: str) -> None:
    line = f"{key}{sign}{secret}"
    quoted, name = json.dumps(secret), json.dumps(key)
    told = [
        redact(line),
        known_entries(f"{AT} mona-lisa[62]: {line}\n{AT} mona-lisa[62]: ended\n", False),
        known_entries(f"{AT} mona-lisa[62]: {key}:\n{AT} mona-lisa[62]: {secret}\n", False),
        known_entries(
            f"{AT} kernel: vc4 {line}\n{AT} wpa_supplicant[3]: {secret}\n{AT} kernel: {secret}\n", True
        ),
        known_config(
            f"# {secret}\n[gaze]\n{name} = {quoted}\n[hours]\nclosed_days = [{quoted}]\n[{name}]\na = {quoted}\n"
        ),
        known_status(
            json.dumps({key: secret, "portrait": secret, "fault": line, "counts": {key: secret, "a": secret}})
        ),
        *(
            known_lines(
                f"{line}\n{key}={secret}\n{secret}\n#{secret}\nroot={secret}\nNAME={line}\ntitle = {quoted}",
                patterns,
            )
            for patterns in (
                support_archive.PACK,
                support_archive.CONFIG_TXT,
                support_archive.CMDLINE,
                support_archive.METRICS,
                support_archive.DISKS,
            )
        ),
        known_lines(f"{line}\n{key}={secret}\nBUILD_ID={secret}\n", support_archive.OS_RELEASE),
        known_lines(f"Environment={line}\nExecStart=/bin/x {line}\n", support_archive.PROPERTIES),
    ]
    assert not [text for text in told if secret in text]


def test_of_the_right_config_every_key_is_told_and_no_comment() -> None:
    right = show_config(LayeredConfig(Config(), ())) + "# hunter2\n[colours]\nred = 1\n"
    told = known_config(right)
    assert told.count(" = ") == right.count(" = ") - 1
    assert told.endswith("(1 wrong or unknown keys left out)\n") and "hunter2" not in told
    assert "gaze.gain = 1.0\n" in told
    assert known_config("[gaze\nhunter2") == "not TOML\n"


def test_only_the_screens_boot_options_are_told() -> None:
    options = "dtoverlay=vc4-kms-v3d\ndisable_splash=1\n[all]\nhdmi_group:1=2\n"
    assert (
        known_lines(f"# hunter2\n{options}wifi=hunter2\n", support_archive.CONFIG_TXT)
        == f"{options}(lines left out: 2)\n"
    )
    words = [
        "quiet",
        "root=PARTUUID=4b1c3a55-02",
        "ds=nocloud;s=http://hunter2/",
        "video=HDMI-A-1:1920x1080@60",
    ]
    told = known_lines("\n".join(words), support_archive.CMDLINE)
    assert told.splitlines() == ["quiet", "root=PARTUUID=(left out)", words[3], "(lines left out: 1)"]


def test_of_the_status_the_figures_are_told() -> None:
    status = {
        "state": "blind",
        "healthy": False,
        "counts": {"pictures": 3},
        "portrait": "hunter2",
        "fault": "no camera",
    }
    told = json.loads(known_status(json.dumps(status)))
    assert told == {key: value for key, value in status.items() if key != "portrait"}
    for text in ("[" * 100_000, "{"):
        assert known_status(text) == "not JSON\n"
    assert known_status("[1]") == "{}\n"
    assert known_status('{"a": NaN, "b": "a name"}') == '{\n "a": NaN\n}\n'


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
    assert {f"etc_mona-lisa_{name}" for name in LAYERS} <= set(names)


def test_a_pipe_for_a_status_does_not_hold_up_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    os.mkfifo(tmp_path / "status.json")
    (tmp_path / "mona-lisa.prom").symlink_to("/dev/zero")
    write_bundle(tmp_path / "logs.tar.gz", [])
    with tarfile.open(tmp_path / "logs.tar.gz") as archive:
        for name in ("status.json", "mona-lisa.prom"):
            file = archive.extractfile(f"mona-lisa-logs/{name}")
            assert file and file.read().endswith(b": no regular file\n")


@pytest.mark.parametrize(("name", "kept"), [("a", "pi: a camera a"), ("pi", "(name): a camera a")])
def test_a_name_of_one_letter_takes_no_word_away(name: str, kept: str) -> None:
    assert redact("pi: a camera a", [name]) == kept
    assert known_lines("pi: a camera a", [".*"], [name]) == f"{kept}\n"


def test_a_user_who_may_not_read_the_log_is_told_at_once(tmp_path: Path) -> None:
    own, adm = 65533, grp.getgrnam("adm").gr_gid
    check_log_readable([own, adm], tmp_path)
    check_log_readable([own], tmp_path / "no journal on this machine")
    told = "the log may be read by root and the groups adm and systemd-journal only; run it with sudo"
    with pytest.raises(NotPermitted, match=told):
        check_log_readable([own], tmp_path)


def test_logs_names_the_files_for_which_nothing_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "journalctl").write_text("#!/bin/sh\n")
    (tmp_path / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert main(["logs", "--out", str(tmp_path / "logs.tar.gz")]) == 0
    told = capsys.readouterr().out
    assert "(nothing was found for journal.txt, boots.txt, kernel.txt" in told
    with tarfile.open(tmp_path / "logs.tar.gz") as archive:
        filled = [entry for entry in archive if entry.size]
    assert told.startswith(f"{tmp_path}/logs.tar.gz: {len(filled)} files, ")
