"""What `tfseg.export` writes computes what the model computes."""

import io
import json

import keras
import numpy as np
import pytest
from helpers.exported_models import METADATA, NAMES, small_segmenter
from PIL import Image

import tfseg
from tfseg import exporting

tf = pytest.importorskip("tensorflow")
if keras.backend.backend() != "tensorflow":
    pytest.skip("exports come from TensorFlow", allow_module_level=True)


def picture(height=65, width=83, seed=0):
    """uint8 `(height, width, 3)`, in patches of color."""
    patches = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype="uint8")
    return np.asarray(Image.fromarray(patches).resize((width, height)))


@pytest.fixture(scope="module")
def model():
    return small_segmenter()


@pytest.fixture(scope="module")
def counts():
    """What the export tells of its progress."""
    return []


@pytest.fixture(scope="module")
def exported(model, counts, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "street"
    formats = ["saved_model", "onnx", "litert_float32"]
    result = tfseg.export(
        model, str(path), formats, receipt="from a checkpoint", progress=lambda *count: counts.append(count)
    )
    assert result == path
    return path


@pytest.fixture(scope="module")
def signatures(exported):
    loaded = tf.saved_model.load(exported / "1")
    return loaded.signatures, loaded  # the signatures do not keep it alive


@pytest.mark.full
def test_progress_counts_formats(exported, counts):
    assert counts == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_folder_has_metadata_and_the_report_of_the_comparison(exported):
    assert sorted(path.name for path in exported.iterdir()) == [
        "1",
        "export.json",
        "metadata.json",
        "model.onnx",
        "model_float32.tflite",
    ]
    assert sorted(path.name for path in exported.parent.iterdir()) == ["street"]
    facts = json.loads((exported / "metadata.json").read_text())
    assert facts.pop("versions").keys() == {"keras", "tensorflow", "tfseg"}
    expected = {
        "name": "small",
        "num_classes": 3,
        "receipt": "from a checkpoint",
        "outputs": "logits",
        "least_side": 3,
        **METADATA,
    }
    assert facts == json.loads(json.dumps(expected))
    report = json.loads((exported / "export.json").read_text())
    assert {name: entry["artifact"] for name, entry in report.items()} == {
        "saved_model": "1",
        "onnx": "model.onnx",
        "litert_float32": "model_float32.tflite",
    }
    for entry in report.values():
        assert entry["sizes"] == [[64, 96], [65, 83], [97, 128]]
        assert entry["max_relative_difference"] <= 1e-5
        assert entry["equal_pixels"] >= 0.9999
        assert entry["bytes"] > 1000
    assert report["onnx"]["runtime"].startswith("onnxruntime 1.")
    lines = exporting.summary(exported).splitlines()
    assert len(lines) == 3
    assert lines[1].startswith(f"{exported}/model.onnx: 0.0 MB, onnxruntime 1.")
    assert "100.00% of the pixels equal, at 64x96, 65x83, 97x128" in lines[1]


def test_saved_model_has_four_signatures_and_each_weight_once(model, exported, signatures):
    functions, _ = signatures
    shapes = {
        name: {
            key: (value.shape.as_list(), value.dtype) for key, value in function.structured_input_signature[1].items()
        }
        for name, function in functions.items()
    }
    assert shapes.pop("serving_default") == shapes["logits"]
    assert shapes == {
        "logits": {"images": ([None, None, None, 3], tf.float32)},
        "classes": {"images": ([None, None, None, 3], tf.uint8)},
        "probabilities": {"images": ([None, None, None, 3], tf.uint8)},
        "classes_from_bytes": {"image_bytes": ([None], tf.string)},
    }
    written = [name for name, _ in tf.train.list_variables(str(exported / "1" / "variables" / "variables"))]
    assert sum("VARIABLE_VALUE" in name for name in written) == len(model.weights) - 2  # without the second output


def encoded(pixels, kind, **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.quick_variants(2)
@pytest.mark.parametrize("size", [(65, 83), (40, 33), (3, 20_000)])
def test_saved_model_gives_the_classes_of_predict(model, signatures, size):
    functions, _ = signatures
    pixels = np.stack([picture(*size, seed=seed) for seed in (0, 1)])
    classes = functions["classes"](images=tf.constant(pixels))["classes"].numpy()
    assert classes.dtype == np.uint8
    np.testing.assert_array_equal(classes, tfseg.predict(model, pixels))
    probabilities = functions["probabilities"](images=tf.constant(pixels))["probabilities"].numpy()
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(axis=-1), classes)
    files = tf.constant([encoded(image, "PNG") for image in pixels])
    np.testing.assert_array_equal(functions["classes_from_bytes"](image_bytes=files)["classes"], classes)


def classes_of_file(signatures, data):
    functions, _ = signatures
    return functions["classes_from_bytes"](image_bytes=tf.constant([data]))["classes"].numpy()[0]


def encoded_kinds():
    """`{name: (image, format, options)}` of files that `read_image` and TensorFlow read equally."""
    photograph, gray = Image.fromarray(picture()), picture()[..., 0]
    return {
        "jpeg": (photograph, "JPEG", {"quality": 95}),
        "progressive_jpeg": (photograph, "JPEG", {"progressive": True}),
        "cmyk_jpeg": (photograph.convert("CMYK"), "JPEG", {"quality": 95}),
        "gray_png": (Image.fromarray(gray), "PNG", {}),
        "16_bit_png": (Image.fromarray(gray.astype("uint16") * 257), "PNG", {}),
        "transparent_png": (Image.fromarray(np.concatenate([picture(), picture(seed=1)[..., :1]], axis=-1)), "PNG", {}),
        "palette_png": (photograph.quantize(7), "PNG", {}),
        "transparent_palette_png": (photograph.quantize(7), "PNG", {"transparency": 3}),
    }


@pytest.mark.parametrize("kind", encoded_kinds())
def test_saved_model_decodes_files_as_read_image_does(model, signatures, kind):
    image, format, options = encoded_kinds()[kind]
    data = io.BytesIO()
    image.save(data, format, **options)
    expected = tfseg.predict(model, tfseg.read_image(data))
    np.testing.assert_array_equal(classes_of_file(signatures, data.getvalue()), expected)


def test_saved_model_does_not_turn_photographs(model, signatures):
    data, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # orientation: turned by 90 degrees
    Image.fromarray(picture()).save(data, "JPEG", exif=exif)
    with Image.open(data) as stored:
        expected = tfseg.predict(model, stored)
    np.testing.assert_array_equal(classes_of_file(signatures, data.getvalue()), expected)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no picture", "Unknown image file format"),
        (encoded(picture(), "JPEG")[:400], "Invalid JPEG data"),
        (encoded(picture(), "PNG")[:400], "Invalid PNG data"),
        (encoded(picture(), "BMP"), "Trying to decode BMP format using a wrong op"),
    ],
    ids=["text", "truncated_jpeg", "truncated_png", "bmp"],
)
def test_saved_model_refuses_damaged_files(signatures, data, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        classes_of_file(signatures, data)


def test_onnx_file_has_named_axes_and_the_metadata(exported):
    onnx = pytest.importorskip("onnx")
    network = onnx.load(exported / "model.onnx")

    def tensor(value):
        return value.name, [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]

    assert [tensor(value) for value in network.graph.input] == [("images", ["batch", "height", "width", 3])]
    assert [tensor(value) for value in network.graph.output] == [("logits", ["batch", "height", "width", 3])]
    (entry,) = network.metadata_props
    assert (entry.key, json.loads(entry.value)["classes"]) == ("tfseg", NAMES)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("onnx", "model.onnx"),
        *(
            pytest.param(name, file, marks=pytest.mark.full)
            for name, file in (
                ("openvino", "openvino"),
                ("litert_float32", "model_float32.tflite"),
                ("litert_float16", "model_float16.tflite"),
                ("litert_dynamic_int8", "model_dynamic_int8.tflite"),
            )
        ),
    ],
)
@pytest.mark.parametrize("outputs", [pytest.param("probabilities", marks=pytest.mark.full), "classes"])
def test_artifacts_take_photographs_and_give_what_is_asked_for(model, tmp_path, name, file, outputs):
    """Each is run by its runtime, on the pixels, and compared with the classes and the probabilities of the model."""
    folder = tfseg.export(model, tmp_path / "out", [name], outputs=outputs)
    assert (folder / file).exists()
    report = json.loads((folder / "export.json").read_text())[name]
    assert report["equal_pixels"] >= (0.9 if name == "litert_dynamic_int8" else 0.99)
    assert (report["max_relative_difference"] is None) == (outputs == "classes")
    assert "of the pixels equal" in exporting.summary(folder)
    assert json.loads((folder / "metadata.json").read_text())["outputs"] == outputs


def test_an_onnx_file_segments_a_photograph_alone(model, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    folder = tfseg.export(model, tmp_path / "out", ["onnx"], outputs="classes")
    pixels = picture(40, 33)
    (classes,) = onnxruntime.InferenceSession(folder / "model.onnx").run(None, {"images": pixels[None]})
    assert classes.dtype == np.uint8
    np.testing.assert_array_equal(classes[0], tfseg.predict(model, pixels))


def test_unknown_outputs_are_refused(model, tmp_path):
    with pytest.raises(ValueError, match=r"outputs is one of logits, classes, probabilities. Received: 'masks'"):
        tfseg.export(model, tmp_path / "out", ["onnx"], outputs="masks")
    assert not (tmp_path / "out").exists()
