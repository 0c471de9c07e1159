"""LiteRT, formerly TensorFlow Lite: for phones and small boards."""

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from tfseg.exporting.deployment import CalibratedDeployment, Deployment
from tfseg.native_operations import native_operations


def float32(job: Deployment, path: pathlib.Path) -> None:
    """Writes a model in float32. Batch, height and width are 1 until the interpreter resizes the input.

    Args:
        job: model to write.
        path: path of the `.tflite` file.
    """
    _write(job, path)


def float16(job: Deployment, path: pathlib.Path) -> None:
    """Writes weights of half the size. They are computed in float32, or in float16 by hardware that prefers that.

    Args:
        job: model to write.
        path: path of the `.tflite` file.
    """
    import tensorflow as tf

    _write(job, path, types=[tf.float16], optimizations=[tf.lite.Optimize.DEFAULT])


def dynamic_int8(job: Deployment, path: pathlib.Path) -> None:
    """Writes weights of a quarter of the size. The runtime quantizes the activations while it computes.

    Args:
        job: model to write.
        path: path of the `.tflite` file.
    """
    import tensorflow as tf

    _write(job, path, optimizations=[tf.lite.Optimize.DEFAULT])


def int8(job: CalibratedDeployment, path: pathlib.Path) -> None:
    """Writes weights and activations in 8 bits, with ranges from photographs. Images and logits remain float32.

    Args:
        job: model to write, with photographs.
        path: path of the `.tflite` file.
    """
    import tensorflow as tf

    def representative() -> Iterator[list[Any]]:
        for images in job.calibration():
            yield [images]

    _write(
        job,
        path,
        first_choice=[tf.lite.OpsSet.TFLITE_BUILTINS_INT8],
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=representative,
    )


def _write(
    job: Deployment, path: pathlib.Path, *, types: Sequence[Any] = (), first_choice: Sequence[Any] = (), **options: Any
) -> None:
    import tensorflow as tf

    # By default Keras allows operations of TensorFlow, too; LiteRT alone does not run them.
    target = {"supported_ops": [*first_choice, tf.lite.OpsSet.TFLITE_BUILTINS], "supported_types": list(types)}
    with native_operations(job.network, gradients=False):
        job.deployed.export(
            path,
            format="litert",
            verbose=False,
            input_signature=[tf.TensorSpec(job.shape, job.deployed_type, "images")],
            target_spec=target,
            **options,
        )
