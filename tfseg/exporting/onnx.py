"""ONNX: for ONNX Runtime, and for what else reads it."""

import contextlib
import math
import warnings

from tfseg.native_operations import native_operations

_OPSET = 18  # which every runtime of the last years reads
_LARGE = 10_000  # numbers of a weight that is kept from tf2onnx


def write(job, path):
    """A file with the input `images` and the output `logits`, both `(batch, height, width, channels)`, of any size.

    The facts that travel in metadata.json stand in its metadata too.

    Reference: https://onnx.ai/onnx/repo-docs/Versioning.html
    """
    import keras
    import onnx

    # tf2onnx copies constants dozens of times (FCN-32s's half gigabyte does not go through in 16): so the large weights
    # are inputs to it, `weight_0` and so on, and become constants afterwards.
    weights = [one for one in job.network.weights if one.dtype == "float32" and math.prod(one.shape) >= _LARGE]
    shapes = {"images": job.shape} | {f"weight_{index}": weight.shape for index, weight in enumerate(weights)}
    signature = [keras.InputSpec(shape=shape, dtype="float32", name=name) for name, shape in shapes.items()]

    class Network(keras.Model):
        def call(self, inputs):
            images, *values = inputs
            with keras.StatelessScope(state_mapping=list(zip(weights, values, strict=True))):
                return job.network(images, training=False)

    network = Network()
    network.built = True
    with _as_one_graph(), native_operations(job.network, gradients=False), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of how Keras mends tf2onnx for NumPy 2
        network.export(path, format="onnx", verbose=False, input_signature=[signature], opset_version=_OPSET)
    model = onnx.load(path)
    _fill(model.graph, dict(zip(list(shapes)[1:], weights, strict=True)))
    _pad(model.graph)
    (result,) = model.graph.output
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["logits" if name == result.name else name for name in names]
    result.name = "logits"
    for tensor in (*model.graph.input, result):
        for dimension, name in zip(tensor.type.tensor_type.shape.dim, ("batch", "height", "width"), strict=False):
            if not dimension.dim_value:
                dimension.dim_param = name
    onnx.helper.set_model_props(model, {"tfseg": job.metadata_text})
    onnx.checker.check_model(model)
    onnx.save(model, path)


@contextlib.contextmanager
def _as_one_graph():
    """Keras compiles grouped convolutions by XLA, in a function that ONNX cannot have; so its body joins the graph."""
    import tensorflow as tf

    eager = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(eager)


def _fill(graph, weights):
    """Inputs of these names become constants; what depends on constants alone, as their transposes, is computed."""
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    known |= {name: weight.numpy() for name, weight in weights.items()}
    nodes = []
    for node in graph.node:
        if node.input and all(name in known for name in node.input):
            values = ReferenceEvaluator(node).run(None, {name: known[name] for name in node.input})
            known |= dict(zip(node.output, values, strict=True))
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    kept = [numpy_helper.from_array(value, name) for name, value in known.items() if name in used]
    for field, values in (
        (graph.node, nodes),
        (graph.initializer, kept),
        (graph.input, [value for value in graph.input if value.name not in weights]),
    ):
        del field[:]
        field.extend(values)


def _pad(graph):
    """Numbers for the padding of dilated kernels, which ONNX Runtime does not work out itself; none of them strides."""
    from onnx import helper

    for node in graph.node:
        have = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        if node.op_type == "Conv" and have.get("auto_pad") == b"SAME_UPPER" and max(have.get("dilations", [1])) > 1:
            needed = [rate * (size - 1) for rate, size in zip(have["dilations"], have["kernel_shape"], strict=True)]
            del have["auto_pad"]
            have["pads"] = [one // 2 for one in needed] + [one - one // 2 for one in needed]
            del node.attribute[:]
            node.attribute.extend(helper.make_attribute(name, value) for name, value in have.items())
