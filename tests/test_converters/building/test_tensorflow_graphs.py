"""Whole networks of TensorFlow: frozen graphs, SavedModels and MetaGraphs, compared with TensorFlow itself."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import tf1_graphs
from helpers.random_weights import randomize_weights
from tensorflow.python.framework import op_def_registry
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

import converters
import tfseg
from converters import ConversionError

v1 = tf.compat.v1
SIZES = ((61, 74), (96, 50))  # neither is traced, nor one at which the builder compares


def images(height, width, batch=2):
    return np.random.default_rng(5).normal(size=(batch, height, width, 3)).astype("float32")


def assert_equal(model, path, output, sizes=SIZES, **feeds):
    for size in sizes:
        batch = images(*size)
        (expected,) = tf1_graphs.run_frozen(path, batch, [output], **feeds)
        result = np.asarray(model(batch))
        assert result.shape == expected.shape
        assert np.abs(result - expected).max() <= 1e-5 * np.abs(expected).max()


def kinds(model):
    return {type(layer).__name__ for layer in model.layers}


# ------------------------------------------------------------------------------------------------------------ networks

NETWORKS = {
    "slim_classifier": (tf1_graphs.classifier, "Net/Predictions"),
    "unfused_classifier": (functools.partial(tf1_graphs.classifier, fused=False), "Net/Predictions"),
    "deeplab_mobilenet": (tf1_graphs.deeplab_mobilenet, "logits"),
    "deeplab_xception": (tf1_graphs.deeplab_xception, "upsampled"),
    "unet": (functools.partial(tf1_graphs.unet, keep_prob=False), "scores/BiasAdd"),
}
SLOW = [pytest.param(name, marks=pytest.mark.full) for name in NETWORKS if name != "unfused_classifier"]


@pytest.mark.parametrize("name", ["unfused_classifier", *SLOW])
def test_frozen_networks_are_exact(name, tmp_path):
    build, output = NETWORKS[name]
    path = tf1_graphs.frozen(build, tmp_path / f"{name}.pb")
    model, receipt = converters.convert(path)
    assert model.input_shape == (None, None, None, 3)
    assert receipt.family == "TensorFlow graph"
    assert_equal(model, path, output)
    # Channels are last in both: nothing is turned, BatchNorm is one layer, and weights have their layers' names.
    assert not kinds(model) & {"Transpose", "Permute", "WithWeight"}
    assert "BatchNormalization" in kinds(model)


@pytest.mark.full
@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50V2", "DenseNet121"])
def test_frozen_networks_of_keras_are_exact(name, tmp_path):
    make = getattr(keras.applications, name)
    backbone = make(input_shape=(None, None, 3), weights=None, include_top=False, pooling="avg")
    network = keras.Model(backbone.input, keras.layers.Dense(7, activation="softmax")(backbone.output))
    randomize_weights(network, 3)
    function = tf.function(lambda image: network(image, training=False))
    concrete = function.get_concrete_function(tf.TensorSpec((None, None, None, 3), tf.float32, name="image"))
    graph = convert_variables_to_constants_v2(concrete).graph.as_graph_def()
    (tmp_path / "frozen.pb").write_bytes(graph.SerializeToString())
    model, _ = converters.convert(tmp_path / "frozen.pb")
    for size in SIZES:
        expected = network(images(*size)).numpy()
        assert np.abs(model(images(*size)) - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.full
def test_class_map_and_logits_before_it(tmp_path):
    """A graph that ends with the classes gives them; `outputs` names the logits."""
    build = functools.partial(tf1_graphs.deeplab_mobilenet, labels=True)
    path = tf1_graphs.frozen(build, tmp_path / "labels.pb")
    model, _ = converters.convert(path)
    assert_equal(model, path, "SemanticPredictions")
    logits, _ = converters.convert(path, outputs="ResizeBilinear_3")
    assert logits.output_shape == (None, None, None, 4)
    assert np.array_equal(np.argmax(logits(images(64, 49)), -1), model(images(64, 49)))


@pytest.mark.full
def test_network_behind_its_own_preprocessing(tmp_path):
    """DeepLab's frozen graphs pad one image of bytes to their own size: `inputs` names the node after that."""

    def build(x):
        image = tf.squeeze(x, [0])
        sides = tf.shape(image)
        image = tf.pad(image - 127.5, [[0, 129 - sides[0]], [0, 129 - sides[1]], [0, 0]]) + 127.5
        image.set_shape([129, 129, 3])
        scores = tf1_graphs.deeplab_mobilenet(tf.expand_dims(image, 0, name="prepared"))
        return tf.slice(tf.argmax(scores, 3), [0, 0, 0], [1, sides[0], sides[1]], name="classes")

    path = tf1_graphs.frozen(build, tmp_path / "deeplab.pb", shape=(1, None, None, 3), dtype=tf.uint8)
    with pytest.raises(ConversionError, match=r"'Pad', Pad, pads the batch.*--inputs=node"):
        converters.convert(path)
    model, _ = converters.convert(path, inputs="prepared", outputs="ResizeBilinear_3")
    assert (model.input_shape, model.output_shape) == ((None, 129, 129, 3), (None, 129, 129, 4))
    batch = np.random.default_rng(0).integers(0, 256, (1, 129, 129, 3)).astype("uint8")
    (expected,) = tf1_graphs.run_frozen(path, batch, ["ResizeBilinear_3"])
    assert np.abs(model(batch.astype("float32")) - expected).max() <= 1e-5 * np.abs(expected).max()


