"""ONNX files of a few nodes, written by the onnx package, and their results by onnxruntime."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

FREE = ("batch", 3, "height", "width")


def write(path, nodes, tensors=None, *, opset=17, shape=FREE, outputs=("y",), inputs=None, domains=(), **options):
    """Writes a graph from `x` to `y`: nodes as `(type, inputs, outputs, attributes)`, tensors by name."""
    made = [
        helper.make_node(kind, sources.split(" "), targets.split(), **{"name": f"{kind}_{index}", **attributes})
        for index, (kind, sources, targets, attributes) in enumerate(nodes)
    ]
    values = [numpy_helper.from_array(np.asarray(value), name) for name, value in (tensors or {}).items()]
    given = inputs or {"x": shape}
    types = {name: TensorProto.INT64 for node in made if node.op_type == "ArgMax" for name in node.output}
    graph = helper.make_graph(
        made,
        "graph",
        [
            helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT), sizes)
            for name, sizes in given.items()
        ],
        [helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT), None) for name in outputs],
        values,
    )
    sets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model = helper.make_model(graph, opset_imports=sets, ir_version=options.get("ir_version", 8))
    onnx.save(model, path)
    return path


def run(path, images):
    """The results on images `(batch, height, width, channels)`: maps with their channels last."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    results = session.run(None, {given.name: np.ascontiguousarray(images.transpose(0, 3, 1, 2))})
    return [value.transpose(0, 2, 3, 1) if value.ndim == 4 else value for value in results]
