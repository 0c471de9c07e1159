"""What every writer of an artifact is given."""

import functools
import json
import os

import keras
import numpy as np

from tfseg import specs
from tfseg.images import find_images, read_image
from tfseg.layers.metadata import metadata
from tfseg.prediction.model import check_segmenter, preprocessing_of
from tfseg.preprocessing import preprocess

_CALIBRATION = 100  # photographs at most: the ranges hardly change beyond


class Job:
    """A model, the facts that travel with it, and photographs like those that it will see.

    Args:
        model: with logits as its first output.
        preprocessing: name or dictionary, in place of what the model carries.
        calibration: directory or pattern of photographs, or list of uint8 `(height, width, 3)`, or None.
        size: height and width of every picture, or None.
        receipt: text, or what has one.
    Attributes:
        network: the model without outputs beside the logits.
        shape: of its input, None where any size goes.
        num_classes: of the logits.
    Raises:
        ValueError: no segmenter, an unknown preprocessing, no photographs, a size that the model does not take.
    """

    def __init__(self, model, *, preprocessing=None, calibration=None, size=None, receipt=None):
        if getattr(model, "output", None) is None:
            raise ValueError(f"A functional or Sequential Keras model is exported. Received: {model!r}")
        check_segmenter(model)
        self.model = model
        several = isinstance(model.output, list | tuple)
        self.network = keras.Model(model.input, model.output[0], name=model.name) if several else model
        self.shape = _shape(model, size)
        self.num_classes = self.network.output_shape[-1]
        self._given, self._receipt = preprocessing, receipt
        is_path = isinstance(calibration, str | os.PathLike)
        self._photographs = find_images(calibration) if is_path else list(calibration or ())
        self.prepared(np.zeros((1, 1, 1, 3), "uint8"))  # an unknown preprocessing is refused before the work

    @functools.cached_property
    def preprocessing(self):
        """Dictionary as in `tfseg.specs.PREPROCESSING`, or a ValueError that tells what to do."""
        found = self._given or preprocessing_of(self.model)
        if isinstance(found, str):
            preprocess(np.zeros((1, 1, 3)), found)  # which refuses unknown names
            found = specs.PREPROCESSING[found]
        return found

    @functools.cached_property
    def metadata(self):
        """What stands in metadata.json."""
        import tensorflow as tf

        import tfseg

        facts = metadata(self.model)
        known = self._given or facts["preprocessing"]
        return {
            "name": self.model.name,
            "num_classes": self.num_classes,
            "classes": facts["classes"],
            "colors": facts["colors"],
            "preprocessing": known and self.preprocessing,
            "receipt": None if self._receipt is None else str(self._receipt),
            "versions": {"tfseg": tfseg.__version__, "keras": keras.__version__, "tensorflow": tf.__version__},
        }

    @property
    def metadata_text(self):
        return json.dumps(self.metadata)

    @property
    def has_photographs(self):
        return bool(self._photographs)

    def prepared(self, pixels):
        """Pixels as the network takes them; a network that does not tell how gets about unit-normal ones."""
        return preprocess(pixels, self.metadata["preprocessing"] or "torch")

    def photographs(self):
        """uint8 `(height, width, 3)`, the first hundred, each read when its turn comes."""
        for photograph in self._photographs[:_CALIBRATION]:
            pixels = read_image(photograph) if isinstance(photograph, os.PathLike) else np.asarray(photograph)
            if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3:
                raise ValueError(
                    "A photograph to calibrate with is uint8 (height, width, 3), RGB. Received: "
                    f"{pixels.dtype} {pixels.shape}"
                )
            yield pixels

    def calibration(self):
        """The photographs as batches of one, preprocessed, at the network's size if it has but one."""
        for pixels in self.photographs():
            if None not in self.shape[1:3]:
                pixels = resized(pixels, self.shape[1:3])
            yield self.prepared(pixels[None])


def _shape(model, size):
    batch, *sides, channels = model.input_shape
    if size is None:
        return batch, *sides, channels
    if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
        raise ValueError(f"size is height and width, in pixels. Received: {size!r}")
    if any(own not in (None, side) for own, side in zip(sides, size, strict=True)):
        raise ValueError(f"The model {model.name!r} takes images of {tuple(sides)}. Received: size={tuple(size)}")
    return batch, *size, channels


def resized(pixels, size):
    """A photograph at `(height, width)`."""
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize(size[::-1]))
