"""`ExportedModel`: which folders are served, and which are refused."""

import io
import json
import shutil

import numpy as np
import pytest
from helpers.segmenters import narrow_fcn

import tfseg

pytest.importorskip("tensorflow")
pytest.importorskip("aiohttp")

from helpers.served import b64, call, encoded, expected, photograph, predict, serving, write_folder

from tfseg.serving.exported import ExportedModel


def test_the_highest_version_is_served(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "model" / "1").rename(tmp_path / "model" / "10")
    shutil.copytree(folder / "1", tmp_path / "model" / "9")
    served = ExportedModel(tmp_path / "model", "mine")
    assert (served.name, served.version) == ("mine", "10")


def test_classes_without_names_or_colors_get_defaults(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    facts = json.loads((folder / "metadata.json").read_text()) | {"classes": None, "colors": None}
    (tmp_path / "model" / "metadata.json").write_text(json.dumps(facts))
    served = ExportedModel(tmp_path / "model")
    assert served.classes == ["class 0", "class 1", "class 2", "class 3"]
    assert served.colors == [list(color) for color in tfseg.specs.VOC_PALETTE[:4]]


def test_images_that_leave_a_map_without_pixels_are_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    facts = json.loads((folder / "metadata.json").read_text()) | {"least_side": 32}
    (tmp_path / "model" / "metadata.json").write_text(json.dumps(facts))
    with serving(ExportedModel(tmp_path / "model")) as port:
        status, _, answer = call(port, "/segment", encoded(photograph(size=(31, 48))))
        assert (status, "at least 32 x 32 pixels" in answer["error"]) == (400, True)
        assert predict(port, signature_name="classes", inputs=np.zeros((1, 40, 31, 3)).tolist())[0] == 400
        assert call(port, "/segment", encoded(photograph(size=(32, 32))))[0] == 200


def test_a_model_of_one_size_refuses_others(tmp_path):
    image = photograph(size=(32, 48))
    with serving(ExportedModel(write_folder(tmp_path, size=(32, 48)))) as port:
        _, _, body = call(port, "/segment?output=npy", encoded(image))
        np.testing.assert_array_equal(np.load(io.BytesIO(body)), expected(image))
        status, _, answer = call(port, "/segment", encoded(photograph()))
        assert (status, answer["error"]) == (
            400,
            "images has the shape (None, 32, 48, 3), as TensorFlow writes it. Received: (1, 65, 83, 3)",
        )


@pytest.mark.full
@pytest.mark.parametrize("size", [None, (65, 83)])
def test_a_folder_of_export_is_served(tmp_path, size):
    network = narrow_fcn()
    tfseg.set_metadata(network, classes=[*"abcde"])
    served = ExportedModel(tfseg.export(network, tmp_path / "street", size=size))
    image = photograph()
    classes = tfseg.predict(network, image)
    assert len(np.unique(classes)) > 1
    with serving(served) as port:
        _, _, body = call(port, "/segment?output=npy", encoded(image))
        np.testing.assert_array_equal(np.load(io.BytesIO(body)), classes)
        path = "/v1/models/fcn32s:predict"
        for signature, value in (("classes", image.tolist()), ("classes_from_bytes", b64(encoded(image)))):
            _, _, answer = predict(port, path, signature_name=signature, instances=[value])
            np.testing.assert_array_equal(answer["predictions"], classes[None])
        assert call(port, "/segment?output=json&class=e", encoded(image))[2]["classes"][0]["class"] == 4
    # A damaged file of weights is refused.
    weights = tmp_path / "street" / "1" / "variables" / "variables.data-00000-of-00001"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"The exported model '.*1' does not load and run: Read less bytes"):
        ExportedModel(tmp_path / "street")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda model: shutil.rmtree(model), r"There is no exported model '.*model': `tfseg export` writes one"),
        (lambda model: (model / "metadata.json").unlink(), r"model' has no metadata.json, so it is no folder of tfseg.export"),
        (lambda model: (model / "metadata.json").write_text("{"), r"metadata.json' is not what tfseg.export writes: JSONDecodeError"),
        (lambda model: (model / "metadata.json").write_text('{"name": "x"}'), r"metadata.json' is not what tfseg.export writes: KeyError\('num_classes'\)"),
        (lambda model: (model / "metadata.json").write_text("[]"), r"metadata.json' is not what tfseg.export writes: TypeError"),
        (lambda model: (model / "1").rename(model / "model.onnx"), r"no SavedModel in a directory 1: export with the format saved_model. Received: metadata.json, model.onnx"),
        (lambda model: (model / "1" / "saved_model.pb").write_bytes(b"corrupt"), r"The exported model '.*1' does not load and run: "),
        (lambda model: (model / "1" / "saved_model.pb").unlink(), r"The exported model '.*1' does not load and run: .*No such file"),
    ],
)  # fmt: skip
def test_damaged_folders_are_refused(folder, tmp_path, damage, message):
    shutil.copytree(folder, tmp_path / "model")
    damage(tmp_path / "model")
    with pytest.raises(ValueError, match=message):
        ExportedModel(tmp_path / "model")


def test_a_model_without_its_preprocessing_is_refused(tmp_path):
    import tensorflow as tf

    logits = tf.function(lambda images: images).get_concrete_function(
        tf.TensorSpec((None, None, None, 3), name="images")
    )
    tf.saved_model.save(tf.Module(), str(tmp_path / "1"), signatures={"logits": logits})
    facts = {"name": "x", "num_classes": 3, "classes": None, "colors": None}
    (tmp_path / "metadata.json").write_text(json.dumps(facts))
    with pytest.raises(
        ValueError, match="it has no signature 'classes': export a model that carries its preprocessing"
    ):
        ExportedModel(tmp_path)
