"""Each of ONNX's operators in a graph of a few nodes: what the built model computes is what onnxruntime computes."""

import numpy as np
import pytest
from helpers import onnx_graphs
from helpers.references import images, relative

from converters import ConversionError
from converters.building.onnx.build import build_from_onnx
from converters.reading.files import map_file
from converters.reading.onnx import model_file

_RANDOM = np.random.default_rng(0)


def floats(*shape):
    return _RANDOM.normal(size=shape).astype("float32")


def ints(*values):
    return np.array(values, "int64")


def node(kind, sources="x", targets="y", **attributes):
    return kind, sources, targets, attributes


def conv(outputs=4, inputs=3, side=3, groups=1):
    return floats(outputs, inputs // groups, side, side)


def resize(coordinates, mode="linear", nearest="floor", scales=None, **attributes):
    options = {"coordinate_transformation_mode": coordinates, "mode": mode, "nearest_mode": nearest, **attributes}
    tensors = {"s": np.array([1, 1, *scales], "float32")}
    return [node("Resize", "x  s", **options)], tensors


def like(coordinates, mode="linear", nearest="floor", **attributes):
    """A map at the size of the image, as U-Nets have it."""
    options = {"coordinate_transformation_mode": coordinates, "mode": mode, "nearest_mode": nearest, **attributes}
    nodes = [
        node("MaxPool", "x", "small", kernel_shape=[3, 3], strides=[3, 3], ceil_mode=1),
        node("Shape", "x", "size"),
        node("Resize", "small   size", **options),
    ]
    return nodes, {}


GELU = [
    node("Div", "x root", "a"),
    node("Erf", "a", "b"),
    node("Add", "b one", "c"),
    node("Mul", "x c", "d"),
    node("Mul", "d half", "y"),
]
LAYER_NORM = [
    node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
    node("ReduceMean", "t", "mean", axes=[-1]),
    node("Sub", "t mean", "centered"),
    node("Pow", "centered two", "squares"),
    node("ReduceMean", "squares", "variance", axes=[-1]),
    node("Add", "variance epsilon", "more"),
    node("Sqrt", "more", "deviation"),
    node("Div", "centered deviation", "normed"),
    node("Mul", "normed scale", "scaled"),
    node("Add", "scaled shift", "shifted"),
    node("Transpose", "shifted", "y", perm=[0, 3, 1, 2]),
]
GROUP_NORM = [
    node("Conv", "x k", "c"),
    node("Reshape", "c groups", "r"),
    node("InstanceNormalization", "r ones zeros", "n", epsilon=1e-5),
    node("Shape", "c", "size"),
    node("Reshape", "n size", "back"),
    node("Mul", "back scale", "scaled"),
    node("Add", "scaled shift", "y"),
]
# name -> (nodes, tensors[, opset])
CASES = {
    "strided": ([node("Conv", "x w b", strides=[2, 2], pads=[1, 1, 1, 1])], {"w": conv(), "b": floats(4)}),
    "uneven pads": ([node("Conv", "x w", strides=[2, 2], pads=[0, 1, 1, 2])], {"w": conv()}),
    "dilated": ([node("Conv", "x w", dilations=[2, 3], pads=[2, 3, 2, 3])], {"w": conv()}),
    "depthwise": ([node("Conv", "x w", group=3, pads=[1, 1, 1, 1])], {"w": conv(6, 3, 3, 3)}),
    "same upper": ([node("Conv", "x w", auto_pad="SAME_UPPER", strides=[2, 2])], {"w": conv()}),
    "same upper, even kernel": ([node("Conv", "x w", auto_pad="SAME_UPPER")], {"w": conv(side=4)}),
    "same lower": ([node("Conv", "x w", auto_pad="SAME_LOWER")], {"w": conv(side=4)}),
    "valid": ([node("Conv", "x w", auto_pad="VALID", strides=[2, 1])], {"w": conv()}),
    "transposed": (
        [node("ConvTranspose", "x w b", strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])],
        {"w": conv(3, 4), "b": floats(4)},
    ),
    "transposed, uneven": ([node("ConvTranspose", "x w", strides=[2, 2], pads=[0, 0, 1, 1])], {"w": conv(3, 4)}),
    "transposed, same": (
        [node("ConvTranspose", "x w", strides=[2, 2], auto_pad="SAME_UPPER")],
        {"w": conv(3, 4, 4)},
    ),
    "maximum": ([node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])], {}),
    "maximum, uneven": ([node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])], {}),
    "maximum, ceil": ([node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)], {}),
    "unpooled": (
        [
            node(
                "Resize", "x  s", "r", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
            ),
            node("MaxPool", "r", "p i", kernel_shape=[2, 2], strides=[2, 2]),
            node("Relu", "p", "q"),
            node("MaxUnpool", "q i", kernel_shape=[2, 2], strides=[2, 2]),
        ],
        {"s": np.array([1, 1, 2, 2], "float32")},
    ),
    "average": ([node("AveragePool", kernel_shape=[2, 2], strides=[2, 2])], {}),
    "average, counted": (
        [node("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)],
        {},
    ),
    "average, not counted": ([node("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])], {}),
    "average, same": ([node("AveragePool", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")], {}),
    "average, ceil": ([node("AveragePool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)], {}),
    "whole average": ([node("GlobalAveragePool", "x", "p"), node("Mul", "x p")], {}),
    "whole maximum": ([node("GlobalMaxPool")], {}),
    "mean of the map": ([node("ReduceMean", axes=[2, 3], keepdims=0)], {}),
    "mean, opset 18": ([node("ReduceMean", "x a")], {"a": ints(1)}, 18),
    "sum, least and norm": (
        [
            node("ReduceSum", "x a", "s"),
            node("ReduceMin", "x", "m", axes=[1]),
            node("ReduceL2", "x", "l", axes=[1]),
            node("Concat", "s m l", axis=1),
        ],
        {"a": ints(1)},
    ),
    "batch norm": (
        [node("BatchNormalization", "x s b m v", epsilon=1e-3)],
        {"s": floats(3), "b": floats(3), "m": floats(3), "v": np.abs(floats(3)) + 0.1},
    ),
    "response norm": ([node("LRN", size=3, alpha=0.5, beta=0.6, bias=2.0)], {}),
    "instance norm": ([node("InstanceNormalization", "x s b")], {"s": floats(3), "b": floats(3)}),
    "group norm, taken apart": (
        GROUP_NORM,
        {
            **{"k": conv(6), "groups": ints(0, 2, -1), "ones": np.ones(2, "float32"), "zeros": np.zeros(2, "float32")},
            **{"scale": floats(6, 1, 1), "shift": floats(6, 1, 1)},
        },
    ),
    "group norm, opset 21": (
        [node("Conv", "x k", "c"), node("GroupNormalization", "c s b", num_groups=2)],
        {"k": conv(6), "s": floats(6), "b": floats(6)},
        21,
    ),
    "layer norm, taken apart": (
        LAYER_NORM,
        {"two": np.float32(2), "epsilon": np.float32(1e-6), "scale": floats(3), "shift": floats(3)},
    ),
    "layer norm": (
        [
            node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
            node("LayerNormalization", "t s b", "n", axis=-1),
            node("Transpose", "n", "y", perm=[0, 3, 1, 2]),
        ],
        {"s": floats(3), "b": floats(3)},
    ),
    "gelu, taken apart": (GELU, {"root": np.float32(2**0.5), "one": np.float32(1), "half": np.float32(0.5)}),
    "gelu": ([node("Gelu", approximate="tanh")], {}, 20),
    "relu6": ([node("Clip", "x a b")], {"a": np.float32(0), "b": np.float32(6)}),
    "clip of opset 9": ([node("Clip", min=-0.5, max=0.7)], {}, 9),
    "hard swish": ([node("HardSwish")], {}),
    "hard sigmoid": ([node("HardSigmoid", alpha=0.3, beta=0.4)], {}),
    "silu": ([node("Sigmoid", "x", "s"), node("Mul", "x s")], {}),
    "mish": ([node("Softplus", "x", "s"), node("Tanh", "s", "t"), node("Mul", "x t")], {}),
    "prelu": ([node("PRelu", "x s")], {"s": np.abs(floats(3, 1, 1))}),
    "rounded": (
        [
            node("Mul", "x ten", "a"),
            node("Floor", "a", "b"),
            node("Ceil", "x", "c"),
            node("Sign", "x", "d"),
            node("Sum", "b c d", "e"),
            node("ThresholdedRelu", "e", alpha=0.5),
        ],
        {"ten": np.float32(10)},
    ),
    "reduced": (
        [
            node("ReduceProd", "x", "a", axes=[1]),
            node("ReduceLogSumExp", "x", "b", axes=[1]),
            node("ReduceL1", "x", "c", axes=[1]),
            node("ReduceSumSquare", "x", "d", axes=[1]),
            node("Concat", "a b c d", axis=1),
        ],
        {},
    ),
    "elu, selu, celu": (
        [node("Elu", "x", "a", alpha=0.5), node("Selu", "a", "b"), node("Celu", "b", "y", alpha=0.7)],
        {},
    ),
    "softmax": ([node("Softmax", axis=1)], {}),
    "softmax of opset 11": (
        [node("GlobalAveragePool", "x", "p"), node("Softmax", "p", axis=1)],
        {},
        11,
    ),
    "log softmax": ([node("LogSoftmax", axis=1)], {}),
    "cut without an end, as tf2onnx writes it": (
        [node("Slice", "x s e a")],
        {"s": ints(2, 0), "e": ints(10**9, 10**9), "a": ints(2, 3)},
    ),
    "the largest": (
        [
            node("TopK", "x k", "t i", axis=1),
            node("TopK", "x k", "s j", axis=3, largest=0),
            node("ReduceMax", "s", "m", axes=[1, 2, 3]),
            node("Add", "t m"),
        ],
        {"k": ints(2)},
    ),
    "channels replaced": (
        [
            node("Slice", "x one three one", "channels"),
            node("Transpose", "x", "t", perm=[1, 0, 2, 3]),
            node("Transpose", "channels", "part", perm=[1, 0, 2, 3]),
            node("ScatterND", "t places part", "s"),
            node("Transpose", "s", perm=[1, 0, 2, 3]),
        ],
        {"one": ints(1), "three": ints(3), "places": ints(0, 1)[:, None]},
    ),
    "rows replaced": (
        [
            node("Slice", "x four six two", "rows"),
            node("Transpose", "x", "t", perm=[2, 1, 0, 3]),
            node("Transpose", "rows", "part", perm=[2, 1, 0, 3]),
            node("ScatterND", "t places part", "s"),
            node("Transpose", "s", perm=[2, 1, 0, 3]),
        ],
        {"four": ints(4), "six": ints(6), "two": ints(2), "places": ints(1, 2)[:, None]},
    ),
    "a channel replaced": (
        [
            node("Slice", "x one two one", "part"),
            node("Shape", "part", "sizes"),
            node("Expand", "place sizes", "places"),
            node("ScatterElements", "x places part", axis=1),
        ],
        {"one": ints(1), "two": ints(2), "place": ints(-1)},
    ),
    "read by places": ([node("TopK", "x k", "t i", axis=1), node("GatherElements", "x i", axis=1)], {"k": ints(2)}),
    "argmax": ([node("ArgMax", axis=1, keepdims=0)], {}),
    "leaky, softsign, reciprocal": (
        [
            node("LeakyRelu", "x", "a", alpha=0.2),
            node("Softsign", "a", "b"),
            node("Exp", "b", "c"),
            node("Reciprocal", "c"),
        ],
        {},
    ),
    "fully connected": (
        [node("GlobalAveragePool", "x", "p"), node("Flatten", "p", "f"), node("Gemm", "f w b", alpha=0.5, beta=2.0)],
        {"w": floats(3, 5), "b": floats(5)},
    ),
    "matrix on channels": (
        [
            node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
            node("MatMul", "t w", "m"),
            node("Add", "b m", "a"),
            node("Transpose", "a", perm=[0, 3, 1, 2]),
        ],
        {"w": floats(3, 5), "b": floats(5)},
    ),
    "attention": (
        [
            node("Shape", "x", "size"),
            node("Reshape", "x flat", "t"),
            node("Transpose", "t", "k", perm=[0, 2, 1]),
            node("MatMul", "t k", "s"),
            node("Mul", "s scale", "scaled"),
            node("Softmax", "scaled", "p", axis=-1),
            node("MatMul", "p t", "m"),
            node("Reshape", "m size"),
        ],
        {"flat": ints(0, 3, -1), "scale": np.float32(0.01)},
    ),
    "einsum": ([node("Einsum", "x x", equation="bchw,bchw->bhw")], {}),
    "einsum with a weight": ([node("Einsum", "x mix", equation="bchw,oc->bohw")], {"mix": floats(5, 3)}),
    "shuffled channels": (
        [
            node("Conv", "x k", "c"),
            node("Shape", "c", "size"),
            node("Gather", "size zero", "b"),
            node("Gather", "size two", "h"),
            node("Gather", "size three", "w"),
            *(node("Unsqueeze", f"{name} first", f"{name}1") for name in "bhw"),
            node("Concat", "b1 halves h1 w1", "split", axis=0),
            node("Reshape", "c split", "r"),
            node("Transpose", "r", "t", perm=[0, 2, 1, 3, 4]),
            node("Reshape", "t size"),
        ],
        {
            **{"k": conv(6), "zero": np.int64(0), "two": np.int64(2), "three": np.int64(3)},
            "first": ints(0),
            "halves": ints(2, 3),
        },
    ),
    "pixels of channels": (
        [node("Conv", "x k", "c"), node("DepthToSpace", "c", blocksize=2, mode="CRD")],
        {"k": conv(8)},
    ),
    "pixels of channels, depth first": (
        [node("Conv", "x k", "c"), node("DepthToSpace", "c", blocksize=2, mode="DCR")],
        {"k": conv(8)},
    ),
    "channels of pixels": (
        [
            node(
                "Resize", "x  s", "r", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
            ),
            node("SpaceToDepth", "r", blocksize=2),
        ],
        {"s": np.array([1, 1, 2, 2], "float32")},
    ),
    "split and joined": (
        [node("Split", "x parts", "a b", axis=1), node("Concat", "b a", axis=1)],
        {"parts": ints(1, 2)},
    ),
    "cut": ([node("Slice", "x s e a t")], {"s": ints(1, 2), "e": ints(-1, 2**62), "a": ints(2, 3), "t": ints(1, 2)}),
    "cut of opset 9": ([node("Slice", starts=[0, 1], ends=[2, 2**31], axes=[1, 2])], {}, 9),
    "chosen channels": ([node("Gather", "x p", axis=1)], {"p": ints(2, 0, 2)}),
    "one channel": ([node("Gather", "x p", "c", axis=1), node("Unsqueeze", "c a")], {"p": np.int64(-1), "a": ints(1)}),
    "reflected": ([node("Pad", "x p", mode="reflect")], {"p": ints(0, 0, 1, 2, 0, 0, 2, 1)}),
    "padded by a number": ([node("Pad", "x p v")], {"p": ints(0, 0, 1, 2, 0, 0, 0, 1), "v": np.float32(0.5)}),
    "padded, opset 9": ([node("Pad", pads=[0, 0, 1, 0, 0, 0, 1, 2])], {}, 9),
    "padded, opset 18": ([node("Pad", "x p  a")], {"p": ints(1, 2), "a": ints(3)}, 18),
    "arithmetic": (
        [
            node("Sub", "n x", "a"),
            node("Div", "a c", "b"),
            node("Max", "b zero", "d"),
            node("Pow", "d three", "e"),
            node("Mean", "e x", "f"),
            node("Sum", "f x e"),
        ],
        {"n": np.float32(1.5), "c": np.abs(floats(1, 3, 1, 1)) + 1, "zero": np.float32(0), "three": np.float32(3)},
    ),
    "compared and chosen": (
        [node("Greater", "x zero", "m"), node("Where", "m x small")],
        {"zero": np.float32(0), "small": np.float32(-0.25)},
    ),
    "a mask": (
        [node("Less", "x zero", "m"), node("Cast", "m", "f", to=1), node("Mul", "f x")],
        {"zero": np.float32(0)},
    ),
    "tiled": (
        [node("GlobalAveragePool", "x", "p"), node("Tile", "p r", "t"), node("Mul", "t p")],
        {"r": ints(1, 1, 1, 1)},
    ),
    "expanded": (
        [
            node("GlobalAveragePool", "x", "p"),
            node("Shape", "x", "size"),
            node("Expand", "p size", "e"),
            node("Add", "e x"),
        ],
        {},
    ),
    "half pixel": resize("half_pixel", scales=(2, 2)),
    "half pixel, 1.5": resize("half_pixel", scales=(1.5, 1.5)),
    "two scales": resize("half_pixel", scales=(1.5, 2)),
    "pytorch half pixel": resize("pytorch_half_pixel", scales=(3, 3)),
    "aligned": resize("align_corners", scales=(2, 2)),
    "asymmetric": resize("asymmetric", scales=(1.3, 1.3)),
    "nearest": resize("asymmetric", "nearest", scales=(2, 2)),
    "nearest, halved": resize("asymmetric", "nearest", scales=(0.5, 0.5)),
    "nearest, half pixel": resize("half_pixel", "nearest", "round_prefer_floor", scales=(2, 2)),
    "nearest, half pixel, 1.7": resize("half_pixel", "nearest", "round_prefer_ceil", scales=(1.7, 1.7)),
    "nearest, half pixel, floor": resize("half_pixel", "nearest", "floor", scales=(2, 2)),
    "nearest, ceil": resize("asymmetric", "nearest", "ceil", scales=(2, 2)),
    "nearest of TensorFlow": resize("tf_half_pixel_for_nn", "nearest", "floor", scales=(1.6, 1.6)),
    "cubic": resize("half_pixel", "cubic", scales=(2, 2)),
    "cubic, aligned": resize("align_corners", "cubic", scales=(2.5, 2.5)),
    "cubic, excluded": resize("half_pixel", "cubic", scales=(2, 2), exclude_outside=1, cubic_coeff_a=-0.5),
    "symmetric": (*resize("half_pixel_symmetric", scales=(1.5, 1.5)), 19),
    "at the image's size": like("half_pixel"),
    "at the image's size, aligned": like("align_corners"),
    "at the image's size, asymmetric": like("asymmetric"),
    "at the image's size, nearest": like("asymmetric", "nearest"),
    "at the image's size, cubic": like("half_pixel", "cubic"),
    "at the image's size, TensorFlow": like("tf_half_pixel_for_nn", "nearest", "floor"),
    "upsampled, opset 9": (
        [node("Upsample", "x s", mode="nearest")],
        {"s": np.array([1, 1, 2, 2], "float32")},
        9,
    ),
    "upsampled linearly, opset 9": (
        [node("Upsample", "x s", mode="linear")],
        {"s": np.array([1, 1, 2, 2], "float32")},
        9,
    ),
}


@pytest.mark.quick_variants(every=3)
@pytest.mark.parametrize("name", CASES)
def test_operators_compute_the_same(tmp_path, name):
    nodes, tensors, *opset = CASES[name]
    path = onnx_graphs.write(tmp_path / "net.onnx", nodes, tensors, opset=(opset or [17])[0])
    model, receipt = build_from_onnx(path, model_file.load(path, map_file(path)))
    # Places of onnxruntime that are off by 1e-5 of a pixel: the proof is in double precision.
    tolerance = 1e-4 if name == "symmetric" else 1e-5
    assert receipt.parity["max relative difference"] <= tolerance
    assert ("in double precision" in str(receipt)) == (name == "symmetric")
    image = images(37, 58, batch=2, seed=3)
    (expected,) = onnx_graphs.run(path, image)
    assert relative(model(image), expected) <= tolerance
    named = {row["key"] for row in receipt.tensors} | set(receipt.ignored)
    assert named == set(tensors)
    assert not [why for why in receipt.ignored.values() if why == "read by no step"]


REFUSED = {
    "quantized": ([node("QuantizeLinear", "x s z")], {"s": np.float32(1), "z": np.uint8(0)}, "is a quantized network"),
    "boxes": ([node("NonMaxSuppression", "x x")], {}, "chooses boxes"),
    "random": ([node("RandomNormalLike", "x", "r"), node("Add", "x r")], {}, "draws random numbers"),
    "training": (
        [node("BatchNormalization", "x s b m v", "y q r", training_mode=1)],
        {"s": floats(3), "b": floats(3), "m": floats(3), "v": np.abs(floats(3))},
        "exported for training",
    ),
    "dropout in training": (
        [node("Dropout", "x r t")],
        {"r": np.float32(0.5), "t": np.array(True)},
        "exported for training",
    ),
    "an even response norm": ([node("LRN", size=4)], {}, "LRN.*even number of channels"),
    "the largest of the batch": (
        [node("TopK", "x k", "y i", axis=0)],
        {"k": ints(1)},
        "orders the images of the batch",
    ),
    "no counterpart": ([node("LpPool", kernel_shape=[2, 2])], {}, "LpPool.*no counterpart"),
    "crop and resize": (
        [node("Resize", "x r s", mode="linear", coordinate_transformation_mode="tf_crop_and_resize")],
        {"r": np.array([0, 0, 0, 0, 1, 1, 1, 1], "float32"), "s": np.array([1, 1, 2, 2], "float32")},
        "crops while it resizes",
    ),
    "antialiased": (
        [node("Resize", "x  s", mode="linear", antialias=1)],
        {"s": np.array([1, 1, 0.5, 0.5], "float32")},
        "is antialiased",
        18,
    ),
    "a damaged graph": ([node("Add", "x nothing")], {}, "'nothing', which none of its nodes makes"),
    "a constant": ([node("Relu", "w")], {"w": floats(3)}, "takes no image: .* Received: no input"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_keras_lacks_is_refused_by_name(tmp_path, name):
    nodes, tensors, message, *opset = REFUSED[name]
    path = onnx_graphs.write(tmp_path / "net.onnx", nodes, tensors, opset=(opset or [17])[0])
    with pytest.raises(ConversionError, match=f"net.onnx: .*{message}"):
        build_from_onnx(path, model_file.load(path, map_file(path)))
