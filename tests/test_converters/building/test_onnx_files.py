"""ONNX files as tools write them, and as none should: exact, or one error that says why."""

import sys

import keras
import numpy as np
import onnx
import pytest
from helpers import onnx_graphs
from helpers.onnx_graphs import FREE
from helpers.references import images, relative
from onnx import TensorProto, helper, numpy_helper

import converters
from converters import ConversionError

_RANDOM = np.random.default_rng(0)
WEIGHTS = {
    "first.weight": _RANDOM.normal(size=(4, 3, 3, 3)).astype("float32"),
    "first.bias": _RANDOM.normal(size=4).astype("float32"),
    "last.weight": _RANDOM.normal(size=(2, 4, 1, 1)).astype("float32"),
}
NODES = [
    ("Conv", "x first.weight first.bias", "a", {"pads": [1, 1, 1, 1]}),
    ("Relu", "a", "b", {}),
    ("Conv", "b last.weight", "y", {}),
]


def node(kind, sources="x", targets="y", **attributes):
    return kind, sources, targets, attributes


def edited(path, change):
    """The usual graph after a change of its message."""
    onnx_graphs.write(path, NODES, WEIGHTS)
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    return path


def check(path, *, size=(37, 58), outputs=1):
    model, receipt = converters.convert(path)
    image = images(*size, batch=2, seed=3)
    expected = onnx_graphs.run(path, image)
    results = model(image)
    for result, reference in zip(results if outputs > 1 else [results], expected, strict=True):
        assert relative(result, reference) <= 1e-5
    return model, receipt


def as_inputs(model):
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))


def without_names(model):
    for part in model.graph.node:
        part.name = ""


def one_name(model):
    for part in model.graph.node:
        part.name = "/conv/Conv"


def identities(model):
    source = "y_inner"
    model.graph.node[-1].output[0] = source
    for index in range(40):
        target = "y" if index == 39 else f"i{index}"
        model.graph.node.append(helper.make_node("Identity", [source], [target]))
        source = target


def shared(model):
    """Two convolutions with one kernel, and a kernel behind another name."""
    model.graph.node.insert(0, helper.make_node("Identity", ["last.weight"], ["other"]))
    model.graph.node[-1].output[0] = "c"
    model.graph.node.append(helper.make_node("Conv", ["b", "other"], ["d"]))
    model.graph.node.append(helper.make_node("Add", ["c", "d"], ["y"]))


def dead(model):
    model.graph.node.append(helper.make_node("NonZero", ["a"], ["unused"]))
    model.graph.initializer.append(numpy_helper.from_array(np.ones(3, "float32"), "unread"))


def constants(model):
    made = [helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in model.graph.initializer]
    del model.graph.initializer[:]
    for part in reversed(made):
        model.graph.node.insert(0, part)


def out_of_order(model):
    parts = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(parts)


def branch(model):
    """A branch on a number of channels, which is known."""
    chosen = helper.make_graph([helper.make_node("Neg", ["b"], ["n"])], "yes", [], [value("n")])
    other = helper.make_graph([helper.make_node("LpNormalization", ["b"], ["z"])], "no", [], [value("z")])
    model.graph.initializer.extend(
        [numpy_helper.from_array(np.int64(1), "one"), numpy_helper.from_array(np.int64(4), "four")]
    )
    parts = [
        helper.make_node("Shape", ["b"], ["size"]),
        helper.make_node("Gather", ["size", "one"], ["channels"]),
        helper.make_node("Equal", ["channels", "four"], ["is_four"]),
        helper.make_node("If", ["is_four"], ["c"], then_branch=chosen, else_branch=other),
    ]
    last = model.graph.node.pop()
    last.input[0] = "c"
    model.graph.node.extend([*parts, last])


def value(name, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, None)


EDITS = (as_inputs, without_names, one_name, identities, shared, dead, constants, out_of_order)


@pytest.mark.parametrize("change", EDITS, ids=lambda change: change.__name__)
def test_graphs_as_tools_write_them(tmp_path, change):
    path = edited(tmp_path / "net.onnx", change)
    if change is one_name:  # onnxruntime does not open it
        receipt = converters.convert(path).receipt
        assert receipt.parity["with"] == "net.onnx in the onnx package's own implementation"
        assert receipt.parity["max relative difference"] <= 1e-5
    else:
        receipt = check(path)[1]
    keys = {row["key"] for row in receipt.tensors} | set(receipt.ignored)
    assert keys == set(WEIGHTS) | ({"unread"} if change is dead else set())
    assert len({row["path"] for row in receipt.tensors}) == len(receipt.tensors)


