"""Frozen graphs of known networks: their constants fill the network, which is compared with the graph."""

import keras
import numpy as np
import pytest
from helpers.references import images, relative
from helpers.tf1_deeplab import BetaPlus, MobileNet, Xception
from helpers.tf1_frozen import classes_of, freeze, meta_graph
from helpers.tf1_nets import save

import converters
import tfseg
from converters.conversion.convert_graph import running_tensorflow

full = pytest.mark.full
NETWORKS = {
    "mobilenet": (lambda: MobileNet(classes=21, width=0.25, output_stride=8), "deeplabv3_mobilenet_v2"),
    "mobilenet-decoder": (lambda: MobileNet(width=0.25, decodes=True), "deeplabv3plus_mobilenet_v2"),
    "xception": (lambda: Xception(41, output_stride=8), "deeplabv3plus_xception41"),
    "xception65": (lambda: Xception(65, classes=21, output_stride=8), "deeplabv3plus_xception65"),
    "other-rates": (lambda: Xception(41, rates=(3, 6, 9)), "deeplabv3plus_xception41"),
    "resnet": (lambda: BetaPlus(50, output_stride=8), "deeplabv3plus_resnet50"),
}
SLOW = [pytest.param(name, marks=full) for name in NETWORKS if name != "mobilenet"]


@pytest.mark.parametrize("name", ["mobilenet", *SLOW])
def test_deeplabs_frozen_graphs(name, tmp_path):
    """The graph says its stride and rates; the network takes images of any size, the graph those of one."""
    make, network = NETWORKS[name]
    net = make()
    net(images(33, 33))
    path = freeze(net, tmp_path / "frozen_inference_graph.pb")
    model, receipt = converters.convert(path)
    assert (receipt.family, receipt.network) == ("tensorflow/deeplab", network)
    assert (receipt.untouched, receipt.ignored, receipt.others) == ({}, {}, [])
    assert receipt.options["output_stride"] == net.output_stride
    assert not any("do not tell" in note for note in receipt.notes)
    assert receipt.parity["images"] == "129 x 129"
    assert receipt.parity["max relative difference"] <= 1e-5
    both = keras.Model(model.input, [model.get_layer("logits").output, model.output])
    for size in ((65, 83), (96, 128)):
        pixels = images(*size)
        for ours, expected in zip(both(pixels), net(pixels), strict=True):
            assert relative(keras.ops.convert_to_numpy(ours), expected) <= 1e-5
    converters.export_weights(model, tmp_path / "back.safetensors", family=receipt.family)
    back = converters.read(tmp_path / "back.safetensors")
    assert set(back) == set(net.variables)
    assert all(np.array_equal(value, net.variables[key]) for key, value in back.items())


@full
def test_classes_are_the_graphs(tmp_path):
    """The model's own preprocessing is the graph's, where the image has the graph's size."""
    net = MobileNet(classes=21, width=0.25, output_stride=8)
    path = freeze(net, tmp_path / "graph.pb", crop=(65, 97))
    image = np.random.default_rng(3).integers(0, 256, (65, 97, 3)).astype("uint8")
    model, receipt = converters.convert(path)
    assert any("preparation of the image" in note for note in receipt.notes)
    assert np.array_equal(tfseg.predict(model, image), classes_of(path, image))


def test_identify_and_read_take_frozen_graphs(tmp_path):
    net = MobileNet(classes=21, width=0.25, output_stride=8)
    path = freeze(net, tmp_path / "graph.pb")
    checkpoint = converters.read(path)
    assert checkpoint.format == "TensorFlow frozen graph"
    assert set(checkpoint) == set(net.variables)
    identification = converters.identify(path)
    assert (identification.network, identification.num_classes, identification.width) == (
        "deeplabv3_mobilenet_v2",
        21,
        0.25,
    )
    assert any("output stride 8" in sentence for sentence in identification.evidence)


@full
def test_a_form_can_be_asked_for(tmp_path):
    net = MobileNet(classes=21, width=0.25, output_stride=8)
    model, receipt = converters.convert(freeze(net, tmp_path / "graph.pb"), output_stride=16)
    assert any("another form" in note for note in receipt.notes)
    net.output_stride = 16
    pixels = images(65, 83)
    assert relative(keras.ops.convert_to_numpy(model(pixels)), net(pixels)[1]) <= 1e-5


@full
def test_a_graph_of_several_sizes_is_no_known_network(tmp_path):
    """It has the same constants, and computes something else: it is built as it stands, or refused."""
    net = MobileNet(width=0.25)
    path = freeze(net, tmp_path / "graph.pb", rescaled=(0.5, 1.0))
    with pytest.raises(converters.ConversionError, match="an image at several sizes"):
        converters.convert(path)


@full
def test_a_graph_that_computes_something_else(tmp_path):
    """The same constants with another activation: what the names say is not what the graph computes."""

    class Other(MobileNet):
        def norm(self, x, name, activation=True):
            x = super().norm(x, name, activation=False)
            return abs(x) if activation else x

    path = freeze(Other(width=0.25), tmp_path / "graph.pb")
    with pytest.raises(converters.ConversionError, match="computes something else"):
        converters.convert(path)


@full
def test_the_graph_of_the_training_beside_a_checkpoint_says_its_form(tmp_path):
    net = MobileNet(classes=21, width=0.25, output_stride=8)
    pixels = images(65, 65)
    expected = net(pixels)[1]
    path = save(tmp_path / "model.ckpt-7", net.variables)
    meta_graph(net, tmp_path / "model.ckpt-7.meta")
    model, receipt = converters.convert(path)
    assert receipt.options["output_stride"] == 8
    assert any(note.startswith("model.ckpt-7.meta says output stride 8: built") for note in receipt.notes)
    assert relative(keras.ops.convert_to_numpy(model(pixels)), expected) <= 1e-5
    assert converters.convert(path, output_stride=16)[1].options["output_stride"] == 16
    (tmp_path / "model.ckpt-7.meta").write_bytes(b"\x0a\x02\x0a\x00" + bytes(99))
    assert converters.convert(path)[1].options["output_stride"] == 16


def test_without_tensorflow_a_graph_is_refused_in_words():
    with pytest.raises(converters.ConversionError, match="without TensorFlow"), running_tensorflow("graph.pb"):
        raise ModuleNotFoundError("No module named 'tensorflow.core'", name="tensorflow.core")
    with pytest.raises(ModuleNotFoundError, match="scipy"), running_tensorflow("graph.pb"):
        raise ModuleNotFoundError("No module named 'scipy'", name="scipy")
