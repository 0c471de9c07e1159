"""A Ray cluster of two workers writes the same files as one process, even if a worker dies."""

import io
import os
import pathlib
import signal
import sys
import threading
import time
import types

import keras
import numpy as np
import pytest
from helpers import run_command
from helpers.segmenters import narrow_fcn
from PIL import Image

import tfseg
from tfseg.prediction.batches import CHUNK
from tfseg.prediction.folders import ImageTask
from tfseg.prediction.ray import Ray, model_bytes, model_from_bytes, packed, unpacked
from tfseg.prediction.records import PREFIX


@pytest.fixture(scope="module")
def model():
    return narrow_fcn()


# ------------------------------------------------------------------------------------------------------ without a cluster


def test_without_ray_the_error_says_what_to_install(model, tmp_path, monkeypatch):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r'The cluster "ray" needs Ray Data: pip install "tfseg\[ray\]"'):
        tfseg.predict_files(model, tmp_path, tmp_path / "maps", cluster=Ray(), progress=False)


def test_an_address_without_a_cluster_is_refused(model, tmp_path, monkeypatch):
    def init(address, **_):
        raise ConnectionError("Could not find any running Ray instance.")

    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(init=init, is_initialized=lambda: False))
    with pytest.raises(ValueError, match=r"No Ray cluster at auto: Could not find any running"):
        tfseg.predict_files(model, tmp_path, tmp_path / "maps", cluster=Ray("auto"), progress=False)


def test_a_model_that_cannot_be_sent_is_refused():
    image = keras.Input((None, None, 3))
    network = keras.Model(image, keras.layers.Lambda(lambda x: x[..., :2])(image), name="homemade")
    with pytest.raises(ValueError, match=r"The model 'homemade' cannot be sent as a .keras file: "):
        model_bytes(network)


def test_the_cluster_has_room_for_the_workers():
    cluster = {"CPU": 7.0, "GPU": 2.0}
    assert Ray().count_workers(cluster) == 7
    assert Ray(cpus=2).count_workers(cluster) == 3
    assert Ray(gpus=0.5).count_workers(cluster) == 4
    assert Ray(workers=2).count_workers(cluster) == 2
    for requested in (Ray(workers=8), Ray(cpus=8), Ray(gpus=3)):
        with pytest.raises(ValueError, match=r"room for [07] workers of . CPUs and . GPUs. Received: workers="):
            requested.count_workers(cluster)


def test_tasks_are_sent_with_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tasks = [ImageTask(pathlib.Path("a b.jpg"), pathlib.Path("maps/ä.png"), None)]
    assert unpacked(packed(tasks)) == [(tmp_path / "a b.jpg", tmp_path / "maps" / "ä.png", None, None)]


def test_a_sent_model_predicts_the_same(model):
    image = np.random.default_rng(0).integers(0, 256, (33, 47, 3), dtype=np.uint8)
    received = model_from_bytes(model_bytes(model))
    np.testing.assert_array_equal(tfseg.predict(received, image), tfseg.predict(model, image))


# --------------------------------------------------------------------------------------------------------- on a cluster


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Six chunks of photographs of three sizes, two of which are no images."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for index in range(6 * CHUNK - 2):
        size = ((240, 320), (320, 240), (233, 311))[random.integers(3)]
        coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        coarse.resize(size[::-1]).save(folder / f"{index:03}.jpg")
    for name in ("bad.jpg", "007b.png"):
        (folder / name).write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def single_process(model, photos, tmp_path_factory):
    """The outcome of one process, and the files that it writes: `{name: bytes}`."""
    out = tmp_path_factory.mktemp("maps")
    return tfseg.predict_files(model, photos, out, progress=False), contents(out)


@pytest.fixture(scope="module")
def cluster():
    """A cluster with two cores, and with two GPUs that it only pretends to have."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(PREFIX)}


def workers():
    """Process ids of this cluster's workers."""
    ids = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words, status = path.read_text(), (path.parent / "status").read_text()
        except OSError:  # it has just ended
            continue
        if "MapWorker(MapBatches(_Worker))" in words and _descends(status):
            ids.append(int(path.parent.name))
    return ids


