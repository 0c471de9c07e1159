"""Prototxts are read as protobuf and Caffe read them."""

import functools
import math

import numpy as np
import pytest
from helpers import caffe_nets

import converters
from converters import ConversionError
from converters.reading.caffe.prototxt import read_prototxt
from converters.reading.protobuf import text_format

# ------------------------------------------------------------------------------------------------- the text format

TEXT = """
# a comment
name: "a\\tb\\\\n" 'c\\'\\x41\\101\\303\\251' # adjacent strings are one
number: -0x1F; numbers: [1, 010, -3], numbers: 4
real: -1.5e-3f reals: .5 reals: 2. reals: -inf reals: nan reals: 1E+5
truth: true kind: BLUE
child { number: 1 child < number: 2 > } children: { } children: [{ number: 3 }, < number: 4 >],
[some.extension]: 5
"""


@functools.cache
def node_class():
    """A protobuf message with a field of every kind that a prototxt has."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="node.proto", package="prototxt", syntax="proto2")
    kind = file.enum_type.add(name="Kind")
    for number, name in enumerate(("RED", "BLUE")):
        kind.value.add(name=name, number=number)
    node = file.message_type.add(name="Node")
    types = {"name": 9, "number": 5, "numbers": 3, "real": 1, "reals": 2, "truth": 8, "kind": 14, "child": 11}
    for index, (field, code) in enumerate((types | {"children": 11, "names": 9}).items(), 1):
        made = node.field.add(name=field, number=index, type=code, label=3 if field.endswith(("s", "ren")) else 1)
        if code in (11, 14):
            made.type_name = {11: ".prototxt.Node", 14: ".prototxt.Kind"}[code]
    node.extension_range.add(start=100, end=200)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("prototxt.Node"))


def plain(message):
    """A protobuf message as our reader gives it."""
    fields = {}
    for field, value in message.ListFields():
        values = value if field.name.endswith(("s", "ren")) else [value]
        if field.message_type:
            values = [plain(value) for value in values]
        elif field.enum_type:
            values = [field.enum_type.values_by_number[number].name for number in values]
        elif field.type == field.TYPE_BOOL:
            values = ["true" if truth else "false" for truth in values]
        fields[field.name] = list(values)
    return fields


def single(fields):
    """Our reader's result with numbers as protobuf keeps them: `real` double, `reals` single precision."""
    converted = {}
    for name, values in fields.items():
        kind = {"real": float, "reals": np.float32, "children": single, "child": single}.get(name, lambda value: value)
        converted[name] = [kind(value) for value in values]
    return converted


def some_node(random, deep=0):
    node = node_class()()
    node.name = "".join(map(chr, random.integers(1, 0x2FF, 8)))
    node.number, node.real, node.truth = int(random.integers(-(2**31), 2**31)), float(random.normal()), True
    node.numbers.extend(map(int, random.integers(-(2**62), 2**62, 3)))
    node.reals.extend([*map(float, random.normal(size=3)), math.inf, -math.inf, 1e-30])
    node.names.extend(["", "'\"\\\n\r\t\0", "é"])
    node.kind = int(random.integers(0, 2))
    for child in [node.child, node.children.add(), node.children.add()] if deep < 2 else []:
        child.CopyFrom(some_node(random, deep + 1))
    return node


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"as_one_line": True},
        {"pointy_brackets": True, "use_short_repeated_primitives": True},
        {"as_utf8": True, "use_index_order": True},
    ],
    ids=str,
)
def test_text_written_by_protobuf_is_read(form):
    from google.protobuf import text_format as public

    random = np.random.default_rng(5)
    for _ in range(5):
        node = some_node(random)
        read = single(text_format.parse(public.MessageToString(node, **form)))
        assert read == plain(node)


def test_rare_syntax_equals_protobuf():
    from google.protobuf import text_format as public

    read = text_format.parse(TEXT)
    assert read.pop("[some.extension]") == [5]
    expected = plain(public.Parse(TEXT, node_class()(), allow_unknown_extension=True))
    assert math.isnan(read["reals"].pop(3))
    assert math.isnan(expected["reals"].pop(3))
    assert single(read) == expected
    assert read["name"] == ["a\tb\\nc'AAé"]
    assert read["children"][1].line == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1 }", r"line 1, column 6: expected the name of a field. Received: '}'"),
        ("a {\n b: 1", r"line 2, column 6: expected the name of a field, or '}' for the message that opens in line 1"),
        ("a {\n b: 1", r"It may be cut off: download it again. Received: the end of the file"),
        ("\n  a b", r"line 2, column 5: expected ':' or '{' after the field a. Received: 'b'"),
        ("a: 1x", r"line 1, column 4: is no part of protobuf's text format. Received: '1x'"),
        ("a: 'b\n'", r"line 1, column 4: is no part of protobuf's text format"),
        ("a: 089", r"line 1, column 4: expected a number. Received: '089'"),
        (
            f"a: {'9' * 5000}",
            r"line 1, column 4: expected a number. Received: '99999999999999999999... of 5000 characters'",
        ),
        (
            f"a: 0x{'f' * 5000}",
            r"a whole number of at most 64 bits. Received: '0xffffffffffffffffff... of 5002 characters'",
        ),
        ("a: -b", r"line 1, column 5: expected a value. Received: 'b'"),
        ("a: [1 2]", r"line 1, column 7: expected ',' or ']'. Received: '2'"),
        ("[a b: 1", r"line 1, column 5: expected the name of an extension, or ']'"),
        ("a {" * 102, r"messages lie more than 100 deep in each other"),
        ("a: @", r"Received: '@'"),
    ],
)
def test_broken_syntax_is_refused_with_line_and_column(text, message):
    with pytest.raises(ConversionError, match=message.replace("{", r"\{")):
        text_format.parse(text)


