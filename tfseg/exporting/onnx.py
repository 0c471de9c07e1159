"""ONNX: for ONNX Runtime, and for what else reads it."""

import warnings

_OPSET = 18  # which every runtime of the last years reads


def write(job, path):
    """A file with the input `images` and the output `logits`, both `(batch, height, width, channels)`, of any size.

    The facts that travel in metadata.json stand in its metadata too.

    Reference: https://onnx.ai/onnx/repo-docs/Versioning.html
    """
    import keras
    import onnx
    import tensorflow as tf

    signature = [keras.InputSpec(shape=job.shape, dtype="float32", name="images")]
    eager = tf.config.functions_run_eagerly()
    # Keras compiles grouped convolutions by XLA, in a function that ONNX cannot have; so it becomes part of the graph.
    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of how Keras mends tf2onnx for NumPy 2
            job.network.export(path, format="onnx", verbose=False, input_signature=signature, opset_version=_OPSET)
    finally:
        tf.config.run_functions_eagerly(eager)
    model = onnx.load(path)
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