def _descends(status):
    parent = int(status.split("PPid:")[1].split()[0])
    if parent <= 1:
        return False
    return parent == os.getpid() or _descends(pathlib.Path(f"/proc/{parent}/status").read_text())


@pytest.mark.full
@pytest.mark.filterwarnings("default")  # Ray's own
def test_two_workers_write_what_one_process_writes(model, photos, single_process, cluster, tmp_path):
    outcome = tfseg.predict_files(model, photos, tmp_path / "maps", cluster=Ray(workers=2, gpus=1), progress=False)
    expected, files = single_process
    assert outcome.failed == expected.failed
    assert (outcome.predicted, outcome.kept) == (expected.predicted, expected.kept)
    assert [path.name for path, _ in outcome.failed] == ["007b.png", "bad.jpg"]
    assert contents(tmp_path / "maps") == files
    with pytest.raises(ValueError, match=r"has room for 2 workers of 1 CPUs and 0 GPUs. Received: workers=3"):
        tfseg.predict_files(model, photos, tmp_path / "none", cluster=Ray(workers=3), progress=False)


@pytest.mark.full
@pytest.mark.filterwarnings("default")
def test_workers_compute_by_an_engine(model, photos, single_process, cluster, tmp_path):
    """An engine rounds otherwise, so that few pixels may change."""
    pytest.importorskip("onnxruntime")
    outcome = tfseg.predict_files(
        model, photos, tmp_path / "maps", cluster=Ray(workers=1), engine="onnxruntime", progress=False, overlays=False
    )
    assert (outcome.predicted, len(outcome.failed)) == (single_process[0].predicted, 2)
    names = sorted(name for name in single_process[1] if name.endswith(".png"))
    assert sorted(path.name for path in (tmp_path / "maps").glob("*.png")) == names
    for name in names[::20]:
        with Image.open(tmp_path / "maps" / name) as mask, Image.open(io.BytesIO(single_process[1][name])) as expected:
            assert (np.asarray(mask) == np.asarray(expected)).mean() > 0.999


def test_a_compiled_model_stays_in_its_process(model, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    network = tfseg.compile(model, engine="tensorflow")
    with pytest.raises(ValueError, match=r"give a cluster the name of an engine, engine='auto'"):
        tfseg.predict_files(model, tmp_path, tmp_path / "maps", cluster=Ray(), engine=network, progress=False)


@pytest.mark.full
@pytest.mark.filterwarnings("default")
def test_the_work_of_a_killed_worker_is_repeated(model, photos, single_process, cluster, tmp_path):
    out, outcomes = tmp_path / "maps", []
    run = threading.Thread(
        target=lambda: outcomes.append(
            tfseg.predict_files(model, photos, out, cluster=Ray(workers=2), progress=False, scales=(1.0,))
        )
    )
    run.start()
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (out.is_dir() and any(out.glob("*.png"))):
        time.sleep(0.02)
    victims = workers()
    assert len(victims) == 2
    os.kill(victims[0], signal.SIGKILL)
    assert len(list(out.glob("*.png"))) < 6 * CHUNK - 2  # the run has not ended
    run.join(timeout=200)
    assert outcomes[0].failed == single_process[0].failed
    assert outcomes[0].predicted == single_process[0].predicted
    assert contents(out) == single_process[1]


@pytest.mark.full
@pytest.mark.parametrize("existing", [True, False], ids=["running cluster", "new cluster"])
def test_tfseg_predict_on_a_cluster(model, photos, single_process, cluster, tmp_path, existing):
    model.save(tmp_path / "model.keras")
    address = [f"--ray_address={cluster.get_runtime_context().gcs_address}"] if existing else []
    paths = [f"--model={tmp_path}/model.keras", f"--images={photos}/00*.*", f"--output={tmp_path}/maps"]
    command = ["tfseg_cli.predict", "--cluster=ray", "--workers=1"]
    code, out, err = run_command.finish(run_command.start(*command, *paths, *address))
    assert code == 1
    assert "10 images predicted, 0 kept, 1 failed" in out, err
    assert "11/11 images" in err
    assert "failed: " in err
    assert "Traceback" not in err
    files = contents(tmp_path / "maps")
    files.pop("failures.json")
    assert files.items() <= single_process[1].items()