# ------------------------------------------------------------------------------------------------- Caffe's networks


def read(tmp_path, text):
    path = tmp_path / "net.prototxt"
    path.write_text(text) if isinstance(text, str) else path.write_bytes(text)
    return read_prototxt(path)


V1 = """
name: "old" input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 9
layers { name: "d" type: DATA top: "data" top: "label" include { phase: TRAIN } }
layers { name: "c" type: CONVOLUTION bottom: "data" top: "c" param: "shared_w" blobs_lr: 1
  convolution_param { num_output: 4 kernel_h: 3 kernel_w: 5 pad: 1 pad: 2 dilation: 2 } }
layers { name: "r" type: RELU bottom: "c" top: "c" }
layers { name: "p" type: POOLING bottom: "c" top: "p" pooling_param { pool: 1 kernel_size: 2 round_mode: FLOOR } }
layers { name: "i" type: INNER_PRODUCT bottom: "p" top: "i" inner_product_param { num_output: 2 bias_term: false } }
layers { name: "u" type: HDF5_DATA top: "u" unknown { deep: [1, 2] } exclude { phase: TEST stage: "fast" } }
layers { name: "l" type: SOFTMAX_LOSS bottom: "i" bottom: "label" exclude { phase: TEST } }
"""


def test_layers_have_caffes_defaults(tmp_path):
    net = read(tmp_path, V1)
    assert (net.name, net.inputs) == ("old", {"data": (1, 3, 8, 9), "u": None})
    assert [layer.type for layer in net.layers] == ["Convolution", "ReLU", "Pooling", "InnerProduct", "HDF5Data"]
    conv, relu, pool, dense, data = net.layers
    assert conv.parameters == {
        "num_output": 4,
        "bias_term": True,
        "group": 1,
        "kernel": (3, 5),
        "stride": (1, 1),
        "pad": (1, 2),
        "dilation": (2, 2),
    }
    assert conv.shared == ("shared_w",)
    assert relu.bottoms == relu.tops == ("c",)
    assert pool.parameters | {"pool": "AVE", "round_mode": "FLOOR", "pad": (0, 0)} == pool.parameters
    assert dense.parameters["bias_term"] is False
    assert data.fields["unknown"][0]["deep"] == [1, 2]


def test_input_sizes_are_read(tmp_path):
    text = 'input: "a" input: "b" input_shape { dim: 1 dim: 2 dim: 3 dim: 4 } layer { name: "x" bottom: "a" }'
    assert read(tmp_path, text).inputs == {"a": (1, 2, 3, 4), "b": None}
    text = 'layer { name: "d" type: "Data" top: "data" top: "label" transform_param { crop_size: 224 } }'
    assert read(tmp_path, text).inputs == {"data": (None, None, 224, 224), "label": None}
    text = 'layer { name: "d" type: "Input" top: "data" input_param { shape { dim: [1, 3, 5, 7] } } }'
    assert read(tmp_path, text).inputs == {"data": (1, 3, 5, 7)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "describes no layers. .* Received: nothing"),
        ('net: "train.prototxt" base_lr: 0.1', "that of a solver names it under net. Received: fields net, base_lr"),
        ('layers { layer { name: "a" type: "conv" } }', r"line 1: holds a layer inside .*V0.*upgrade_net_proto_text"),
        ("layer: 5", "a layer is a message in braces. Received: 5"),
        ('\nlayer { name: "a" type: "Pooling" pooling_param { stride: 1.5 } }', r"the layer 'a', line 2: stride is a whole number. Received: 1.5"),
        ('layer { name: "a" type: "Concat" concat_param { axis: 1 axis: 2 } }', r"axis stands there 2 times"),
        ('layer { name: "a" type: "Concat" concat_param: 7 }', r"concat_param is a message. Received: 7"),
        ('layer { name: "a" type: "Scale" scale_param { bias_term: maybe } }', r"bias_term is true or false. Received: 'maybe'"),
        ("<!DOCTYPE html><html>", "is a web page"),
        (b"\x89PNG\r\n\x00", "is a binary file"),
        (b"layer { name: '\xff' }", "is a binary file"),
        (b"# " + b"x" * 2**24, "is larger than 16 MiB"),
    ],
)  # fmt: skip
def test_text_without_network_is_refused(text, message, tmp_path):
    with pytest.raises(ConversionError, match=rf"net\.prototxt: .*{message}"):
        read(tmp_path, text)


def test_swapped_prototxt_and_caffemodel_are_refused(tmp_path):
    prototxt, weights = caffe_nets.vgg16(32, 1 / 64)[0].write(tmp_path)
    with pytest.raises(ConversionError, match=r"net\.caffemodel: is a \.caffemodel, which holds weights"):
        read_prototxt(weights)
    with pytest.raises(ConversionError, match=r"is a Caffe prototxt, which describes a network and holds no weights"):
        converters.read(prototxt)
    with pytest.raises(ConversionError, match=r"nothing\.prototxt: there is no such file. Expected a Caffe prototxt"):
        read_prototxt(tmp_path / "nothing.prototxt")
    with pytest.raises(ConversionError, match=r"is not a file. Expected a Caffe prototxt"):
        read_prototxt(tmp_path)


def test_damaged_prototxt_is_refused_or_read(tmp_path):
    refused = 0
    whole = V1[: V1.index('layers { name: "r"')]
    texts = [whole[:stop] for stop in range(len(whole))]
    texts += [whole[:place] + mark + whole[place + 1 :] for place in range(0, len(whole), 7) for mark in '{}":9\\']
    for text in texts:
        try:
            read(tmp_path, text)
        except ConversionError:
            refused += 1
    assert len(texts) * 0.6 < refused < len(texts)