def test_a_branch_on_what_is_known_is_followed(tmp_path):
    path = edited(tmp_path / "net.onnx", branch)
    model, receipt = converters.convert(path)
    plain, _ = converters.convert(edited(tmp_path / "plain.onnx", lambda model: None))
    assert receipt.family == "ONNX graph"
    assert model.count_params() == plain.count_params()


def test_a_branch_on_data_is_refused(tmp_path):
    nodes = [*NODES[:2], node("ReduceMax", "b", "m", keepdims=0), node("Greater", "m zero", "c"), NODES[2]]
    path = onnx_graphs.write(tmp_path / "net.onnx", nodes, {**WEIGHTS, "zero": np.float32(0)})
    model = onnx.load(path)
    body = [
        helper.make_graph([helper.make_node(kind, ["y"], [kind])], kind, [], [value(kind)]) for kind in ("Neg", "Relu")
    ]
    model.graph.node.append(helper.make_node("If", ["c"], ["z"], then_branch=body[0], else_branch=body[1]))
    model.graph.output[0].name = "z"
    onnx.save(model, path)
    with pytest.raises(ConversionError, match="If, branches on values of the data"):
        converters.convert(path)


def test_several_outputs(tmp_path):
    path = onnx_graphs.write(tmp_path / "net.onnx", NODES, WEIGHTS, outputs=("y", "b"))
    model, _ = check(path, outputs=2)
    assert len(model.outputs) == 2


def test_unread_inputs_are_left_out(tmp_path):
    path = onnx_graphs.write(tmp_path / "net.onnx", NODES, WEIGHTS, inputs={"x": FREE, "other": FREE})
    model, receipt = converters.convert(path)
    assert len(model.inputs) == 1
    assert receipt.parity["max relative difference"] <= 1e-5


def test_data_in_another_file(tmp_path):
    path = onnx_graphs.write(tmp_path / "net.onnx", NODES, WEIGHTS)
    model = onnx.load(path)
    onnx.save_model(model, path, save_as_external_data=True, location="net.data", size_threshold=0)
    _, receipt = check(path)
    assert [file["path"].rpartition("/")[2] for file in receipt.files] == ["net.onnx", "net.data"]


@pytest.mark.parametrize("batch", [1, 4])
def test_a_batch_of_one_size_becomes_any(tmp_path, batch):
    """The exporter writes the batch into shapes as a number."""
    nodes = [*NODES[:2], node("Reshape", "b two", "c"), node("Reshape", "c four", "d"), NODES[2]]
    nodes[-1] = ("Conv", "d last.weight", "y", {})
    tensors = {**WEIGHTS, "two": np.array([batch, 4, -1]), "four": np.array([batch, 4, 24, 32])}
    path = onnx_graphs.write(tmp_path / "net.onnx", nodes, tensors, shape=(batch, 3, 24, 32))
    model, _ = converters.convert(path)
    image = images(24, 32, batch=4)
    parts = [onnx_graphs.run(path, image[start : start + batch])[0] for start in range(0, 4, batch)]
    assert model.input_shape == (None, 24, 32, 3)
    assert relative(model(image), np.concatenate(parts)) <= 1e-5


def test_channels_last(tmp_path):
    nodes = [
        node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
        ("Conv", "t first.weight first.bias", "a", {"pads": [0, 0, 1, 1], "strides": [2, 2]}),
        node("Conv", "a last.weight", "b"),
        node("Transpose", "b", perm=[0, 2, 3, 1]),
    ]
    path = onnx_graphs.write(tmp_path / "net.onnx", nodes, WEIGHTS, shape=("batch", "height", "width", 3))
    model, receipt = converters.convert(path)
    assert receipt.parity["max relative difference"] <= 1e-5
    assert model.output_shape == (None, None, None, 2)
    assert not [layer for layer in model.layers if isinstance(layer, keras.layers.Permute)]
    import onnxruntime

    image = images(36, 58)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert relative(model(image), session.run(None, {"x": image})[0]) <= 1e-5


def custom(model):
    model.graph.node[1].domain = "acme"
    model.graph.node[1].op_type = "Swirl"
    model.opset_import.append(helper.make_opsetid("acme", 1))


