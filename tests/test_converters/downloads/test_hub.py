"""`hf://owner/name`: a folder of one commit, its hashes checked, read as every other folder of a hub."""

import hashlib
import http.server
import json
import threading

import numpy as np
import pytest
from safetensors.numpy import save

import converters
from converters.downloads.hub import fetch_folder, is_hub_address
from converters.identification.sources import open_source

COMMIT = "a" * 40
WEIGHTS = save({"stem.weight": np.ones((2, 3), "float32")})
FILES = {
    "config.json": json.dumps({"architecture": "no_such_net", "pretrained_cfg": {}}).encode(),
    "model.safetensors": WEIGHTS,
    "README.md": b"card",
    "onnx/model.onnx": b"other",
}


class Hub(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.hits.append(self.path)
        if self.path.startswith("/api/models/someone/net/revision/") and not self.server.down:
            rows = [{"rfilename": name, **self.server.lfs.get(name, {})} for name in self.server.content]
            self.answer(json.dumps({"id": "someone/net", "sha": COMMIT, "siblings": rows}).encode())
        elif self.path.startswith(f"/someone/net/resolve/{COMMIT}/"):
            self.answer(self.server.content[self.path.split(f"{COMMIT}/")[1]])
        else:
            self.answer(b"", 401)

    def do_HEAD(self):
        self.do_GET()

    def answer(self, body, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", hashlib.sha256(body).hexdigest())
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture(params=["without the package", "huggingface_hub"])
def hub(request, tmp_path, monkeypatch):
    """A server of a hub. It is asked by this package's own requests, and by those of the hub's package."""
    monkeypatch.setattr("converters.downloads.hub.has_package", lambda: request.param == "huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.utils.are_progress_bars_disabled", lambda *_: True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.hits, server.content, server.down = [], dict(FILES), False
    server.lfs = {
        "model.safetensors": {
            "size": len(WEIGHTS),
            "lfs": {"sha256": hashlib.sha256(WEIGHTS).hexdigest(), "size": len(WEIGHTS), "pointerSize": 100},
        }
    }
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_weights_and_their_documents_are_fetched_once(hub):
    source = open_source("hf://someone/net")
    assert np.array_equal(source["stem.weight"], np.ones((2, 3)))
    assert source.checkpoints[0].documents["config.json"]["architecture"] == "no_such_net"
    fetched = [hit for hit in hub.hits if "resolve" in hit]
    assert list(dict.fromkeys(hit.rpartition("/")[2] for hit in fetched)) == ["config.json", "model.safetensors"]
    folder = fetch_folder("hf://someone/net@main")
    assert folder.name == COMMIT
    assert [hit for hit in hub.hits if "resolve" in hit] == fetched
    hub.down = True  # without a network, what was fetched is there
    assert fetch_folder("hf://someone/net") == folder


def test_a_file_is_named_after_the_repository(hub):
    hub.content["nets/last.safetensors"] = WEIGHTS
    path = fetch_folder("hf://someone/net@v1/nets/last.safetensors")
    assert path.read_bytes() == WEIGHTS
    assert any(hit.startswith("/api/models/someone/net/revision/v1?blobs=") for hit in hub.hits)


def test_files_of_an_index_are_fetched(hub):
    del hub.content["model.safetensors"]
    hub.content["model.safetensors.index.json"] = json.dumps(
        {"weight_map": {"stem.weight": "part-1.safetensors"}}
    ).encode()
    hub.content["part-1.safetensors"] = WEIGHTS
    assert list(open_source("hf://someone/net")) == ["stem.weight"]
    hub.content["model.safetensors.index.json"] = json.dumps({"weight_map": {"stem.weight": "../../x"}}).encode()
    (fetch_folder("hf://someone/net") / "model.safetensors.index.json").unlink()
    with pytest.raises(converters.ConversionError, match="names a file outside its folder"):
        fetch_folder("hf://someone/net")


def test_other_bytes_than_the_hub_says_are_refused(hub):
    hub.content["model.safetensors"] = WEIGHTS[:-1] + b"x"
    with pytest.raises(converters.ConversionError, match="not the published bytes"):
        fetch_folder("hf://someone/net")


@pytest.mark.parametrize(
    ("address", "way"),
    [
        ("hf://net", r"An address of the hub is hf://owner/name.*Received: 'hf://net'"),
        ("hf://someone/../net", r"An address of the hub is"),
        (
            "hf://someone/private",
            r"could not be read. Expected a .*repository.*(asks for a password.*give the folder|401.*hf auth login)",
        ),
        ("hf://someone/net/last.pth", r"there is no last.pth. Received: README.md, config.json"),
    ],
)
def test_addresses_that_lead_nowhere(hub, address, way):
    assert is_hub_address(address)
    with pytest.raises(converters.ConversionError, match=f"(?s){way}"):
        fetch_folder(address)


def test_repositories_without_one_file_of_weights_are_refused(hub):
    del hub.content["model.safetensors"]
    with pytest.raises(converters.ConversionError, match=r"has no file of weights.*Received: config.json, README.md"):
        fetch_folder("hf://someone/net")
    hub.content |= {"a.pth": b"", "b.pth": b""}
    with pytest.raises(
        converters.ConversionError, match=r"several files.*Received: a.pth, b.pth. Name the file: hf://"
    ):
        fetch_folder("hf://someone/net")
