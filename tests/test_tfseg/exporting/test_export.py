"""What tfseg.export writes is the network, in processes that have neither this package nor the network."""

import io
import json

import keras
import numpy as np
import pytest
from helpers import run_command
from helpers.exported_models import FACTS, NAMES, small
from helpers.references import randomize
from PIL import Image

import tfseg
from tfseg import exporting
from tfseg.exporting import comparison, formats, job
from tfseg.rewrites import slice_convolutions, split_filters

tf = pytest.importorskip("tensorflow")
if keras.backend.backend() != "tensorflow":
    pytest.skip("exports come from TensorFlow", allow_module_level=True)


def picture(height=65, width=83, seed=0):
    """uint8 `(height, width, 3)`, in patches of colour."""
    patches = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype="uint8")
    return np.asarray(Image.fromarray(patches).resize((width, height)))


@pytest.fixture(scope="module")
def model():
    return small()


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "street"
    found = tfseg.export(model, str(path), ["saved_model", "onnx", "litert_float32"], receipt="from a checkpoint")
    assert found == path
    return path


@pytest.fixture(scope="module")
def signatures(exported):
    loaded = tf.saved_model.load(exported / "1")
    return loaded.signatures, loaded  # which they do not keep alive


def test_the_folder_tells_what_was_compared(exported):
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
    expected = {"name": "small", "num_classes": 3, "receipt": "from a checkpoint", **FACTS}
    assert facts == json.loads(json.dumps(expected))
    report = json.loads((exported / "export.json").read_text())
    assert {name: one["artifact"] for name, one in report.items()} == {
        "saved_model": "1",
        "onnx": "model.onnx",
        "litert_float32": "model_float32.tflite",
    }
    for one in report.values():
        assert one["sizes"] == [[64, 96], [65, 83], [97, 128]]
        assert one["max_relative_difference"] <= 1e-5
        assert one["equal_pixels"] >= 0.9999
        assert one["bytes"] > 1000
    assert report["onnx"]["runtime"].startswith("onnxruntime 1.")
    lines = exporting.summary(exported).splitlines()
    assert len(lines) == 3
    assert lines[1].startswith(f"{exported}/model.onnx: 0.0 MB, onnxruntime 1.")
    assert "100.00% of the pixels equal, at 64x96, 65x83, 97x128" in lines[1]


def test_signatures_of_the_saved_model(model, exported, signatures):
    functions, _ = signatures
    shapes = {
        name: {key: (value.shape.as_list(), value.dtype) for key, value in one.structured_input_signature[1].items()}
        for name, one in functions.items()
    }
    assert shapes.pop("serving_default") == shapes["logits"]
    assert shapes == {
        "logits": {"images": ([None, None, None, 3], tf.float32)},
        "classes": {"images": ([None, None, None, 3], tf.uint8)},
        "classes_from_bytes": {"image_bytes": ([None], tf.string)},
    }
    written = [name for name, _ in tf.train.list_variables(str(exported / "1" / "variables" / "variables"))]
    assert sum("VARIABLE_VALUE" in name for name in written) == len(model.weights) - 2  # once; none of the other output


