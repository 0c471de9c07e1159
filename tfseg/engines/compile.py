"""`compile`: a model as a function on one engine."""

import keras

from tfseg.engines.runner import EngineRunner
from tfseg.engines.table import AUTO
from tfseg.prediction.model import check_segmenter
from tfseg.prediction.sizes import sizes_like
from tfseg.types import Size

_SIDE = 512  # pixels of the image with which "auto" measures a model that takes any size


def compile(
    model: keras.Model,
    *,
    engine: str = AUTO,
    dtype: str = "float32",
    size: Size | None = None,
    explain: bool = False,
) -> EngineRunner:
    """A model as a function from preprocessed batches to logits, on one engine.

    The network is rewritten as the engine likes it (see `tfseg.optimize`), converted in memory, and compared with the
    model on noise; logits in float32 are within 1e-5 of the largest. What an engine cannot run, or computes otherwise,
    the model itself computes, and a warning says why.

    Args:
        model: segmentation model. Train it first: the function has the weights of now.
        engine: "tensorflow", "openvino", "onnxruntime" or "litert"; "auto" measures those that are installed, within
            about a minute, and keeps the result in Keras's own directory. The extras "openvino", "onnx" and "litert"
            of tfseg install the others.
        dtype: "float32"; or "bfloat16", which rounds to three digits, on "tensorflow" and "openvino".
        size: `(height, width)` in pixels of all images to come, which makes some engines faster; None for any size.
            With "tensorflow", layers are then measured one by one, which takes a minute.
        explain: whether to print which engine computes, what the others took, and what is not installed.
    Returns: a function of batches `(batch, height, width, channels)`, prepared as `tfseg.preprocess` does; the `engine`
        of `tfseg.predict`, `tfseg.predict_files` and `tfseg.evaluation.evaluate`, too.
    Raises:
        ValueError: the model is no segmenter, the engine is unknown or not installed, or it has no such dtype.

    Example:
        >>> model = tfseg.load("street.pth")
        >>> network = tfseg.compile(model, engine="tensorflow")
        >>> images = tfseg.preprocess(tfseg.read_image("street.png")[None], tfseg.metadata(model)["preprocessing"])
        >>> logits = network(images)
        >>> bool(np.abs(logits - model(images)[0]).max() < 1e-4)
        True
        >>> tfseg.predict(model, "street.png", engine=network).shape
        (360, 480)
    """
    check_segmenter(model)
    runner = EngineRunner(model, engine, dtype=dtype, size=size, explain=explain, patience=0)
    ((height, width),) = [size] if size else sizes_like(model, [(_SIDE, _SIDE)], model.input_shape[1:3])
    runner.prepare((1, height, width, model.input_shape[-1]))
    return runner
