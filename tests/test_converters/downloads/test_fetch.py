"""Downloads from a server that misbehaves in every known way; no real network."""

import itertools
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers.download_server import BODY, MD5, SHA256, misbehaving, publish_in
from helpers.paths import ROOT

from converters.downloads import fetch
from converters.downloads.html_pages import Page
from converters.errors import ConversionError


@pytest.fixture
def server():
    with misbehaving() as server:
        yield server


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    return tmp_path / "keras" / "tfseg"


@pytest.fixture
def drive(monkeypatch):
    monkeypatch.setattr(fetch, "GOOGLE_DRIVE_HOSTS", {"127.0.0.1"})


@pytest.fixture
def publish(monkeypatch):
    return publish_in(monkeypatch)


def files(directory):
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


# Successful downloads


@pytest.mark.parametrize("path", ["good", "unsized", "chunked", "moved", "mislabelled", "slow", "good?b=ü c"])
def test_fetch_gives_the_whole_file(server, path):
    assert fetch.fetch(server.url(path)).read_bytes() == BODY


@pytest.mark.parametrize("hash_", [f"sha256:{SHA256}", f"sha256:{SHA256[:8]}", f"md5:{MD5}"])
@pytest.mark.parametrize("name", ["net", "net.pth"])
def test_fetch_by_published_name(server, publish, cache, hash_, name):
    publish(server.url("good"), hash=hash_)
    assert fetch.fetch(name) == cache / "net.pth"
    assert fetch.fetch(server.url("good")) == cache / "net.pth"  # its address is as good as its name
    assert len(server.hits) == 1
    assert files(cache) == ["net.pth"]


@pytest.mark.parametrize("ending", [f"#sha256={SHA256}", f"#sha256={SHA256[:8].upper()}", f"#md5={MD5}", ""])
def test_cache_is_used_and_repaired(server, cache, ending):
    url = server.url("good.pth") + ending
    path = fetch.fetch(url)
    assert path.parent == cache
    assert path.suffix == ".pth"
    assert fetch.fetch(url) == path
    assert len(server.hits) == 1

    path.write_bytes(BODY[:-1])
    assert fetch.fetch(url).read_bytes() == BODY
    assert len(server.hits) == 2


@pytest.mark.parametrize("record", [None, "", "[]", '{"hash": 1}', '{"hash": "sha256:"}'])
def test_cache_without_a_valid_record_is_not_trusted(server, record):
    path = fetch.fetch(server.url("good"))
    sidecar = path.with_name(path.name + ".json")
    assert json.loads(sidecar.read_text()) == {"url": server.url("good"), "hash": f"sha256:{SHA256}"}
    if record is None:
        sidecar.unlink()
    else:
        sidecar.write_text(record)
    path.write_bytes(b"something else")
    assert fetch.fetch(server.url("good")).read_bytes() == BODY


def test_addresses_with_one_file_name_do_not_share_a_file(server):
    paths = {fetch.fetch(server.url(f"good.pth?{query}")) for query in "abc"}
    assert len(paths) == 3


def test_hostile_file_names_stay_in_the_cache(server, cache):
    for path in ("good/..%2f..%2fx.pth", "good/%00", "good/..", "good/" + "x" * 500, "good/%2e%2e", "good/ü.pth"):
        file = fetch.fetch(server.url(path))
        assert file.parent == cache
        assert len(file.name) < 120
        assert re.fullmatch(r"\w[\w.-]*", file.name, re.ASCII)
        assert file.read_bytes() == BODY


def test_progress_counts_to_the_total(server):
    seen = []
    fetch.fetch(server.url("slow"), progress=lambda *counts: seen.append(counts))
    assert seen[0] == (0, len(BODY))
    assert seen[-1] == (len(BODY), len(BODY))
    assert all(a < b for a, b in itertools.pairwise(seen))

    seen.clear()
    fetch.fetch(server.url("unsized"), progress=lambda *counts: seen.append(counts))
    assert seen[-1] == (len(BODY), None)


def test_further_addresses_are_tried(server, publish):
    publish(server.url("missing"), server.url("wrong"), server.url("good"), hash=f"md5:{MD5}")
    assert fetch.fetch("net").read_bytes() == BODY
    assert server.hits == ["/missing", "/wrong", "/good"]


