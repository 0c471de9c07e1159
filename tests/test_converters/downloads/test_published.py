"""The table of published files."""

import re

import pytest
from helpers.download_server import BODY, MD5, SHA256, publish_in
from helpers.torchvision_cpu import import_torchvision

from converters.downloads import fetch, published
from converters.errors import ConversionError


def test_published_rows_are_well_formed():
    names = [row.name for row in published.PUBLISHED]
    urls = [url for row in published.PUBLISHED for url in row.urls]
    hashes = [row.hash for row in published.PUBLISHED]
    assert len({*names}) == len(names)
    assert len({*urls}) == len(urls)
    assert len({*hashes}) == len(hashes)
    for row in published.PUBLISHED:
        assert re.fullmatch(r"sha256:[0-9a-f]{8,64}|md5:[0-9a-f]{32}", row.hash)
        assert re.fullmatch(r"[a-z-]+/[a-z0-9_-]+", row.family)
        assert re.fullmatch(r"[a-z0-9_]+", row.network)
        assert row.urls
        # drn's server does not offer https: the hash in its file names protects the download instead.
        allowed = ("https://", "http://dl.yf.io/") if row.family == "fyu/drn" else "https://"
        assert all(url.startswith(allowed) for url in (*row.urls, row.source))
        assert row.license
        assert published.find(row.name) is published.find(row.filename) is row


def test_torchvision_rows_follow_its_naming_rule():
    rows = [row for row in published.PUBLISHED if row.family.startswith(("torchvision/", "fyu/drn"))]
    assert rows
    for row in rows:
        (url,) = row.urls
        assert url.endswith(f"/{row.filename}")
        assert row.filename.endswith(f"-{row.hash.removeprefix('sha256:')}.pth")
        assert fetch.hash_in_name(row.filename) == row.hash


def test_torchvision_rows_equal_torchvisions_weights():
    torchvision = import_torchvision()
    expected = {
        (name, weights.url, weights.meta["_file_size"])
        for name in torchvision.models.list_models()
        if re.match(r"(wide_)?(vgg|resnet|resnext)|(fcn|deeplabv3)_resnet", name)
        for weights in torchvision.models.get_model_weights(name)
        if "-amdegroot-" not in weights.url  # Caffe's features, under a classifier of not-a-numbers
    }
    rows = {
        (row.network, row.urls[0], row.mebibytes)
        for row in published.PUBLISHED
        if row.family.startswith("torchvision/") and row.mebibytes is not None  # the legacy rows state no size
    }
    assert rows == expected


def test_find_gives_none_for_unknown_names():
    assert published.find("vgg16") is None
    assert published.find("") is None


def test_recognize_by_content_alone(tmp_path, monkeypatch):
    publish = publish_in(monkeypatch)
    path = tmp_path / "renamed.bin"
    path.write_bytes(BODY)
    assert published.recognize(path, algorithms=("sha256", "md5")) is None
    publish("https://example.com", hash=f"sha256:{SHA256[:8]}")
    assert published.recognize(path).name == "net"
    publish("https://example.com", hash=f"md5:{MD5}")
    assert published.recognize(path) is None
    assert published.recognize(path, algorithms=("sha256", "md5")).name == "net"


def test_digest_of_a_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(BODY)
    assert published.digest(path, "sha256") == SHA256
    assert published.digest(path, "md5") == MD5
    with pytest.raises(ConversionError, match=r"sha256 cannot be computed.*Received: .*No such file"):
        published.digest(tmp_path / "absent", "sha256")
