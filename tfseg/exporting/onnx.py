"""ONNX: for ONNX Runtime, and for other programs that read it."""

import contextlib
import math
import pathlib
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tfseg.exporting.deployment import Deployment
from tfseg.exporting.onnx_operations import add_operations
from tfseg.native_operations import native_operations
from tfseg.types import Tensor

if TYPE_CHECKING:
    import keras
    import onnx

_OPSET = 18  # every runtime of the last years reads it
_LARGE = 10_000  # numbers in a weight, from which on tf2onnx does not get it


def write(job: Deployment, path: pathlib.Path) -> None:
    """Writes a file with the input `images` `(batch, height, width, channels)` and one output, `logits` by default.

    Batch, height and width may have any size. The metadata of the file has the content of metadata.json.

    Args:
        job: model to write.
        path: path of the `.onnx` file.
    Reference: https://onnx.ai/onnx/repo-docs/Versioning.html
    """
    import keras
    import onnx

    # tf2onnx copies constants dozens of times: the half gigabyte of FCN-32s does not fit in 16. The large weights are
    # therefore inputs of the graph that it sees, `weight_0` and so on, and become constants afterwards.
    weights = [
        weight for weight in job.network.weights if weight.dtype == "float32" and math.prod(weight.shape) >= _LARGE
    ]
    shapes = {"images": job.shape} | {f"weight_{index}": weight.shape for index, weight in enumerate(weights)}
    types = {"images": job.deployed_type}
    signature = [
        keras.InputSpec(shape=shape, dtype=types.get(name, "float32"), name=name) for name, shape in shapes.items()
    ]

    class Network(keras.Model):
        def call(self, inputs: list[Tensor]) -> Tensor:
            images, *values = inputs
            with keras.StatelessScope(state_mapping=list(zip(weights, values, strict=True))):
                return job.deployed(images, training=False)

    network = Network()
    network.built = True
    add_operations()
    with (
        _as_one_graph(),
        _with_plain_constants(job.network),
        native_operations(job.network, gradients=False),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", FutureWarning)  # from the way in which Keras adapts tf2onnx to NumPy 2
        network.export(path, format="onnx", verbose=False, input_signature=[signature], opset_version=_OPSET)
    model = onnx.load(path)
    _fill(model.graph, dict(zip(list(shapes)[1:], weights, strict=True)))
    _set_padding(model.graph)
    _keep_zeros(model.graph)
    _name_tensors(model.graph, job.outputs)
    onnx.helper.set_model_props(model, {"tfseg": job.metadata_text})
    onnx.checker.check_model(model)
    onnx.save(model, path)


@contextlib.contextmanager
def _as_one_graph() -> Iterator[None]:
    """A context in which functions run eagerly, so that their bodies join the graph.

    Keras compiles grouped convolutions with XLA, in a function that ONNX cannot represent.
    """
    import tensorflow as tf

    eager = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(eager)


@contextlib.contextmanager
def _with_plain_constants(network: "keras.Model") -> Iterator[None]:
    """A context in which layers hold arrays in place of tensors: those would become inputs of the ONNX graph.

    Keras's Normalization holds its mean and its variance so.
    """
    import tensorflow as tf

    held = [
        (vars(layer), name, value)
        for layer in network._flatten_layers()
        for name, value in vars(layer).items()
        if isinstance(value, tf.Tensor)
    ]
    for attributes, name, value in held:
        attributes[name] = value.numpy()
    try:
        yield
    finally:
        for attributes, name, value in held:
            attributes[name] = value


def _fill(graph: "onnx.GraphProto", weights: Mapping[str, "keras.Variable"]) -> None:
    """Turns inputs into constants, and computes what depends on constants only, such as transposed kernels.

    Args:
        graph: graph to change.
        weights: name of an input -> its value.
    """
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    constants |= {name: weight.numpy() for name, weight in weights.items()}
    nodes = []
    for node in graph.node:
        if node.input and all(name in constants for name in node.input):
            values = ReferenceEvaluator(node).run(None, {name: constants[name] for name in node.input})
            constants |= dict(zip(node.output, values, strict=True))
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items() if name in used]
    for field, values in (
        (graph.node, nodes),
        (graph.initializer, initializers),
        (graph.input, [value for value in graph.input if value.name not in weights]),
    ):
        del field[:]
        field.extend(values)


def _set_padding(graph: "onnx.GraphProto") -> None:
    """Writes the padding of dilated kernels as numbers, because ONNX Runtime does not compute it.

    Dilated kernels have stride 1, so that the padding does not depend on the size of the image.
    """
    from onnx import helper

    for node in graph.node:
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        is_dilated = max(attributes.get("dilations", [1])) > 1
        if node.op_type == "Conv" and attributes.get("auto_pad") == b"SAME_UPPER" and is_dilated:
            rates_and_sizes = zip(attributes["dilations"], attributes["kernel_shape"], strict=True)
            padding = [rate * (size - 1) for rate, size in rates_and_sizes]
            del attributes["auto_pad"]
            attributes["pads"] = [total // 2 for total in padding] + [total - total // 2 for total in padding]
            del node.attribute[:]
            node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())


def _keep_zeros(graph: "onnx.GraphProto") -> None:
    """Names the axes of zeros around a maximum, without which ONNX Runtime takes them for no pixels at all.

    Its optimizer joins such a Pad with the MaxPool after it, whose own padding never is the maximum. Where all other
    numbers are negative, zero is. A Pad with axes stays. All of them are named: for integers on processors with
    AVX-512, the optimizer moves a Transpose across the Pad, and reorders its widths as if they were of all axes.
    """
    from onnx import numpy_helper

    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)

    def is_maximized(name: str) -> bool:
        return any(
            user.op_type == "MaxPool" or (user.op_type == "Transpose" and is_maximized(user.output[0]))
            for user in users.get(name, [])
        )

    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "Pad" or node.input[1] not in constants or not is_maximized(node.output[0]):
            continue
        axes = np.arange(numpy_helper.to_array(constants[node.input[1]]).size // 2, dtype="int64")
        name = f"{node.output[0]}_axes"
        graph.initializer.append(numpy_helper.from_array(axes, name))
        node.input[:] = [*node.input[:2], *(node.input[2:3] or [""]), name]
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def _name_tensors(graph: "onnx.GraphProto", outputs: str) -> None:
    """Gives the output its name, and the axes of input and output theirs: `batch`, `height` and `width`."""
    (output,) = graph.output
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [outputs if name == output.name else name for name in names]
    output.name = outputs
    for tensor in (*graph.input, output):
        for dimension, name in zip(tensor.type.tensor_type.shape.dim, ("batch", "height", "width"), strict=False):
            if not dimension.dim_value:
                dimension.dim_param = name
