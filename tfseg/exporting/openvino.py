"""OpenVINO's intermediate representation: for Intel's processors."""

import pathlib

from tfseg.exporting.deployment import Deployment
from tfseg.exporting.whole_number_resizing import whole_number_resizing
from tfseg.native_operations import native_operations


def write(job: Deployment, path: pathlib.Path) -> None:
    """Writes a directory: `model.xml`, the graph, and `model.bin`, the weights in float32.

    The graph has the input `images` and one output, `logits` by default.

    Args:
        job: model to write.
        path: path of the directory.
    Reference: https://docs.openvino.ai
    """
    import keras
    import tensorflow as tf

    (output,) = keras.tree.flatten(job.deployed.output)
    # OpenVINO takes each loose end of TensorFlow's graph for an output, unless the outputs have names.
    named = keras.Model(job.deployed.input, {job.outputs: output})
    path.mkdir()
    signature = [tf.TensorSpec(job.shape, job.deployed_type, "images")]
    with native_operations(job.network, gradients=False), whole_number_resizing(job.network):
        named.export(str(path / "model.xml"), format="openvino", verbose=False, input_signature=signature)