def encoded(pixels, kind, **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("size", [(65, 83), (40, 33), (3, 20_000)])
def test_photographs_in_and_classes_out(model, signatures, size):
    functions, _ = signatures
    pixels = np.stack([picture(*size, seed=seed) for seed in (0, 1)])
    classes = functions["classes"](images=tf.constant(pixels))["classes"].numpy()
    assert classes.dtype == np.uint8
    np.testing.assert_array_equal(classes, tfseg.predict(model, pixels))
    files = tf.constant([encoded(one, "PNG") for one in pixels])
    np.testing.assert_array_equal(functions["classes_from_bytes"](image_bytes=files)["classes"], classes)


def test_encoded_photographs_of_other_kinds(model, signatures):
    functions, _ = signatures

    def classes(data):
        return functions["classes_from_bytes"](image_bytes=tf.constant([data]))["classes"].numpy()[0]

    jpeg = encoded(picture(), "JPEG", quality=95)
    with Image.open(io.BytesIO(jpeg)) as image:
        np.testing.assert_array_equal(classes(jpeg), tfseg.predict(model, image))
    grey = picture()[..., 0]
    np.testing.assert_array_equal(classes(encoded(grey, "PNG")), tfseg.predict(model, np.stack([grey] * 3, -1)))
    alpha = np.concatenate([picture(), picture(seed=1)[..., :1]], axis=-1)
    np.testing.assert_array_equal(classes(encoded(alpha, "PNG")), tfseg.predict(model, picture()))
    photograph, exif = Image.fromarray(picture()), Image.Exif()
    exif[0x0112] = 6
    for image, kind, options in (
        (photograph.quantize(7), "PNG", {}),
        (photograph.quantize(7), "PNG", {"transparency": 3}),
        (Image.fromarray(grey.astype("uint16") * 257), "PNG", {}),
        (photograph.convert("CMYK"), "JPEG", {"quality": 95}),
        (photograph, "JPEG", {"progressive": True}),
        (photograph, "JPEG", {"exif": exif}),
    ):
        data = io.BytesIO()
        image.save(data, kind, **options)
        wanted = tfseg.predict(model, tfseg.read_image(data))
        if "exif" in options:  # TensorFlow decodes what the camera stored, without turning it
            with Image.open(data) as stored:
                wanted = tfseg.predict(model, stored)
        np.testing.assert_array_equal(classes(data.getvalue()), wanted)
    for data, message in (
        (b"no picture", "Unknown image file format"),
        (encoded(picture(), "JPEG")[:400], "Invalid JPEG data"),
        (encoded(picture(), "PNG")[:400], "Invalid PNG data"),
        (encoded(picture(), "BMP"), "Trying to decode BMP format using a wrong op"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            classes(data)


def test_the_onnx_file_names_what_it_takes_and_carries_the_facts(exported):
    onnx = pytest.importorskip("onnx")
    found = onnx.load(exported / "model.onnx")

    def tensor(value):
        return value.name, [one.dim_param or one.dim_value for one in value.type.tensor_type.shape.dim]

    assert [tensor(one) for one in found.graph.input] == [("images", ["batch", "height", "width", 3])]
    assert [tensor(one) for one in found.graph.output] == [("logits", ["batch", "height", "width", 3])]
    (entry,) = found.metadata_props
    assert (entry.key, json.loads(entry.value)["classes"]) == ("tfseg", NAMES)


@pytest.mark.parametrize("rewrites", [(), ("split_filters",)])
def test_dilated_kernels_in_onnx(rewrites, monkeypatch, tmp_path):
    """Each is a convolution with a constant kernel, which tf2onnx did not see; the even one is padded unevenly."""
    onnx = pytest.importorskip("onnx")
    monkeypatch.setattr(split_filters, "FILTERS_PER_PART", 40)
    monkeypatch.setattr(slice_convolutions, "LEAST_CHANNELS_X_FILTERS", 1)
    seen, fill = [], exporting.onnx._fill

    def recording(graph, weights):
        seen.extend(onnx.numpy_helper.to_array(tensor).size for tensor in graph.initializer)
        fill(graph, weights)

    monkeypatch.setattr(exporting.onnx, "_fill", recording)
    image = x = keras.Input((None, None, 3))
    for name, size, rate in (("odd", 3, (1, 3)), ("even", (4, 2), 2)):
        x = keras.layers.Conv2D(80, size, padding="same", dilation_rate=rate, activation="relu", name=name)(x)
    model = randomize(keras.Model(image, keras.layers.Conv2D(3, 1)(x)), seed=1)
    model = tfseg.optimize(model, rewrites=rewrites)
    assert any(isinstance(layer, split_filters.SplitConv2D) for layer in model.layers) == bool(rewrites)
    graph = onnx.load(tfseg.export(model, tmp_path / "dilated", ["onnx"], preprocessing="torch") / "model.onnx").graph
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == (5 if rewrites else 3)
    assert {node.op_type for node in graph.node} <= {"Conv", "Relu", "Add", "Concat", "Transpose"}
    assert {node.input[1] for node in convolutions} <= {tensor.name for tensor in graph.initializer}
    assert max(seen) < 10_000  # the larger kernel has 51,200


def test_dilated_kernels_elsewhere(tmp_path):
    interpreters = pytest.importorskip("ai_edge_litert.interpreter")
    pytest.importorskip("openvino")
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", dilation_rate=2, activation="relu")(image)
    model = randomize(keras.Model(image, keras.layers.Conv2D(3, 1)(x)), seed=1)
    folder = tfseg.export(model, tmp_path / "dilated", ["openvino", "litert_float32"], preprocessing="torch")
    assert "SpaceToBatch" not in (folder / "openvino" / "model.xml").read_text()
    interpreter = interpreters.Interpreter(str(folder / "model_float32.tflite"))
    assert "SPACE_TO_BATCH_ND" not in {one["op_name"] for one in interpreter._get_ops_details()}


# ---------------------------------------------------------------------------------------------------------- bad input


def nothing_but(folder, *names):
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_nothing_is_replaced(model, tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(ValueError, match=r"target '.*taken' exists: remove it or choose another"):
        tfseg.export(model, tmp_path / "taken")
    with pytest.raises(ValueError, match=r"target '.*missing/model' lies in a directory that does not exist"):
        tfseg.export(model, tmp_path / "missing" / "model")
    assert nothing_but(tmp_path, "taken")


@pytest.mark.parametrize("asked", [["tflite"], ["onnx", "onnx"], [], "onnx"])
def test_formats_are_known(model, tmp_path, asked):
    with pytest.raises(ValueError, match=r"formats is a list of some of saved_model, litert_float32.*Received: .*"):
        tfseg.export(model, tmp_path / "model", asked)
    assert nothing_but(tmp_path)


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("onnx", "tf2onnx", "onnx"),
        ("litert_float16", "ai_edge_litert", "litert"),
        ("openvino", "openvino", "openvino"),
        ("safetensors", "safetensors", "safetensors"),
    ],
)
def test_a_missing_extra_is_named(model, tmp_path, monkeypatch, name, module, extra):
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda asked: None if asked == module else "found")
    with pytest.raises(
        ValueError, match=rf"The format '{name}' needs {module}, not installed here: pip install \"tfseg\[{extra}\]\""
    ):
        tfseg.export(model, tmp_path / "model", ["saved_model", name])
    assert nothing_but(tmp_path)


def classifier():
    image = keras.Input((64, 64, 3))
    return keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(image)), name="classifier")


