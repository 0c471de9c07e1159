"""ONNX files: the same tensors as the onnx package reads; damaged and misplaced ones are refused."""

import pathlib

import numpy as np
import pytest
from helpers.onnx_files import export, net

import converters
from converters.identification.sources import open_source
from converters.reading.onnx import model_file
from converters.reading.onnx.weighted_layers import weighted_graph

onnx = pytest.importorskip("onnx")


def model_of(*tensors, nodes=None, **options):
    """A model of one convolution, or of other nodes, as bytes."""
    helper = onnx.helper
    nodes = nodes or [helper.make_node("Conv", ["image", tensors[0].name], ["result"])]
    values = [helper.make_tensor_value_info(name, 1, None) for name in ("image", "result")]
    graph = helper.make_graph(nodes, "graph", values[:1], values[1:], list(tensors))
    return helper.make_model(graph, **options).SerializeToString()


def kernel(name="conv1.weight", shape=(2, 3, 1, 1), dtype="float32"):
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    return onnx.numpy_helper.from_array(values, name)


@pytest.fixture
def file(tmp_path):
    def write(content, name="net.onnx"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return path

    return write


TYPES = (
    "FLOAT",
    "UINT8",
    "INT8",
    "UINT16",
    "INT16",
    "INT32",
    "INT64",
    "BOOL",
    "FLOAT16",
    "DOUBLE",
    "UINT32",
    "UINT64",
    "BFLOAT16",
)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("raw", [False, True])
def test_every_element_type_equals_onnx_package(kind, raw, file):
    code = getattr(onnx.TensorProto, kind)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(code)
    values = np.array([[0, 1, 5], [-3 if dtype.kind in "if" else 3, 100, 1]]).astype(dtype)
    if kind == "BFLOAT16" and not raw:
        values = values.astype("float32")  # what the helper takes
    given = values.tobytes() if raw else values.ravel()
    tensor = onnx.helper.make_tensor("other", code, values.shape, given, raw=raw)
    checkpoint = converters.read(file(model_of(kernel(), tensor)))
    expected = onnx.numpy_helper.to_array(tensor)
    assert checkpoint.format == "ONNX"
    assert (checkpoint.dtypes["other"], checkpoint.shapes["other"]) == (expected.dtype, (2, 3))
    assert checkpoint["other"].tobytes() == expected.tobytes()


def test_tensors_are_views_of_the_file(file):
    checkpoint = converters.read(file(model_of(kernel("a.weight", (64, 64, 3, 3)))))
    values = [checkpoint["a.weight"] for _ in range(2)]
    if values[0].base is not None:  # views, where the bytes lie aligned
        assert np.shares_memory(*values)
    assert not values[0].flags.writeable


def external(path, **place):
    """A model whose kernel lies in another file."""
    tensor = kernel(shape=(4, 3, 1, 1))
    values = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in ({"location": "net.onnx.data"} | place).items():
        tensor.external_data.add(key=key, value=str(value))
    path.write_bytes(model_of(tensor))
    return values


def test_external_data_beside_the_model_is_read(tmp_path):
    path = tmp_path / "net.onnx"
    for place in ({}, {"offset": 8}, {"offset": 8, "length": 48}):
        values = external(path, **place)
        (tmp_path / "net.onnx.data").write_bytes(bytes(place.get("offset", 0)) + values + b"more")
        assert converters.read(path)["conv1.weight"].tobytes() == values


def test_external_data_outside_the_directory_is_refused(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(100))
    (folder / "link").symlink_to(tmp_path / "secret")
    path = folder / "net.onnx"
    for location in ("../secret", str(tmp_path / "secret"), "a/../../secret", "link", "C:\\secret", "..\\secret", ""):
        external(path, location=location)
        with pytest.raises(
            converters.ConversionError, match="outside the model's directory, from which nothing is read"
        ):
            converters.read(path)
    for place, message in (
        ({}, "'net.onnx.data', which is not there: put that file beside the model"),
        ({"location": "short"}, "lies at bytes 0 to 48 of 'short'. Received: a file of 40 bytes"),
        ({"location": "short", "offset": 2**62}, "Received: a file of 40 bytes"),
        ({"location": "short", "offset": -4}, "has the offset '-4' in its file"),
        ({"location": "short", "length": 40}, "has 40 bytes; the file is damaged"),
        ({"location": "."}, "is a directory"),
        ({"location": "a\0b"}, "which is no name of a file"),
        ({"location": "a" * 300}, "which is no name of a file"),
        ({"location": "a/" * 3000}, "which is no name of a file"),
    ):
        external(path, **place)
        (folder / "short").write_bytes(bytes(40))
        with pytest.raises(converters.ConversionError, match=message):
            converters.read(path)


@pytest.mark.full
def test_receipt_hashes_model_and_external_data(tmp_path):
    path = export(net("resnet18"), tmp_path / "net.onnx", "unfolded")
    onnx.save_model(onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    _, receipt = converters.convert(path)
    assert [pathlib.Path(file["path"]).name for file in receipt.files] == ["net.onnx", "weights.bin"]


@pytest.mark.full
def test_file_is_parsed_once(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(model_file, "load", lambda *args, load=model_file.load: calls.append(args) or load(*args))
    converters.convert(export(net("resnet18"), tmp_path / "net.onnx", "folded"))
    assert len(calls) == 1


def test_matrix_product_with_three_axes_is_not_a_layer(file):
    weight = kernel("w", (2, 3, 4))
    path = file(model_of(weight, nodes=[onnx.helper.make_node("MatMul", ["image", "w"], ["result"])]))
    graph = weighted_graph(converters.read(path).graph)
    assert graph.layers == []
    assert set(graph.others) == {"w"}


def test_truncated_file_is_refused_at_every_byte(file):
    content = model_of(kernel(), kernel("conv2.weight"))
    assert set(converters.read(file(content))) == {"conv1.weight", "conv2.weight"}
    for length in range(len(content)):
        with pytest.raises(converters.ConversionError, match=r"net\.onnx"):
            converters.read(file(content[:length]))


def test_flipped_bits_never_crash(file):
    content = model_of(
        kernel(), nodes=[onnx.helper.make_node("Conv", ["image", "conv1.weight"], ["result"], strides=[1, 1])]
    )
    for place in range(0, len(content), 2):
        for bit in (0, 7):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            try:
                dict(open_source(file(bytes(damaged))))
            except converters.ConversionError:
                continue


def test_damaged_tensors_are_refused_by_name(file):
    short, twice = kernel(), [kernel(), kernel()]
    short.raw_data = short.raw_data[:-4]
    negative = kernel()
    negative.dims[0] = -2
    for tensors, message in (
        ([short], r"tensor 'conv1.weight': of shape \[2, 3, 1, 1\] and float32 has 20 bytes"),
        (twice, "two tensors of the name 'conv1.weight'"),
        ([negative], r"has the shape \[-2, 3, 1, 1\]"),
        (
            [onnx.helper.make_tensor("x", onnx.TensorProto.INT4, (2,), [1, 2])],
            "element type 22.*export the network in float32",
        ),
    ):
        with pytest.raises(converters.ConversionError, match=message):
            converters.read(file(model_of(*tensors)))


def test_quantized_networks_are_refused(file):
    make = onnx.helper.make_node
    for tensors, nodes in (
        ([kernel(dtype="int8")], None),
        (
            [kernel(dtype="int8"), kernel("scale", ())],
            [make("DequantizeLinear", ["conv1.weight", "scale"], ["w"]), make("Conv", ["image", "w"], ["result"])],
        ),
        ([kernel(dtype="int8")], [make("ConvInteger", ["image", "conv1.weight"], ["result"])]),
    ):
        path = file(model_of(*tensors, nodes=nodes))
        assert converters.read(path)["conv1.weight"].dtype == "int8"
        with pytest.raises(converters.ConversionError, match=r"is.* quantized.* Export the network in float32"):
            converters.convert(path)


def test_weights_that_the_graph_computes_are_computed_beforehand(file):
    make = onnx.helper.make_node
    factor = onnx.numpy_helper.from_array(np.float32(3), "factor")
    nodes = [make("Mul", ["conv1.weight", "factor"], ["w"]), make("Conv", ["image", "w"], ["result"], name="first")]
    path = file(model_of(kernel(), factor, nodes=nodes))
    model, _ = converters.convert(path)
    (weights,) = model.get_weights()
    np.testing.assert_array_equal(weights, 3 * onnx.numpy_helper.to_array(kernel()).transpose(2, 3, 1, 0))
    with pytest.raises(converters.ConversionError, match="the weight 'w' of the node 'first' is computed by the graph"):
        converters.convert(path, family="torchvision/resnet")


def test_nodes_in_a_circle_are_refused(file):
    make = onnx.helper.make_node
    nodes = [make("Add", ["b", "image"], ["result"]), make("Relu", ["result"], ["b"])]
    with pytest.raises(converters.ConversionError, match="the node 'Add' waits for its own result"):
        converters.convert(file(model_of(kernel(), nodes=nodes)))