def test_dropout_of_a_placeholder_is_left_out(tmp_path):
    path = tf1_graphs.frozen(lambda x: tf1_graphs.unet(x), tmp_path / "unet.pb")
    model, receipt = converters.convert(path)
    assert_equal(model, path, "scores/BiasAdd", [SIZES[0]], keep_prob=1.0)
    assert any("keep_prob has the value of inference, 1.0" in note for note in receipt.notes)
    assert "Dropout" not in kinds(model)


def test_images_of_bytes(tmp_path):
    def build(x):
        return tf.nn.conv2d(x / 127.5 - 1.0, np.ones((3, 3, 3, 2), "float32"), 2, "SAME", name="scores")

    path = tf1_graphs.frozen(build, tmp_path / "bytes.pb", dtype=tf.uint8)
    model, receipt = converters.convert(path)
    batch = np.random.default_rng(0).integers(0, 256, (1, 33, 40, 3)).astype("uint8")
    (expected,) = tf1_graphs.run_frozen(path, batch, ["scores"])
    np.testing.assert_allclose(model(batch.astype("float32")), expected, atol=1e-5 * np.abs(expected).max())
    assert any("uint8" in note for note in receipt.notes)


def test_size_of_a_graph_is_freed_unless_a_step_needs_it(tmp_path):
    def free(x):
        return tf1_graphs.Slim().conv(tf1_graphs.Slim().conv(x, 4, 3, "a", stride=2), 3, 3, "b")

    def of_one_size(x):
        return tf.image.resize(tf1_graphs.Slim().conv(x, 4, 3, "a", stride=2), (64, 48), name="up")

    shape = (1, 64, 48, 3)
    model, receipt = converters.convert(tf1_graphs.frozen(free, tmp_path / "free.pb", shape=shape))
    assert model.input_shape == (None, None, None, 3)
    assert any("states one size" in note for note in receipt.notes)
    model, receipt = converters.convert(tf1_graphs.frozen(of_one_size, tmp_path / "fixed.pb", shape=shape))
    assert model.input_shape == (None, 64, 48, 3)
    assert any("resizes to 64 x 48 pixels" in note for note in receipt.notes)


# ------------------------------------------------------------------------------------------- SavedModels and MetaGraphs


def test_saved_model_of_tensorflow_1_and_its_signatures(tmp_path):
    folder = tf1_graphs.saved_model(tf1_graphs.classifier, tmp_path / "saved", ("small", "large"))
    path = tf1_graphs.frozen(tf1_graphs.classifier, tmp_path / "frozen.pb")
    model, receipt = converters.convert(folder, signature="large")
    assert_equal(model, path, "Net/Predictions", [SIZES[0]])
    assert {"Net/Conv2d_1a_3x3/weights", "Net/Logits/biases"} <= {row["key"] for row in receipt.tensors}
    assert len(receipt.files) == 3
    with pytest.raises(ConversionError, match=r"has 2 signatures: large, small.*--signature=large"):
        converters.convert(folder)
    with pytest.raises(ConversionError, match=r"no signature 'none'. Expected one of: large, small"):
        converters.convert(folder, signature="none")


class Functions(tf.Module):
    """A program of TensorFlow 2: functions that call each other, with two variables of one name."""

    def __init__(self):
        random = np.random.default_rng(0)
        self.kernels = [
            tf.Variable(random.normal(size=(3, 3, channels, 5)).astype("float32"), name="kernel") for channels in (3, 5)
        ]

    @tf.function
    def inner(self, x, kernel):
        return tf.nn.relu(tf.nn.conv2d(x, kernel, 2, "SAME"))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    def run(self, image):
        x = self.inner(self.inner(image, self.kernels[0]), self.kernels[1])
        return {"scores": x, "mean": tf.reduce_mean(image, [1, 2])}


