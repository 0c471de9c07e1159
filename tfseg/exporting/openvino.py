"""OpenVINO's intermediate representation: for Intel's processors."""

import pathlib

from tfseg.exporting.deployment import Deployment
from tfseg.native_operations import native_operations


def write(job: Deployment, path: pathlib.Path) -> None:
    """Writes a directory: `model.xml`, the graph, with the input `images`; and `model.bin`, the weights in float32.

    Args:
        job: model to write.
        path: path of the directory.
    Reference: https://docs.openvino.ai
    """
    import tensorflow as tf

    path.mkdir()
    signature = [tf.TensorSpec(job.shape, job.deployed_type, "images")]
    with native_operations(job.network, gradients=False):
        job.deployed.export(str(path / "model.xml"), format="openvino", verbose=False, input_signature=signature)
