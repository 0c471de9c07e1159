"""What every function that writes an artifact is given."""

import copy
import functools
import json
import os
import pathlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from tfseg.exporting.photograph_network import OUTPUTS, Outputs, photograph_network
from tfseg.graphs import is_graph
from tfseg.image_search import search
from tfseg.images import IMAGE_SUFFIXES, read_image
from tfseg.layers.metadata import metadata
from tfseg.outputs import logits_of
from tfseg.prediction.model import check_channels, check_segmenter, preprocessing_of
from tfseg.prediction.sizes import least_side
from tfseg.preprocessing import is_stored, preprocess, preprocessing_entries
from tfseg.rewrites.optimize import optimize
from tfseg.stored_channels import SUFFIXES, read_channels
from tfseg.types import Array, Path, Preprocessing, Size, Tensor

Photographs = Path | Iterable[pathlib.Path] | Iterable[Array]
"""A directory, a pattern, paths, or uint8 arrays `(height, width, 3)`; for other models arrays of their channels."""

_MOST_PHOTOGRAPHS = 100  # with more of them, the ranges of the activations hardly change


class ExportJob:
    """A model to export, its metadata, and photographs like those that it will see.

    Args:
        model: segmentation model; its first output are the logits.
        preprocessing: name or dictionary that replaces the preprocessing of the model; None keeps that.
        calibration: directory or pattern of photographs, their paths, or uint8 arrays `(height, width, 3)`;
            None for no photographs.
        size: height and width of every image, in pixels; None leaves the size of the model.
        receipt: text, or an object whose `str` is kept; None for no receipt.
        outputs: "logits" of preprocessed images, or "classes" or "probabilities" of photographs.
    Attributes:
        model: the model as it was given.
        network: the model without outputs other than the logits.
        outputs: what artifacts for other runtimes than TensorFlow and Keras give.
        shape: shape of the images `(batch, height, width, channels)`; None where any size is possible.
        num_classes: number of classes of the logits.
        is_stored: whether the images are of any channels, as their files store them, and no photographs.
    Raises:
        ValueError: the model is no segmenter, the preprocessing is unknown, there are no photographs, or the model does
            not take the size.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        preprocessing: Preprocessing | None = None,
        calibration: Photographs | None = None,
        size: Size | None = None,
        receipt: object = None,
        outputs: Outputs = "logits",
    ) -> None:
        if getattr(model, "output", None) is None:
            raise ValueError(f"A functional or Sequential Keras model is exported. Received: {model!r}")
        check_segmenter(model)
        self.model = model
        logits = logits_of(model.output)
        self.network = model if logits is model.output else keras.Model(model.input, logits, name=model.name)
        self.shape = _shape(model, size)
        self.num_classes = self.network.output_shape[-1]
        if outputs not in OUTPUTS:
            raise ValueError(f"outputs is one of {', '.join(OUTPUTS)}. Received: {outputs!r}")
        self.outputs = outputs
        self._preprocessing, self._receipt = preprocessing, receipt
        self._rewritten: dict[tuple[str, ...], ExportJob] = {}
        known = preprocessing or metadata(model)["preprocessing"]
        if known is not None:  # an unknown one is refused by the formats that need it
            check_channels(model, known)
        self.is_stored = is_stored(known)
        self._photographs: list[Any]
        if isinstance(calibration, str | os.PathLike):
            suffixes = SUFFIXES if self.is_stored else IMAGE_SUFFIXES
            self._photographs = list(map(pathlib.Path, search(calibration, suffixes=suffixes).folders))
        else:
            self._photographs = list(() if calibration is None else calibration)
        self.preprocess(np.zeros((1, 1, 1, self.shape[-1]), "uint8"))  # an unknown name is refused before the work

    @functools.cached_property
    def preprocessing(self) -> dict[str, Any]:
        """Dictionary as in `tfseg.specs.PREPROCESSING`.

        Raises:
            ValueError: neither the model nor the caller says the preprocessing.
        """
        return dict(preprocessing_entries(self._preprocessing or preprocessing_of(self.model)))

    @functools.cached_property
    def deployed(self) -> keras.Model:
        """The network of artifacts for other runtimes than TensorFlow and Keras: with all that `outputs` asks for."""
        if self.outputs == "logits":
            return self.network
        return photograph_network(self.network, self.preprocessing, self.outputs, self.shape, is_stored=self.is_stored)

    def rewritten(self, rewrites: tuple[str, ...]) -> "ExportJob":
        """The same job with a network in other operations. A model whose call is code stays as it is.

        Args:
            rewrites: names of rewrites of `tfseg.optimize`.
        """
        if not rewrites or not is_graph(self.network):
            return self
        if rewrites not in self._rewritten:
            job = copy.copy(self)
            vars(job).pop("deployed", None)
            job.network, job._rewritten = optimize(self.network, rewrites=rewrites), {}
            self._rewritten[rewrites] = job
        return self._rewritten[rewrites]

    @property
    def deployed_type(self) -> str:
        """The type of the images that `deployed` takes."""
        return "float32" if self.outputs == "logits" or self.is_stored else "uint8"

    @functools.cached_property
    def least_side(self) -> int:
        """The smallest height and width of an image, in pixels: of smaller ones, a map inside the network is empty."""
        return least_side(self.model)

    @functools.cached_property
    def metadata(self) -> dict[str, Any]:
        """The content of metadata.json."""
        import tensorflow as tf

        tfseg_version = sys.modules["tfseg"].__version__  # loaded long ago; to import it here would be a circle
        facts = metadata(self.model)
        is_known = self._preprocessing or facts["preprocessing"]
        return {
            "name": self.model.name,
            "num_classes": self.num_classes,
            "classes": facts["classes"],
            "colors": facts["colors"],
            "preprocessing": self.preprocessing if is_known else None,
            "outputs": self.outputs,
            "least_side": self.least_side,
            "receipt": None if self._receipt is None else str(self._receipt),
            "versions": {"tfseg": tfseg_version, "keras": keras.__version__, "tensorflow": tf.__version__},
        }

    @property
    def metadata_text(self) -> str:
        """The content of metadata.json as text, for formats that keep it inside the artifact."""
        return json.dumps(self.metadata)

    @property
    def has_photographs(self) -> bool:
        """Whether there are photographs for the calibration."""
        return bool(self._photographs)

    def preprocess(self, images: Array) -> Array | Tensor:
        """Images as the network takes them. If the preprocessing is unknown, "torch" is used: about unit variance.

        Args:
            images: uint8 `(batch, height, width, 3)`, RGB; or float32 with the channels that the files store.
        """
        known = self.metadata["preprocessing"]
        if known is None and self.shape[-1] != 3:
            return np.asarray(images, "float32") / np.float32(255)
        return preprocess(images, known or "torch")

    def photographs(self) -> Iterator[Array]:
        """Yields the first hundred photographs, uint8 `(height, width, 3)`; each is read only when it is needed.

        Images that are stored with other channels are float32, with NaN for missing data.

        Raises:
            ValueError: an array of another type or shape.
        """
        for photograph in self._photographs[:_MOST_PHOTOGRAPHS]:
            if self.is_stored:
                yield self._channels(photograph)
                continue
            image = read_image(photograph) if isinstance(photograph, os.PathLike) else np.asarray(photograph)
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
                raise ValueError(
                    "A photograph for the calibration is uint8 (height, width, 3), RGB. Received: "
                    f"{image.dtype} {image.shape}"
                )
            yield image

    def _channels(self, photograph: Any) -> Array:
        count = self.shape[-1]
        is_path = isinstance(photograph, os.PathLike)
        image = read_channels(photograph, count) if is_path else np.asarray(photograph)
        if image.ndim != 3 or image.shape[-1] != count:
            raise ValueError(f"An image for the calibration is (height, width, {count}). Received: {image.shape}")
        return image.astype("float32")

    def calibration(self) -> Iterator[Array | Tensor]:
        """Yields each photograph as a batch of one for `deployed`, resized if the network has one size only."""
        for image in self.photographs():
            _, height, width, _ = self.shape
            if height is not None and width is not None:
                image = resize(image, (height, width))
            yield self.preprocess(image[None]) if self.outputs == "logits" else image[None]


def resize(image: Array, size: Size) -> Array:
    """A photograph in another size.

    Args:
        image: uint8 `(height, width, 3)`; or float32 of any channels, of which the nearest pixels are taken.
        size: new height and width, in pixels.
    """
    from PIL import Image

    height, width = size
    if image.dtype != np.uint8:
        rows, columns = (np.arange(new) * old // new for new, old in zip(size, image.shape[:2], strict=True))
        return image[rows[:, None], columns]
    return np.asarray(Image.fromarray(image).resize((width, height)))


def _shape(model: keras.Model, size: Size | None) -> tuple[int | None, int | None, int | None, int]:
    """The shape of the images that the artifacts take."""
    batch, *model_size, channels = model.input_shape
    if size is None:
        return batch, *model_size, channels
    if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
        raise ValueError(f"size is height and width, in pixels. Received: {size!r}")
    if any(expected not in (None, side) for expected, side in zip(model_size, size, strict=True)):
        raise ValueError(f"The model {model.name!r} takes images of {tuple(model_size)}. Received: size={tuple(size)}")
    return batch, *size, channels
