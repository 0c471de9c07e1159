"""Whether an engine computes what the model computes: compared on noise, before the engine is trusted."""

import math
from collections.abc import Callable

import keras
import numpy as np

from tfseg.engines.job import EngineError, Run
from tfseg.layers.metadata import metadata
from tfseg.prediction.sizes import sizes_like
from tfseg.preprocessing import is_stored, preprocess
from tfseg.types import Array, Preprocessing, Size

# Largest difference of the logits, in units of the largest logit. In bfloat16 the same graph was within 1e-5 in float32
# first; the bound then finds broken kernels, not rounding: a ResNet-50 is off by 1.4e-2.
LIMITS = {"float32": 1e-5, "bfloat16": 0.05}
SMALL = ((65, 83), (97, 128))  # odd sides, where networks round their maps' sizes
_PATCH = 8


def noise(model: keras.Model, shape: tuple[int, ...]) -> Array:
    """Patches of color with noise, as the model takes them: float32 `(batch, height, width, channels)`.

    Args:
        model: segmentation model.
        shape: shape of the batch.
    """
    random = np.random.default_rng(0)
    batch, height, width, channels = shape
    rows, columns = -(-height // _PATCH), -(-width // _PATCH)
    patches = random.integers(0, 224, (batch, rows, columns, channels)).repeat(_PATCH, 1).repeat(_PATCH, 2)
    pixels = patches[:, :height, :width] + random.integers(0, 32, shape)
    known: Preprocessing | None = metadata(model)["preprocessing"]
    if known is None and channels == 3:
        known = "torch"
    if known is None or is_stored(known) or channels != 3:
        return (pixels / 64 - 2).astype("float32")  # as far from zero as prepared channels are
    return np.ascontiguousarray(preprocess(pixels.astype("uint8"), known), "float32")


def compared_sizes(model: keras.Model, size: Size, fixed: bool) -> list[Size]:
    """The sizes at which an engine is compared when it is built: the one at hand, and small odd ones.

    Args:
        model: segmentation model.
        size: height and width of the images at hand.
        fixed: whether the engine takes this size alone.
    """
    if fixed or None not in model.input_shape[1:3]:
        return [size]
    return list(dict.fromkeys([size, *sizes_like(model, SMALL, model.input_shape[1:3])]))


def size_class(shape: tuple[int, ...]) -> int:
    """The logarithm of the number of pixels of a batch, rounded up: sizes of one class take about as long.

    Args:
        shape: shape of the batch, or height and width.
    """
    pixels = math.prod(shape[:3]) if len(shape) == 4 else math.prod(shape)
    return max(pixels - 1, 0).bit_length()


class CheckedRun:
    """An engine that is compared again at the first size of each class.

    Args:
        run: the engine.
        dtype: its precision.
        shape: shape of a batch at which it was compared before.
        batch_size: number of images that it is compared on.
    """

    def __init__(self, run: Run, dtype: str, shape: tuple[int, ...], batch_size: int = 1) -> None:
        self._run, self._dtype, self._checked = run, dtype, {size_class(shape[1:3])}
        self._batch_size = batch_size

    def __call__(self, batch: Array, reference: Run, images: Callable[[tuple[int, ...]], Array]) -> Array:
        """The logits of a batch.

        Args:
            batch: preprocessed images.
            reference: the model.
            images: function from a shape to noise, with which the two are compared.
        Raises:
            EngineError: the engine fails, or its logits differ at this size.
        """
        batch = np.ascontiguousarray(batch, "float32")
        kind = size_class(batch.shape[1:3])
        if kind not in self._checked:
            check(self._run, reference, images((self._batch_size, *batch.shape[1:])), self._dtype)
            self._checked.add(kind)
        try:
            return self._run(batch)
        except Exception as error:  # runtimes raise what they like
            size = "x".join(map(str, batch.shape[:3]))
            raise EngineError(f"it fails for a batch of {size} pixels: {first_line(error)}") from error


def check(run: Run, reference: Run, images: Array, dtype: str) -> None:
    """Compares an engine with the model on a batch.

    Args:
        run: the engine.
        reference: the model.
        images: preprocessed batch, which the model takes.
        dtype: precision of the engine.
    Raises:
        EngineError: it fails, or its logits differ.
    """
    expected = np.asarray(reference(images), "float32")
    try:
        computed = np.asarray(run(images))
    except Exception as error:  # runtimes raise what they like
        raise EngineError(f"it fails at {images.shape[1]}x{images.shape[2]} pixels: {first_line(error)}") from error
    if computed.shape != expected.shape:
        raise EngineError(f"its logits have the shape {computed.shape}, and the model's {expected.shape}")
    difference = float(np.abs(computed - expected).max()) / (float(np.abs(expected).max()) or 1)
    if not difference <= LIMITS[dtype]:  # NaN fails, too
        raise EngineError(
            f"its logits differ by {difference:.1e} of the largest at {images.shape[1]}x{images.shape[2]} pixels (at "
            f"most {LIMITS[dtype]:.0e} expected in {dtype})"
        )


def first_line(error: Exception) -> str:
    """What an error says, short enough for a line.

    Args:
        error: any error.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]
