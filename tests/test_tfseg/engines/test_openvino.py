"""OpenVINO's graphs: convolutions in fewer operations, and networks for the shapes that come often."""

import keras
import numpy as np
import pytest
from helpers.references import randomize

import tfseg
from tfseg.engines import openvino as engine
from tfseg.engines import openvino_rewrites
from tfseg.engines.runner import EngineRunner

openvino = pytest.importorskip("openvino")
REWRITES = {"product": openvino_rewrites.multiply_large_kernels, "rows": openvino_rewrites.filter_rows}
PADS = {
    "explicit, one": ("explicit", (1, 1), (1, 1)),
    "explicit, uneven": ("explicit", (0, 2), (1, 0)),
    "explicit, wide": ("explicit", (3, 0), (0, 5)),
    "valid": ("valid", (0, 0), (0, 0)),
    "same": ("same_upper", (0, 0), (0, 0)),
    "same, more before": ("same_lower", (0, 0), (0, 0)),
}
SIZES = [(1, 7, 7), (2, 7, 9), (1, 12, 16), (1, 8, 17), (1, 30, 31)]


def graph(kernel, *, strides=(1, 1), begin=(1, 1), end=(1, 1), dilations=(1, 1), auto_pad="explicit"):
    """A convolution `(filters, channels, rows, columns)` and ReLU; any batch, height and width."""
    nodes = openvino.opset13
    image = nodes.parameter([-1, kernel[1], -1, -1], np.float32)
    weights = np.random.default_rng(0).normal(size=kernel).astype("float32")
    x = nodes.convolution(image, weights, strides, begin, end, dilations, auto_pad)
    return openvino.Model([nodes.relu(x)], [image])


def computed(model, x):
    return openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(x)[0]


@pytest.fixture
def small_ones(monkeypatch):
    """Convolutions are rewritten that are too small to gain."""
    for name in ("LEAST_WEIGHTS", "LEAST_PIXELS"):
        monkeypatch.setattr(openvino_rewrites, name, 0)
    monkeypatch.setattr(openvino_rewrites, "LEAST_CHANNELS", 4)
    monkeypatch.setattr(openvino_rewrites, "LEAST_PLACES", 20)
    monkeypatch.setattr(openvino_rewrites, "MOST_WASTE", 4)


@pytest.mark.parametrize("pads", PADS)
@pytest.mark.parametrize(
    ("rewrite", "kernel"), [("rows", (7, 5, 3, 3)), ("product", (7, 5, 5, 6)), ("product", (3, 2, 7, 7))]
)
def test_a_convolution_is_the_same_at_any_size(small_ones, rewrite, kernel, pads):
    auto_pad, begin, end = PADS[pads]
    model = graph(kernel, auto_pad=auto_pad, begin=begin, end=end)
    compared = 0
    for batch, height, width in SIZES:
        changed = model.clone()
        if rewrite == "rows":
            changed.reshape([batch, kernel[1], height, width])
        assert REWRITES[rewrite](changed) == 1
        assert "Convolution" not in {node.get_type_name() for node in changed.get_ordered_ops()}
        x = np.random.default_rng(width).normal(size=(batch, kernel[1], height, width)).astype("float32")
        y = computed(model, x)
        np.testing.assert_allclose(computed(changed, x), y, rtol=0, atol=2e-6 * np.abs(y).max(initial=0))
        compared += y.size > 0
    assert compared == len(SIZES)


@pytest.mark.parametrize("rewrite", REWRITES)
@pytest.mark.parametrize(
    "options",
    [{"strides": (2, 1)}, {"dilations": (1, 2)}, {"kernel": (7, 5, 4, 3)}, {"kernel": (3, 5, 3, 3)}],
    ids=["strides", "dilated", "another kernel", "few filters"],
)
def test_other_convolutions_stay(small_ones, rewrite, options):
    model = graph(**{"kernel": (7, 5, 3, 3)} | options)
    model.reshape([1, 5, 16, 16])
    assert REWRITES[rewrite](model) == 0