def test_threads_and_processes_fetch_at_once(server, cache):
    url = server.url(f"slow.pth#md5={MD5}")
    code = f"from converters.downloads.fetch import fetch; print(fetch({url!r}))"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with ThreadPoolExecutor(6) as pool:
        processes = [
            pool.submit(subprocess.run, [sys.executable, "-c", code], env=env, capture_output=True, text=True)
            for _ in range(2)
        ]
        paths = {task.result() for task in [pool.submit(fetch.fetch, url) for _ in range(4)]}
    (path,) = paths
    assert [task.result().stdout.strip() for task in processes] == [str(path)] * 2
    assert path.read_bytes() == BODY
    assert files(cache) == [path.name]


# Failures: the message, and that no file remains


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("cut", r"connection was cut, expected 1048576 bytes\. Received: 1000 bytes"),
        ("chunkedcut", r"connection failed\. Received: IncompleteRead"),
        (f"long#md5={MD5}", rf"not the published bytes, expected md5:{MD5}\. Received: md5:\w{{32}}, 1000 bytes"),
        (f"wrong#sha256={SHA256}", rf"expected sha256:{SHA256}\. Received: sha256:\w{{64}}, 1048576 bytes"),
        ("wrong-0123abcd.pth", r"expected sha256:0123abcd\. Received: sha256:\w{64}"),
        ("empty", r"an empty file\. Received: 0 bytes"),
        ("nocontent", r"does not send the file\. Received: HTTP 204"),
        ("missing", r"the link is dead\. Received: HTTP 404 Not Found"),
        ("broken", r"the server fails; try again later\. Received: HTTP 500"),
        ("gzip", r"altered the file\. Received: Content-Encoding: gzip"),
        ("nonsense", r"connection failed\. Received: BadStatusLine"),
        ("loop", r"redirects cannot be followed\. Received: HTTP 302 endless redirects"),
        ("toftp", r"redirects cannot be followed\. Received: HTTP 302 .*ftp://127\.0\.0\.1/x\.pth"),
        ("tofile", r"redirects cannot be followed\. Received: HTTP 302 .*file:///etc/hostname"),
        ("html", r"a web page, not a file\. Received: an HTML page titled 'Please log in'"),
        ("plainhtml", r"a web page, not a file\. Received: an HTML page titled 'Welcome'"),
        ("drive/new", r"a web page, not a file\. Received: an HTML page titled 'Google Drive - Virus scan warning'"),
    ],
)
def test_failed_download_says_what_came_and_leaves_no_file(server, cache, path, message):
    with pytest.raises(ConversionError, match=message) as caught:
        fetch.fetch(server.url(path))
    assert server.url(path.partition("#")[0]) in str(caught.value)
    assert "pass its path" in str(caught.value)
    assert files(cache) == []


@pytest.mark.parametrize(
    "path", ["silent", "stall", "drip", "driphead", "dripstatus", "continues", "dripextension", "trailers"]
)
def test_stalled_server_is_given_up(server, cache, path):
    start = time.monotonic()
    with pytest.raises(ConversionError, match="the server stalls"):
        fetch.fetch(server.url(path), timeout=0.3)
    assert time.monotonic() - start < 3
    assert files(cache) == []


def test_the_body_of_a_redirect_is_not_read(server, cache):
    tracemalloc.start()
    try:
        assert fetch.fetch(server.url("heavymove")).read_bytes() == BODY
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("path", ["endless", "good", "chunked", "unsized"])
def test_more_bytes_than_a_file_may_have_are_refused(server, cache, path, monkeypatch, publish):
    monkeypatch.setattr(fetch, "_ROUNDED", 0)
    publish(server.url(path), mebibytes=0.5)
    with pytest.raises(ConversionError, match="the file is too large, expected at most 524288 bytes"):
        fetch.fetch("net")
    assert files(cache) == []