def loop(model):
    body = helper.make_graph(
        [helper.make_node("Identity", ["keep"], ["again"]), helper.make_node("Relu", ["state"], ["next"])],
        "body",
        [value("i", TensorProto.INT64), value("keep", TensorProto.BOOL), value("state")],
        [value("again", TensorProto.BOOL), value("next")],
    )
    model.graph.initializer.append(numpy_helper.from_array(np.int64(3), "times"))
    model.graph.node[1].CopyFrom(helper.make_node("Loop", ["times", "", "a"], ["b"], body=body, name="repeat"))


def functions(model, nodes=None, opset=17):
    nodes = nodes or [helper.make_node("Add", ["u", "u"], ["v"])]
    sets = [helper.make_opsetid("", opset), helper.make_opsetid("acme", 1)]
    model.functions.append(helper.make_function("acme", "Twice", ["u"], ["v"], nodes, sets))
    model.graph.node[1].domain, model.graph.node[1].op_type = "acme", "Twice"
    model.opset_import.append(helper.make_opsetid("acme", 1))


def endless(model):
    functions(model, [helper.make_node("Twice", ["u"], ["v"], domain="acme")])


def other_version(model):
    functions(model, opset=13)


def not_finite(model):
    array = numpy_helper.to_array(model.graph.initializer[0]).copy()
    array[0, 0, 0, 0] = np.nan
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(array, "first.weight"))


def no_opset(model):
    del model.opset_import[:]


def in_a_circle(model):
    model.graph.node[0].input[0] = "y"


def with_two_values_of_one_name(model):
    model.graph.node.append(model.graph.node[0])


REFUSED = {
    custom: "Swirl of the operator set 'acme'",
    loop: "'repeat', Loop, repeats its steps",
    not_finite: "first.weight is not finite",
    no_opset: "no set of operators",
    in_a_circle: "waits for its own result",
    with_two_values_of_one_name: "two nodes of the graph make the value",
    endless: "Twice of the file calls itself",
    other_version: "is of version 13 of ONNX's operators, and the graph of version 17",
}


@pytest.mark.parametrize("change", REFUSED, ids=lambda change: change.__name__)
def test_what_cannot_be_built_is_refused_by_name(tmp_path, change):
    path = edited(tmp_path / "net.onnx", change)
    with pytest.raises(ConversionError, match=f"net.onnx: .*({REFUSED[change]})"):
        converters.convert(path)


def test_functions_of_the_file_are_their_nodes(tmp_path):
    """Calls within calls, an attribute that is given and one that is not, a constant inside, and an optional input."""
    leak = helper.make_node("LeakyRelu", ["u"], ["a"])
    leak.attribute.append(onnx.AttributeProto(name="alpha", type=onnx.AttributeProto.FLOAT, ref_attr_name="leak"))
    factor = helper.make_node(
        "Constant", [], ["f"], value=numpy_helper.from_array(np.float32([[[2]], [[3]], [[4]], [[5]]]))
    )
    scale = helper.make_node("Mul", ["a", "f"], ["v"])

    def change(model):
        sets = [helper.make_opsetid("", 17), helper.make_opsetid("acme", 1)]
        inner = helper.make_function("acme", "Inner", ["u", "unused"], ["v"], [factor, leak, scale], sets, ["leak"])
        calls = [
            helper.make_node("Inner", ["u"], ["w"], domain="acme", leak=0.25),
            helper.make_node("Inner", ["w", ""], ["v"], domain="acme"),
        ]
        model.functions.append(inner)
        functions(model, calls)

    path = edited(tmp_path / "net.onnx", change)
    model, _ = check(path)
    assert [layer.negative_slope for layer in model.layers if hasattr(layer, "negative_slope")] == pytest.approx(
        [0.25, 0.01]
    )


def test_without_onnxruntime_the_receipt_says_so(tmp_path, monkeypatch):
    path = onnx_graphs.write(tmp_path / "net.onnx", NODES, WEIGHTS)
    monkeypatch.setattr("converters.building.onnx.build.is_available", lambda: False)
    receipt = converters.convert(path).receipt
    assert receipt.parity is None
    assert any("nothing was compared: onnxruntime is not installed" in note for note in receipt.notes)


def test_a_wrong_model_is_refused(tmp_path, monkeypatch):
    """The comparison with onnxruntime has teeth."""
    from converters.building.onnx.rules import RULES

    path = onnx_graphs.write(tmp_path / "net.onnx", NODES, WEIGHTS)
    monkeypatch.setitem(RULES, "Relu", lambda call: call.step("leaky_relu", call.computed(), negative_slope=0.001))
    with pytest.raises(ConversionError, match="differs from its source"):
        converters.convert(path)