def test_rows_of_maps_that_may_be_small_stay(small_ones):
    assert openvino_rewrites.filter_rows(graph((7, 5, 3, 3))) == 0


def doubled(x, height, width):
    """A map whose every pixel is there four times."""
    nodes = openvino.opset13
    return nodes.gather(nodes.gather(x, np.arange(2 * height) // 2, 2), np.arange(2 * width) // 2, 3)


@pytest.mark.parametrize("beside", [0, 2], ids=["alone", "beside another map"])
@pytest.mark.parametrize(("height", "width"), [(5, 7), (4, 4), (1, 3)])
def test_a_convolution_of_a_doubled_map_is_the_same_before_it(beside, height, width):
    nodes, random = openvino.opset13, np.random.default_rng(0)
    small = nodes.parameter([2, 3, height, width], np.float32)
    other = nodes.parameter([2, 2, 2 * height, 2 * width], np.float32)
    x = doubled(small, height, width)
    inputs = [small, other] if beside else [small]
    x = nodes.concat([x, other], 1) if beside else x
    kernel = random.normal(size=(4, 3 + beside, 3, 3)).astype("float32")
    model = openvino.Model([nodes.relu(nodes.convolution(x, kernel, [1, 1], [1, 1], [1, 1], [1, 1]))], inputs)
    changed = model.clone()
    assert openvino_rewrites.convolve_before_doubling(changed) == 1
    arrays = [random.normal(size=tuple(node.get_output_shape(0))).astype("float32") for node in inputs]
    y = computed(model, arrays)
    np.testing.assert_allclose(computed(changed, arrays), y, rtol=0, atol=1e-6 * np.abs(y).max())


@pytest.mark.parametrize("kind", ["other places", "three times", "another padding", "no resize"])
def test_convolutions_of_other_maps_stay(kind):
    nodes = openvino.opset13
    small = nodes.parameter([1, 3, 4, 4], np.float32)
    places = {"other places": (np.arange(8) + 1) // 2 % 4, "three times": np.arange(12) // 3}.get(
        kind, np.arange(8) // 2
    )
    x = small if kind == "no resize" else nodes.gather(nodes.gather(small, places, 2), places, 3)
    pads = [[0, 0], [0, 0]] if kind == "another padding" else [[1, 1], [1, 1]]
    kernel = np.ones((4, 3, 3, 3), "float32")
    model = openvino.Model([nodes.convolution(x, kernel, [1, 1], *pads, [1, 1])], [small])
    assert openvino_rewrites.convolve_before_doubling(model) == 0


def wide_segmenter():
    """Two convolutions with 8 channels, at half the size of the image."""
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same")(image)
    for _ in range(2):
        x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    scores = keras.layers.Conv2D(5, 1)(x)
    return randomize(keras.Model(image, tfseg.layers.ResizeLike("nearest")([scores, image])))


@pytest.fixture
def networks(monkeypatch):
    """The shapes of the networks that were compiled for one shape, and whether each has fewer multiplications."""
    kinds = []

    def noted(name):
        whole = getattr(engine._Network, name)

        def compiled(self, shape):
            network = whole(self, shape)
            if network is not None:
                kinds.append((shape[:3], name == "_shorter"))
            return network

        monkeypatch.setattr(engine._Network, name, compiled)

    noted("_compiled")
    noted("_shorter")
    return kinds


def batch_of(*shape):
    return np.random.default_rng(sum(shape)).normal(size=(*shape, 3)).astype("float32")


def check(runner, model, batch):
    logits, expected = runner(batch), keras.ops.convert_to_numpy(model(batch))
    assert runner.engine_for(batch.shape) == "openvino"
    assert np.abs(logits - expected).max() <= 1e-5 * np.abs(expected).max()


def test_a_shape_that_comes_often_gets_its_own_network(small_ones, networks, monkeypatch):
    monkeypatch.setattr(engine, "_PATIENCE", 0.0)
    model = wide_segmenter()
    runner = EngineRunner(model, "openvino")
    for _ in range(3):
        check(runner, model, batch_of(2, 33, 47))
    assert networks[-1] == ((2, 33, 47), True)
    assert [shape for shape, _ in networks].count((2, 33, 47)) == 1
    for side in (40, 41, 42):  # more than are kept
        check(runner, model, batch_of(1, side, 48))
    check(runner, model, batch_of(2, 33, 47))


def test_a_shape_that_comes_seldom_has_the_network_of_all(networks, monkeypatch):
    monkeypatch.setattr(engine, "_PATIENCE", 1e6)
    model = wide_segmenter()
    check(EngineRunner(model, "openvino"), model, batch_of(2, 33, 47))
    assert networks == []


def test_batches_of_several_sizes_do_not_compile_again_and_again(networks):
    model = wide_segmenter()
    runner = EngineRunner(model, "openvino", size=(32, 48))
    for count in (1, 2, 4) * 3:
        check(runner, model, batch_of(count, 32, 48))
    assert [shape for shape, _ in networks] == [(1, 32, 48)]


def test_a_network_that_is_not_compiled_costs_no_logits(small_ones, monkeypatch):
    """Nor when what is compiled in its place fails as well, in the same call."""
    compiled, called, failed = openvino.Core.compile_model, engine._Network.__call__, []

    def fails(self, model, *options):
        if failed or model.input().partial_shape.is_static:
            failed.append(model)
            raise RuntimeError("no memory")
        return compiled(self, model, *options)

    def call(self, batch):
        logits = called(self, batch)
        assert failed
        failed.clear()
        return logits

    monkeypatch.setattr(engine, "_PATIENCE", 0.0)
    monkeypatch.setattr(openvino.Core, "compile_model", fails)
    monkeypatch.setattr(engine._Network, "__call__", call)
    model = wide_segmenter()
    runner = EngineRunner(model, "openvino")
    for shape in ((2, 33, 47), (2, 33, 47), (1, 40, 48)):
        check(runner, model, batch_of(*shape))


def test_a_map_smaller_than_the_kernel_has_no_results(small_ones):
    model = graph((4, 5, 5, 6), auto_pad="valid", begin=(0, 0), end=(0, 0))
    assert openvino_rewrites.multiply_large_kernels(model) == 1
    assert computed(model, np.zeros((1, 5, 2, 2), "float32")).size == 0


def test_an_image_of_one_color_proves_nothing(small_ones, networks, monkeypatch):
    """Rows that are filtered wrongly, which no image of zeros shows."""

    def wrong(model):
        changed = openvino_rewrites.filter_rows(model)
        for node in model.get_ordered_ops():
            if node.get_type_name() == "GroupConvolution":
                kernel = openvino.op.Constant(2 * node.input_value(1).get_node().get_data())
                node.input(1).replace_source_output(kernel.output(0))
        return changed

    monkeypatch.setattr(engine, "filter_rows", wrong)
    model = wide_segmenter()
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.bias.assign(np.zeros(layer.bias.shape))
    runner = EngineRunner(model, "openvino", size=(32, 48))
    network = runner._engine("openvino", np.zeros((1, 32, 48, 3), "float32"))._run._run
    networks.clear()
    network(np.zeros((3, 32, 48, 3), "float32"))
    network._checked(np.zeros((3, 32, 48, 3), "float32"), np.zeros((3, 32, 48, 5), "float32"))
    assert networks == [((3, 32, 48), True), ((3, 32, 48), False)]


@pytest.mark.parametrize(("bound", "kinds"), [(5e-6, [True]), (-1.0, [True, False])], ids=["within", "beyond"])
def test_multiplications_are_left_out_where_that_hardly_rounds(small_ones, networks, monkeypatch, bound, kinds):
    monkeypatch.setattr(engine, "_ROUNDING", bound)
    model = wide_segmenter()
    runner = EngineRunner(model, "openvino", size=(32, 48))
    for _ in range(2):
        check(runner, model, batch_of(1, 32, 48))
    assert [kind for _, kind in networks] == kinds