@pytest.mark.parametrize(
    "pattern", ["<a ", "<a/", "<a =", "<a a='", '<a b="c" ', "<!--", "<!", "<?", "</", "<script>", "&"]
)
def test_pages_are_looked_at_in_linear_time(pattern):
    """Python's parser takes 81 s for the first of these, at 64 KB."""
    begin = time.process_time()
    Page.parse("<html>" + pattern * ((1 << 20) // len(pattern)), "http://example.org/")
    assert time.process_time() - begin < 2


def test_refused_connection_is_reported():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ConversionError, match=r"connection failed\. Received: ConnectionRefusedError"):
        fetch.fetch(f"http://127.0.0.1:{port}/x.pth")


def test_error_lists_every_address(server, publish, cache):
    publish(server.url("missing"), server.url("html"), server.url("wrong"), hash=f"sha256:{SHA256[:8]}")
    cache.mkdir(parents=True)
    (cache / "net.pth").write_bytes(b"damaged")
    with pytest.raises(ConversionError, match=f"net could not be downloaded.*sha256:{SHA256[:8]}") as caught:
        fetch.fetch("net")
    words = "cached copy is damaged", "/missing: the link is dead", "/html: a web page", "/wrong: not the published"
    assert all(word in str(caught.value) for word in words)
    assert f"put it at {cache / 'net.pth'}" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("vgg16", r"'vgg16' is no published checkpoint.*near: .*vgg16"),
        ("weights/mine.pth", "is no published checkpoint.*pass its path"),
        ("ftp://127.0.0.1/x.pth", r"expected an http:// or https:// address\. Received: 'ftp://127.0.0.1/x.pth'"),
        ("file:///etc/hostname", r"expected an http:// or https:// address\. Received: 'file:///etc/hostname'"),
        ("http://", "expected an http:// or https:// address"),
        ("http://127.0.0.1:port/x.pth", "expected an http:// or https:// address"),
        ("http://127.0.0.1/x.pth#sha256=12", r"md5=<32 hex digits>\. Received: 'sha256=12'"),
        ("http://127.0.0.1/x.pth#sha1=" + "0" * 40, r"Received: 'sha1=0+'"),
    ],
)
def test_unknown_names_and_invalid_urls_are_refused(given, message):
    with pytest.raises(ConversionError, match=message):
        fetch.fetch(given)


def test_interrupt_leaves_no_file(server, cache):
    def interrupt(done, total):
        if done > len(BODY) // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch.fetch(server.url("slow"), progress=interrupt)
    assert files(cache) == []


def test_full_disk_leaves_no_file(server, cache):
    resource = pytest.importorskip("resource")  # a limit on the size of files stands in for a full disk
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(BODY) // 2, hard))
    try:
        with pytest.raises(ConversionError, match=r"cannot be written; expected room.*Received: .*too large"):
            fetch.fetch(server.url("good"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(cache) == []


def test_unusable_cache_directory_is_refused(server, cache):
    cache.parent.write_text("a file where the directory should be")
    with pytest.raises(ConversionError, match=r"cannot be written.*KERAS_HOME"):
        fetch.fetch(server.url("good"))


def test_cache_directory(monkeypatch, tmp_path):
    assert fetch.cache_directory() == tmp_path / "keras" / "tfseg"
    monkeypatch.delenv("KERAS_HOME")
    assert fetch.cache_directory() == pathlib.Path.home() / ".keras" / "tfseg"


def test_dates_in_file_names_are_not_taken_for_hashes(server):
    assert fetch.fetch(server.url("good-20240131.pth")).read_bytes() == BODY
    with pytest.raises(ConversionError, match="expected sha256:19584684"):  # vgg13's own digits, which are no date
        fetch.fetch(server.url("good-19584684.pth"))


# Google Drive


@pytest.mark.parametrize(("path", "requests"), [("drive/new", 2), ("drive/old", 2), ("good", 1)])
def test_drive_confirmation_is_followed(server, drive, path, requests):
    assert fetch.fetch(server.url(path)).read_bytes() == BODY
    assert len(server.hits) == requests


@pytest.mark.parametrize(
    ("path", "message", "requests"),
    [
        ("drive/quota", r"Google Drive refuses.*try again tomorrow\. Received: Sorry, .* viewed or downloaded this", 1),
        ("drive/again", "a Google Drive page, not a file", 2),
        ("drive/new?action=/drive/quota", "Google Drive refuses", 2),
        ("drive/new?action=http://example.com/x", "a Google Drive page, not a file", 1),
        ("drive/new?action=file:///etc/hostname", "a Google Drive page, not a file", 1),
        ("html", "a Google Drive page, not a file", 1),
    ],
)
def test_drive_pages_without_a_file_are_refused(server, drive, cache, path, message, requests):
    with pytest.raises(ConversionError, match=message):
        fetch.fetch(server.url(path))
    assert len(server.hits) == requests
    assert files(cache) == []
