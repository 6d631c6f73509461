import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from appliance import assets as module
from appliance.assets import download_file
from appliance.errors import AssetUnavailable, BadAsset

DATA = bytes(range(256)) * 700
SHA256 = hashlib.sha256(DATA).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Serves DATA well or badly, by the path asked for; remembers the ranges wanted."""

    ranges: list[str | None] = []  # noqa: RUF012  (reset by the fixture)
    over = threading.Event()

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/sick":
            self.send_error(503)
            return
        if self.path == "/silent":
            self.over.wait(30)
            return
        data = DATA[:-1] + b"!" if self.path == "/changed" else DATA
        data = data * 3 if self.path == "/endless" else data[:-9] if self.path == "/short" else data
        if self.path == "/norange":
            start = 0 if len(self.ranges) > 1 else start
        body = data[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        broken = self.path in {"/breaks", "/norange"} and len(self.ranges) == 1
        self.wfile.write(body[:50_000] if broken else body)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Server.ranges, Server.over = [], threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        Server.over.set()
        server.shutdown()
        thread.join()


def get(address: str, path: str) -> bytes:
    return download_file(address + path, len(DATA), SHA256)


def test_a_file_comes_whole(address: str) -> None:
    assert get(address, "/good") == DATA


@pytest.mark.parametrize("path", ["/breaks", "/norange"])
def test_a_broken_connection_is_taken_up_where_it_broke(address: str, path: str) -> None:
    assert get(address, path) == DATA
    assert Server.ranges == [None, "bytes=50000-"]


def test_another_file_is_refused_by_its_hash(address: str) -> None:
    with pytest.raises(BadAsset, match=f"SHA-256 .*, expected {SHA256}"):
        get(address, "/changed")


def test_an_endless_answer_is_cut_off(address: str) -> None:
    with pytest.raises(BadAsset, match="more than 179,200 bytes, expected 179,200"):
        get(address, "/endless")


def test_a_shorter_file_is_refused(address: str) -> None:
    with pytest.raises(BadAsset, match="179,191 bytes, expected 179,200"):
        get(address, "/short")


def test_a_missing_file_is_not_asked_for_again(address: str) -> None:
    with pytest.raises(
        AssetUnavailable, match=r"/missing: cannot be downloaded \(HTTP 404 Not Found\); check the network"
    ):
        get(address, "/missing")
    assert len(Server.ranges) == 1


@pytest.mark.parametrize(("path", "cause"), [("/sick", "HTTP 503"), ("/silent", "timed out")])
def test_a_sick_server_is_tried_a_few_times(
    address: str, path: str, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if path == "/silent":
        monkeypatch.setattr(module, "_TIMEOUT", 0.1)
    with pytest.raises(AssetUnavailable, match=cause):
        get(address, path)
    assert len(Server.ranges) == 4


def test_no_network_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(
        AssetUnavailable, match=r"cannot be downloaded \(.*Connection refused\); check the network$"
    ):
        download_file("http://127.0.0.1:1/file", 10, "0" * 64)
