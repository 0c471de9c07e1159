"""OpenVINO's files have one output, and resize maps of any size as the model does, in bfloat16, too."""

import types

import keras
import numpy as np
import pytest
from helpers.references import images, randomize, relative

import tfseg
from tfseg.exporting.whole_number_resizing import whole_number_resizing
from tfseg.layers.resample import COORDINATES, Resample, scaled_size
from tfseg.specs import INTERPOLATIONS

if keras.backend.backend() != "tensorflow":
    pytest.skip("exports come from TensorFlow", allow_module_level=True)

# OpenVINO's product with a reciprocal makes 47 / 94 less than a half; the last is beyond bfloat16's whole numbers.
SIZES = [(94, 122), (93, 121), (82, 194), (60, 300)]


def computed(folder, image, precision="f32"):
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    network = core.compile_model(folder / "openvino" / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": precision})
    (output,) = network.outputs
    assert output.names == {"logits"}
    return network(image)[output]


def resizing_model(make, channels=4):
    """A quarter of the size, and back in two steps."""
    image = keras.Input((None, None, 3))
    half = keras.layers.Conv2D(channels, 3, strides=2, padding="same", activation="silu")(image)
    quarter = keras.layers.Conv2D(channels, 3, strides=2, padding="same")(half)
    x = make()([quarter, half])
    x = make()([keras.layers.Concatenate()([x, half]), image])
    return randomize(keras.Model(image, keras.layers.Conv2D(3, 1, name="logits")(x)), seed=2)


RESIZING = {name: lambda name=name: tfseg.layers.ResizeLike(name) for name in INTERPOLATIONS} | {
    "ONNX's nearest": lambda: Resample("nearest", "asymmetric_quotient", "floor"),
    "ONNX's linear": lambda: Resample("linear", "pytorch_half_pixel"),
}


@pytest.mark.quick_variants("nearest", "bilinear")
@pytest.mark.parametrize("name", RESIZING)
def test_maps_of_any_size_are_resized_as_by_the_model(name, tmp_path):
    pytest.importorskip("openvino")
    model = resizing_model(RESIZING[name])
    folder = tfseg.export(model, tmp_path / "resizing", ["openvino"], preprocessing="torch")
    for size in SIZES:
        image = images(*size)
        expected = model(image)
        # A place of ONNX is a quotient by a quotient, which OpenVINO rounds otherwise: by 3e-5 pixels at 300.
        assert relative(computed(folder, image), expected) <= (2e-5 if name == "ONNX's linear" else 3e-6)
        assert relative(computed(folder, image, "bf16"), expected) < 0.03  # eight bits


LAYERS = {name: lambda name=name: tfseg.layers.ResizeLike(name) for name in INTERPOLATIONS} | {
    f"{scale} {name}": lambda name=name, scale=scale: tfseg.layers.Rescale(scale, name)
    for scale in (0.5, 0.75, 2.0, 1.7, 2**0.5)
    for name in INTERPOLATIONS
}


@pytest.mark.parametrize("name", LAYERS)
def test_places_in_whole_numbers_are_torchs(name):
    import tensorflow as tf

    image, reference = keras.Input((None, None, 2)), keras.Input((None, None, 3))
    layer = LAYERS[name]()
    rescales = isinstance(layer, tfseg.layers.Rescale)
    model = keras.Model([image, reference], layer(image if rescales else [image, reference]))
    function = tf.function(lambda *inputs: model(inputs), reduce_retracing=True)
    free = [tf.TensorSpec((None, None, None, channels)) for channels in (2, 3)]
    with whole_number_resizing(model):
        run = function.get_concrete_function(*free)
    names = {node.name.rpartition("/")[2].rstrip("_0123456789") for node in run.graph.as_graph_def().node}
    assert ("floordiv" in names) == (not name.startswith("1.41"))  # which no short fraction is
    for size, target in (((47, 13), (94, 26)), ((20, 31), (39, 61)), ((301, 7), (600, 2)), ((9, 8), (1, 1))):
        x, like = images(*size)[..., :2], images(*target)
        expected = np.asarray(model([x, like]))
        bound = 0 if "nearest" in name else 1e-6
        assert np.abs(run(tf.constant(x), tf.constant(like)).numpy() - expected).max() <= bound * np.abs(x).max()


@pytest.mark.parametrize("scales", [None, (2, 0.75), (1.3, 1.3)], ids=str)
@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("method", ["linear", "nearest"])
def test_places_in_whole_numbers_are_onnxs(method, coordinates, scales):
    layer = Resample(method, coordinates, "floor", scales=scales)
    for outputs, pixels in ((94, 47), (61, 31), (26, 13), (2, 7), (1, 8), (9, 9)):
        for axis in (0, 1):
            if scales:
                outputs = scaled_size(pixels, scales[axis])
            expected = np.asarray(layer._weights(outputs, pixels, axis))
            with whole_number_resizing(types.SimpleNamespace(_flatten_layers=lambda: [layer])):
                actual = np.asarray(layer._weights(*map(np.int32, (outputs, pixels)), axis))
            assert np.abs(actual - expected).max() < 1e-5, (outputs, pixels)


def test_sizes_that_are_known_keep_their_arithmetic():
    layer = tfseg.layers.ResizeLike()
    model = keras.Model(image := keras.Input((None, None, 3)), layer([image, image]))
    with whole_number_resizing(model):
        assert np.array_equal(layer._weights(7, 5), type(layer)._weights(layer, 7, 5))
        assert "_weights" in vars(layer)
    assert "_weights" not in vars(layer)


@pytest.mark.quick_variants("openvino", "onnx")
@pytest.mark.parametrize("name", ["onnx", "openvino", "litert_float32"])
def test_groups_are_kept_where_padding_hides_the_channels(name, tmp_path):
    """`export` compares the logits; TensorFlow does not know the shape of what a dilated network pads."""
    pytest.importorskip({"onnx": "tf2onnx", "openvino": "openvino", "litert_float32": "ai_edge_litert"}[name])
    image = x = keras.Input((None, None, 3))
    for groups in (1, 4, 4):
        x = keras.layers.Conv2D(8, 3, strides=2, padding="same", groups=groups)(x)
    x = keras.layers.Conv2D(8, 3, padding="same", groups=4)(x)
    model = randomize(tfseg.FCN(tfseg.dilate(keras.Model(image, x), 2), num_classes=3), seed=3)
    tfseg.export(model, tmp_path / "groups", [name], preprocessing="torch")
