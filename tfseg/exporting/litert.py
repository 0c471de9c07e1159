"""LiteRT, once TensorFlow Lite: for telephones and small boards."""

from tfseg.native_operations import native_operations


def float32(job, path):
    """float32 throughout. Batch, height and width are 1 until the input is resized, as the interpreter can."""
    _write(job, path)


def float16(job, path):
    """Weights of half the size; computed in float32, or in half precision by hardware that prefers it."""
    import tensorflow as tf

    _write(job, path, types=[tf.float16], optimizations=[tf.lite.Optimize.DEFAULT])


def dynamic_int8(job, path):
    """Weights of a quarter of the size; what they meet is quantized while it is computed."""
    import tensorflow as tf

    _write(job, path, optimizations=[tf.lite.Optimize.DEFAULT])


def int8(job, path):
    """Weights and activations in 8 bits, their ranges taken from photographs; images and logits remain float32."""
    import tensorflow as tf

    def representative():
        for images in job.calibration():
            yield [images]

    _write(
        job,
        path,
        first_choice=[tf.lite.OpsSet.TFLITE_BUILTINS_INT8],
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=representative,
    )


def _write(job, path, *, types=(), first_choice=(), **options):
    import tensorflow as tf

    # Keras would allow operations of TensorFlow too, which LiteRT alone does not run.
    target = {"supported_ops": [*first_choice, tf.lite.OpsSet.TFLITE_BUILTINS], "supported_types": list(types)}
    with native_operations(job.network, gradients=False):
        job.network.export(
            path,
            format="litert",
            verbose=False,
            input_signature=[tf.TensorSpec(job.shape, "float32", "images")],
            target_spec=target,
            **options,
        )