def backbone():
    image = keras.Input((None, None, 3))
    features = keras.layers.Conv2D(3, 1, strides=2)(tfseg.layers.Metadata(**FACTS)(image))
    return keras.Model(image, features, name="backbone")


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (classifier, {}, r"A segmentation model turns images .* into logits .*Received: 'classifier'"),
        (backbone, {}, r"gives every pixel logits. Received: 'backbone', \(2, 64, 96, 3\) to \(2, 32, 48, 3\)"),
        (lambda: small({}), {}, r"'small' does not say how its input is prepared: pass preprocessing=\"torch\""),
        (small, {"preprocessing": "tensorflow"}, r"Preprocessing is a dictionary or one of .*'tensorflow'"),
        (small, {"formats": ["litert_int8"]}, r"'litert_int8' takes .* from photographs: pass calibration=, a dir"),
        (small, {"calibration": "no/such"}, r"No images: 'no/such' is neither a directory with pictures"),
        (small, {"calibration": [np.zeros((9, 9, 3))]}, r"is uint8 \(height, width, 3\), RGB. .*float64 \(9, 9, 3\)"),
        (small, {"size": (64, -1)}, r"size is height and width, in pixels. Received: \(64, -1\)"),
        (small, {"size": ["64"]}, r"size is height and width, in pixels. Received: \['64'\]"),
    ],
)
def test_what_cannot_be_exported(tmp_path, build, options, message):
    with pytest.raises(ValueError, match=message):
        tfseg.export(build(), tmp_path / "model", **options)
    assert nothing_but(tmp_path)


def test_what_is_no_model_of_tensorflow(tmp_path, monkeypatch):
    with pytest.raises(
        ValueError, match=r"A functional or Sequential Keras model is exported. Received: 'street.keras'"
    ):
        tfseg.export("street.keras", tmp_path / "model")
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(ValueError, match=r"come from the TensorFlow backend of Keras. Received: KERAS_BACKEND=torch"):
        tfseg.export(None, tmp_path / "model")
    assert nothing_but(tmp_path)


def test_a_fixed_size_is_not_changed():
    image = keras.Input((64, 96, 3))
    fixed = keras.Model(image, keras.layers.Conv2D(3, 1)(image), name="fixed")
    assert job.Job(fixed).shape == (None, 64, 96, 3)
    with pytest.raises(ValueError, match=r"'fixed' takes images of \(64, 96\). Received: size=\(65, 96\)"):
        job.Job(fixed, size=(65, 96))


