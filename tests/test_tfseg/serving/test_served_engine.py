"""An exported folder is served by the artifact of another runtime, if that computes the same."""

import shutil
import sys

import numpy as np
import pytest
from helpers.exported_models import small_segmenter

import tfseg

pytest.importorskip("aiohttp")

from tfseg.engines import table
from tfseg.serving.exported import ExportedModel

ARTIFACTS = {"openvino": "openvino", "onnxruntime": "onnx", "litert": "litert_float32"}
INSTALLED = [name for name in ARTIFACTS if table.ENGINES[name].is_installed]
IMAGE = np.random.default_rng(0).integers(0, 256, (1, 65, 83, 3), dtype="uint8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An exported folder with an artifact of every runtime that is installed."""
    path = tmp_path_factory.mktemp("exported") / "small"
    return tfseg.export(small_segmenter(), path, ["saved_model", *(ARTIFACTS[name] for name in INSTALLED)])


@pytest.mark.full
@pytest.mark.parametrize("name", INSTALLED)
def test_an_artifact_gives_what_the_saved_model_gives(folder, name):
    served, saved = ExportedModel(folder, engine=name), ExportedModel(folder)
    assert (served.engine, saved.engine) == (name, "tensorflow")
    prepared = tfseg.preprocess(IMAGE, "caffe")
    largest = np.abs(saved.run("logits", {"images": prepared})["logits"]).max()
    for signature in ("classes", "probabilities"):
        computed, expected = (model.run(signature, {"images": IMAGE})[signature] for model in (served, saved))
        assert (computed.dtype, computed.shape) == (expected.dtype, expected.shape)
        np.testing.assert_allclose(computed, expected, atol=1e-5 * largest)  # a softmax changes by as much as logits
    for signature in ("logits", "serving_default"):
        computed, expected = (model.run(signature, {"images": prepared})["logits"] for model in (served, saved))
        np.testing.assert_allclose(computed, expected, atol=1e-5 * largest)
    np.testing.assert_array_equal(served.segment(IMAGE[0]), saved.segment(IMAGE[0]))


@pytest.mark.full
def test_auto_serves_by_one_of_them(folder):
    assert ExportedModel(folder, engine="auto").engine in ("tensorflow", *INSTALLED)


@pytest.mark.full
@pytest.mark.skipif("openvino" not in INSTALLED, reason="needs OpenVINO")
def test_an_artifact_of_another_model_is_not_served(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "mixed")
    other = tfseg.export(small_segmenter(seed=1), tmp_path / "other", ["openvino"])
    shutil.copytree(other / "openvino", tmp_path / "mixed" / "openvino", dirs_exist_ok=True)
    with pytest.warns(UserWarning, match=r"small is served by TensorFlow, not openvino: its logits differ by"):
        assert ExportedModel(tmp_path / "mixed", engine="openvino").engine == "tensorflow"


def test_a_folder_without_the_artifact_is_refused(tmp_path):
    from helpers.served import write_folder

    folder = write_folder(tmp_path)
    message = (
        r"runs the artifact 'model.onnx', with logits, and .* has none: export with the formats saved_model and onnx"
    )
    if "onnxruntime" in INSTALLED:
        with pytest.raises(ValueError, match=message):
            ExportedModel(folder, engine="onnxruntime")
    with pytest.raises(ValueError, match="engine is one of auto, "):
        ExportedModel(folder, engine="torch")
    assert ExportedModel(folder, engine="tensorflow").engine == "tensorflow"
    assert ExportedModel(folder, engine="auto").engine == "tensorflow"


def test_an_engine_that_is_not_installed_names_its_extra(tmp_path, monkeypatch):
    from helpers.served import write_folder

    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ValueError, match=r"'openvino' is not installed here: pip install \"tfseg\[openvino\]\""):
        ExportedModel(write_folder(tmp_path), engine="openvino")