def test_saved_model_of_functions(tmp_path):
    network = Functions()
    tf.saved_model.save(network, str(tmp_path / "saved"), signatures=network.run)
    model, _ = converters.convert(tmp_path / "saved")
    batch = images(37, 44)
    results, expected = model(batch), network.run(batch)
    assert set(results) == {"scores", "mean"}
    for key in results:
        np.testing.assert_allclose(results[key], expected[key], atol=1e-5 * np.abs(expected[key]).max())


@pytest.mark.full
def test_saved_model_that_keras_exports(tmp_path):
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            layers.Conv2D(6, 3, strides=2, padding="same"),
            layers.BatchNormalization(),
            layers.SeparableConv2D(8, 3, activation="relu"),
            layers.Conv2D(4, 3, dilation_rate=2, padding="same"),
            layers.Conv2DTranspose(4, 4, strides=2, padding="same"),
            layers.Conv2D(3, 1, activation="softmax"),
        ]
    )
    randomize_weights(network, 3)
    network.export(tmp_path / "saved", verbose=False)
    model, _ = converters.convert(tmp_path / "saved")
    np.testing.assert_allclose(model(images(45, 52)), network(images(45, 52)), atol=1e-5)


def test_checkpoint_with_its_graph(tmp_path):
    """The MetaGraph is the program: a Saver may have stored a variable under another name."""

    def build(x):
        return tf1_graphs.Slim(resource=True).conv(x, 4, 3, "conv", stride=2)

    with tf1_graphs.session(build) as (running, image, result):
        renamed = {f"stored/{variable.op.name}": variable for variable in v1.global_variables()}
        v1.train.Saver(renamed).save(running, str(tmp_path / "model.ckpt"))
        expected = running.run(result, {image: images(33, 42)})
    model, receipt = converters.convert(tmp_path / "model.ckpt", outputs=["conv/Relu6"])
    np.testing.assert_allclose(model(images(33, 42)), expected, atol=1e-5)
    assert {row["key"] for row in receipt.tensors} >= {"conv/weights", "conv/BatchNorm/gamma"}
    # Its weights go back under the names of its variables, also from a saved model.
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    converters.export_weights(again, tmp_path / "back.safetensors")
    source, back = converters.read(tmp_path / "model.ckpt"), converters.read(tmp_path / "back.safetensors")
    assert set(source) == {f"stored/{key}" for key in back}
    assert all(np.array_equal(source[f"stored/{key}"], back[key]) for key in back)
    with pytest.raises(ConversionError, match="no layer of Caffe holds its weights"):
        converters.export_weights(again, tmp_path / "back.caffemodel")
    # No family has such names: the graph beside the checkpoint is its program, too.
    assert converters.convert(str(tmp_path / "model.ckpt"))[1].family == "TensorFlow graph"


# -------------------------------------------------------------------------------------------------------------- surgery


@pytest.mark.full
def test_surgery_on_a_frozen_classifier(tmp_path):
    model, _ = converters.convert(tf1_graphs.frozen(tf1_graphs.classifier, tmp_path / "frozen.pb"))
    model.save(tmp_path / "model.keras")
    reopened = keras.saving.load_model(tmp_path / "model.keras")
    assert np.array_equal(reopened(images(40, 40)), model(images(40, 40)))
    features = keras.Model(model.input, model.get_layer("Net_Conv2d_3b_3x3_Relu6").output)
    dilated = tfseg.dilate(features, 4)
    tfseg.check_dilation(features, dilated, images(64, 80)).assert_holds()
    sliding = tfseg.convolutionalize(model, input_size=(64, 64))
    np.testing.assert_allclose(sliding(images(64, 64))[:, 0, 0], model(images(64, 64)), atol=1e-5)


# ------------------------------------------------------------------------------------------------------------ bad input


def refusal(path, **options):
    with pytest.raises(ConversionError) as caught:
        converters.convert(path, **options)
    return str(caught.value)


def frozen(tmp_path, build, **options):
    return tf1_graphs.frozen(build, tmp_path / "graph.pb", **options)