def test_literals_of_a_file_of_one_size_are_not_taken_elsewhere(tmp_path):
    """A mean over all pixels, written as a sum and a number: right at this size alone."""
    nodes = [*NODES[:2], node("ReduceSum", "b axes", "s"), node("Div", "s count", "m"), node("Add", "b m", "c")]
    nodes.append(("Conv", "c last.weight", "y", {}))
    tensors = {**WEIGHTS, "axes": np.array([2, 3]), "count": np.float32(24 * 32)}
    path = onnx_graphs.write(tmp_path / "net.onnx", nodes, tensors, shape=("batch", 3, 24, 32))
    model, receipt = check(path, size=(24, 32))
    assert model.input_shape == (None, 24, 32, 3)
    assert any("computes with 768, as the size may say" in note for note in receipt.notes)


def test_linear_resizes_are_traced_at_unknown_sizes(tmp_path):
    """Keras's UpSampling2D is not: neither training on images of several sizes nor an export would work."""
    import tensorflow as tf

    nodes = [*NODES[:2], node("Resize", "b  s", "c", mode="linear"), ("Conv", "c last.weight", "y", {})]
    tensors = {**WEIGHTS, "s": np.array([1, 1, 2, 2], "float32")}
    model, _ = check(onnx_graphs.write(tmp_path / "net.onnx", nodes, tensors))
    traced = tf.function(model, input_signature=[tf.TensorSpec((None, None, None, 3))])
    image = images(33, 45)
    assert relative(traced(image), model(image)) <= 1e-6


@pytest.mark.parametrize("kind", [TensorProto.UINT8, TensorProto.INT64])
def test_images_of_whole_numbers_are_refused(tmp_path, kind):
    def change(model):
        model.graph.input[0].type.tensor_type.elem_type = kind
        model.graph.node.insert(0, helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT))
        model.graph.node[1].input[0] = "f"

    with pytest.raises(ConversionError, match="takes images of whole numbers"):
        converters.convert(edited(tmp_path / "net.onnx", change))


def test_half_precision(tmp_path):
    """The model computes with the file's numbers in single precision: the proof is in double precision."""

    def change(model):
        for tensor in model.graph.initializer:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype("float16"), tensor.name))
        for part in (*model.graph.input, *model.graph.output):
            part.type.tensor_type.elem_type = TensorProto.FLOAT16

    path = edited(tmp_path / "net.onnx", change)
    model, receipt = converters.convert(path)
    assert any("in double precision" in note for note in receipt.notes)
    image = images(20, 30)
    half = onnx_graphs.write(
        tmp_path / "single.onnx", NODES, {k: v.astype("float16").astype("float32") for k, v in WEIGHTS.items()}
    )
    assert relative(model(image), onnx_graphs.run(half, image)[0]) <= 1e-5


def test_an_old_opset_is_refused(tmp_path):
    def change(model):
        model.opset_import[0].version = 6

    with pytest.raises(ConversionError, match="version 6 of ONNX's operators; 7 to 21"):
        converters.convert(edited(tmp_path / "net.onnx", change))


def in_a_row(count):
    """A convolution and as many operations after it."""
    kinds = ("Sigmoid", "Softplus")
    chain = [node(kinds[index % 2], f"r{index}", f"r{index + 1}") for index in range(count)]
    return [node("Conv", "x last.weight", "r0"), *chain[:-1], (*chain[-1][:2], "y", {})]


@pytest.mark.full
def test_more_operations_in_a_row_than_python_nests_calls(tmp_path):
    """EfficientNetV2-L has 1100; Keras follows them recursively."""
    weights = {"last.weight": WEIGHTS["first.weight"]}
    check(onnx_graphs.write(tmp_path / "deep.onnx", in_a_row(1100), weights), size=(3, 4))


def test_more_operations_in_a_row_than_keras_follows_are_refused(tmp_path):
    path = onnx_graphs.write(tmp_path / "deep.onnx", in_a_row(400), {"last.weight": WEIGHTS["first.weight"]})
    limit = sys.getrecursionlimit()
    assert limit >= 4000  # enough for public networks
    sys.setrecursionlimit(380)
    try:
        with pytest.raises(ConversionError, match=r"401 operations.*at most 380.*sys.setrecursionlimit"):
            converters.convert(path)
    finally:
        sys.setrecursionlimit(limit)