def replaced(monkeypatch, name, write):
    monkeypatch.setitem(exporting.FORMATS, name, exporting.FORMATS[name]._replace(write=write))


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (RuntimeError("died"), ValueError, r"The model 'small' cannot be written as 1: died$"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (OSError(28, "No space left"), OSError, "No space left"),
        (tf.errors.ResourceExhaustedError(None, None, "No space"), OSError, "1 cannot be written: No space$"),
    ],
)
def test_a_failed_export_leaves_nothing(error, expected, message, model, tmp_path, monkeypatch):
    def write(job, path):
        path.mkdir()
        (path / "saved_model.pb").write_bytes(b"half")
        raise error

    replaced(monkeypatch, "saved_model", write)
    with pytest.raises(expected, match=message):
        tfseg.export(model, tmp_path / "model")
    assert nothing_but(tmp_path)


def test_a_corrupt_artifact_is_no_export(model, tmp_path, monkeypatch):
    replaced(monkeypatch, "onnx", lambda job, path: path.write_bytes(b"corrupt"))
    with pytest.raises(
        ValueError, match=r"model.onnx was written, but onnxruntime does not run it: .*Protobuf.*Nothing was exported"
    ):
        tfseg.export(model, tmp_path / "model", ["onnx"])
    assert nothing_but(tmp_path)


def test_a_runtime_that_does_not_answer(model, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "_PATIENCE", 0.01)
    replaced(monkeypatch, "keras", lambda job, path: path.touch())
    with pytest.raises(
        ValueError, match=r"model.keras was written, but keras has not run it within 0 s. Nothing was exported."
    ):
        tfseg.export(model, tmp_path / "model", ["keras"])
    assert nothing_but(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (1.001, r"does not compute what the model computes: logits differ by .*e-0[34] of the largest \(at most 1e-05"),
        (np.nan, r"logits differ by nan"),
    ],
)
def test_an_artifact_that_computes_something_else_is_no_export(model, exported, tmp_path, monkeypatch, change, message):
    onnx = pytest.importorskip("onnx")
    found = onnx.load(exported / "model.onnx")
    kernel = max(found.graph.initializer, key=lambda one: np.prod(one.dims))
    kernel.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(kernel) * np.float32(change), kernel.name))
    replaced(monkeypatch, "onnx", lambda job, path: onnx.save(found, path))
    with pytest.raises(ValueError, match=message):
        tfseg.export(model, tmp_path / "model", ["onnx"])
    assert nothing_but(tmp_path)


# -------------------------------------------------------------------------------------------------------- the command


COMMAND = "tfseg_cli.export"


def test_the_command(model, tmp_path):
    model.save(tmp_path / "street.keras")
    (tmp_path / "receipt.json").write_text('{"source": "a checkpoint"}')
    done = run_command.run(
        COMMAND,
        f"--model={tmp_path}/street.keras",
        f"--output={tmp_path}/street",
        "--format=onnx",
        "--size=64,96",
        f"--receipt={tmp_path}/receipt.json",
    )
    assert done.code == 0, done.err
    assert f"{tmp_path}/street/model.onnx: 0.0 MB, onnxruntime 1." in done.out
    assert "at 64x96" in done.out
    assert "opset" not in done.err  # the converters tell nothing of their own
    assert json.loads((tmp_path / "street" / "metadata.json").read_text())["receipt"] == '{"source": "a checkpoint"}'
    assert nothing_but(tmp_path, "receipt.json", "street", "street.keras")


@pytest.mark.full
def test_the_command_on_bad_input(model, tmp_path):
    model.save(tmp_path / "street.keras")
    (tmp_path / "taken").mkdir()
    for flags, message in (
        ((f"--model={tmp_path}/none.keras", "--output=o"), "There is no model"),
        ((f"--model={tmp_path}/street.keras", f"--output={tmp_path}/taken"), "taken' exists: remove it"),
        ((f"--model={tmp_path}/street.keras", "--output=o", "--size=64,x"), "size is height and width"),
        ((f"--model={tmp_path}/street.keras", "--output=o", "--format=tflite"), "=tflite: value should be one of"),
    ):
        done = run_command.run(COMMAND, *flags)
        assert done.code != 0
        assert message in done.err
        assert "Traceback" not in done.err
    assert nothing_but(tmp_path, "street.keras", "taken")