def test_what_no_model_can_be_is_refused_by_its_node(tmp_path):
    def loop(x):
        return tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * 2.0), [0, x])[1]

    def branch(x):
        return v1.cond(tf.reduce_mean(x) > 0, lambda: x * 2.0, lambda: x)

    assert "'top', TopKV2, chooses boxes" in refusal(frozen(tmp_path, lambda x: tf.math.top_k(x, 2, name="top")[0]))
    assert "While" in (message := refusal(frozen(tmp_path, loop)))
    assert "repeats its steps" in message
    assert "branches on values" in refusal(frozen(tmp_path, branch))
    assert "dropout" in (message := refusal(frozen(tmp_path, lambda x: tf.nn.dropout(x, 0.5))))
    assert "is_training=False, keep_prob=1" in message
    assert "statistics of the batch" in refusal(
        frozen(tmp_path, lambda x: v1.nn.fused_batch_norm(x, [1.0] * 3, [0.0] * 3, is_training=True)[0])
    )


def test_several_images_are_refused_by_their_names(tmp_path):
    def build(x):
        return x + v1.placeholder(tf.float32, [None, None, None, 3], name="second")

    assert "takes 2 inputs" in (message := refusal(frozen(tmp_path, build)))
    assert "second ?x?x?x3" in message


def test_graph_without_weights_and_damaged_files(tmp_path):
    with tf1_graphs.session(tf1_graphs.classifier) as (running, _, _):
        (tmp_path / "graph.pb").write_bytes(running.graph.as_graph_def().SerializeToString())
    assert "convert_variables_to_constants" in refusal(tmp_path / "graph.pb")
    path = tf1_graphs.frozen(tf1_graphs.classifier, tmp_path / "cut.pb")
    (tmp_path / "cut.pb").write_bytes((tmp_path / "cut.pb").read_bytes()[:-100])
    assert "truncated or damaged" in refusal(path)
    folder = tf1_graphs.saved_model(tf1_graphs.classifier, tmp_path / "saved")
    (tmp_path / "saved" / "variables" / "variables.index").unlink()
    assert "files of its weights are missing" in refusal(folder)


def _absent(node, name):
    del node.attr[name]


def _of_no_kind(node, name):
    node.attr[name].Clear()


def _of_another_kind(node, name):
    if node.attr[name].WhichOneof("value") == "func":
        node.attr[name].i = 3
    else:
        node.attr[name].func.name = "other"


@pytest.mark.parametrize("damage", [_absent, _of_no_kind, _of_another_kind])
def test_damaged_attributes_are_told(damage, tmp_path):
    """Each attribute of each operation of a graph is told by name, or has a default."""
    path = tf1_graphs.frozen(tf1_graphs.classifier, tmp_path / "graph.pb")
    content = (tmp_path / "graph.pb").read_bytes()
    kinds = {node.op: node for node in v1.GraphDef.FromString(content).node}
    assert {"Const", "Placeholder", "Conv2D", "MaxPool", "ConcatV2"} <= set(kinds)
    for kind, node in kinds.items():
        for known in op_def_registry.get(kind).attr:
            if damage is _absent and (known.HasField("default_value") or known.name not in node.attr):
                continue
            definition = v1.GraphDef.FromString(content)
            damage(next(other for other in definition.node if other.name == node.name), known.name)
            (tmp_path / "graph.pb").write_bytes(definition.SerializeToString())
            message = refusal(path)
            assert repr(known.name) in message
            assert repr(node.name) in message


def test_options_are_refused_where_they_do_not_apply(tmp_path):
    path = tf1_graphs.frozen(tf1_graphs.classifier, tmp_path / "graph.pb")
    assert "no node 'Net/Logits/Bias'" in (message := refusal(path, outputs=["Net/Logits/Bias"]))
    assert "similar: Net/Logits/BiasAdd" in message
    assert "has no signatures" in refusal(path, signature="serving_default")
    assert "built as it stands" in refusal(path, num_classes=3)
    weights = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])
    weights.save(tmp_path / "other.keras")
    assert "choose a part of a TensorFlow graph" in refusal(tmp_path / "other.keras", signature="a")


def test_nothing_of_a_graph_runs_but_arithmetic(tmp_path):
    """A graph can read and write files: neither building nor comparing runs such nodes."""
    target = tmp_path / "written"

    def hostile(x):
        written = tf.raw_ops.WriteFile(filename=str(target), contents="x")
        with tf.control_dependencies([written]):
            return tf.identity(x * 2.0, name="result")

    model, _ = converters.convert(frozen(tmp_path, hostile), outputs=["result"])
    assert np.array_equal(model(images(9, 8)), images(9, 8) * 2)
    assert not target.exists()
    read = frozen(tmp_path, lambda x: x * tf.strings.to_number(tf.io.read_file(str(target))))
    assert "ReadFile" in refusal(read) or "StringToNumber" in refusal(read)
