"""A model beside OpenCV's importer: where that computes what Caffe does, it is the witness of a conversion."""

from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

import keras
import numpy as np

from converters.building.caffe import opencv
from converters.building.caffe.from_caffe import TracedNet
from converters.building.caffe.wiring import Wiring
from converters.building.verify import difference, double_model, double_precision
from converters.errors import ConversionError
from converters.types import Path
from converters.weights.receipts import Receipt

_ROUNDING = 8.0  # how much more than the model's rounding OpenCV's may be
_LARGEST_ROUNDING = 1e-3


def compare(
    path: Path, wiring: Wiring, traced: TracedNet, model: keras.Model, receipt: Receipt, tolerance: float
) -> None:
    """Compares the model with OpenCV, and writes down what was found.

    Args:
        path: path of the weights.
        wiring: network at test time.
        traced: program that was built.
        model: the model.
        receipt: the account, which gets the result.
        tolerance: largest max |difference| / max |reference| of any output.
    Raises:
        ConversionError: they differ by more than rounding.
    """
    if not opencv.is_available():
        check_shapes(traced, model)
        receipt.notes.append("nothing was compared: OpenCV is not installed (pip install opencv-python-headless)")
        return
    reason = opencv.why_not(wiring)
    if not reason:
        channels = {name: traced.graph.shapes[name][0][1] for name in traced.graph.inputs}
        try:
            with opencv.running(wiring, channels, path) as run:
                sizes, reason = _sizes(run, channels, traced.checks)
                if sizes:
                    _compare(FilePath(path).name, wiring, traced, model, receipt, tolerance, run, sizes)
                    return
        except ConversionError as error:
            if not isinstance(error, opencv.NoWitness) and not isinstance(error.__cause__, opencv.NoWitness):
                raise
            reason = str(error.__cause__ or error)
    check_shapes(traced, model)
    receipt.notes.append(f"nothing was compared: {reason}")


def _compare(
    file: str,
    wiring: Wiring,
    traced: TracedNet,
    model: keras.Model,
    receipt: Receipt,
    tolerance: float,
    run: Any,
    sizes: Sequence[tuple[int, int]],
) -> None:
    name = f"{file} in OpenCV"
    # A prototxt may state a batch of one in its shapes, which OpenCV takes at its word.
    batch = 1 if any(node.layer.type == "Reshape" for node in wiring.nodes) else 2
    worst = max(difference(model, run, name, size, batch=batch) for size in sizes)
    images = " and ".join(f"{height} x {width}" for height, width in sizes)
    receipt.parity = {"with": name, "images": images, "max relative difference": worst}
    if worst <= tolerance:
        return
    witness, rounding = _roundings(traced, model, run, name, sizes, batch)
    if not (witness <= max(tolerance, _ROUNDING * rounding) and rounding <= _LARGEST_ROUNDING):
        raise ConversionError(
            f"the model that was built differs from {name} by {worst:.2g} of the largest value, and from itself in "
            f"double precision by {rounding:.2g}. At most {tolerance:g} is accepted. Nothing is returned."
        )
    receipt.notes.append(
        f"the network amplifies rounding: from the model in double precision, OpenCV differs by {witness:.2g} and the "
        f"model by {rounding:.2g}"
    )


def check_shapes(traced: TracedNet, model: keras.Model) -> None:
    """Compares the shapes of the results with those that Caffe's rules give, at sizes that were not traced.

    Args:
        traced: program that was built.
        model: the model.
    Raises:
        ConversionError: other shapes.
    """
    for (height, width), expected in zip(traced.checks[:2], traced.results, strict=False):
        images = [np.zeros((1, height, width, tensor.shape[-1]), "float32") for tensor in model.inputs]
        if any(None not in tensor.shape[1:3] for tensor in model.inputs):
            images = [np.zeros((1, *tensor.shape[1:]), "float32") for tensor in model.inputs]
        results = _channels_first(model(images if len(images) > 1 else images[0]))
        shapes = [result.shape for result in (results if isinstance(results, list) else [results])]
        if shapes != list(expected):
            raise ConversionError(
                f"at {height} x {width} pixels the model that was built gives {shapes}, Caffe {list(expected)}. A size "
                "that depends on the image was not understood; nothing is returned."
            )


def _sizes(
    run: Any, channels: Mapping[str, int], checks: Sequence[tuple[int, int]]
) -> tuple[list[tuple[int, int]], str]:
    """The sizes at which OpenCV runs, and why not at the others."""
    sizes, reason = [], ""
    for size in checks:
        try:
            run([np.zeros((2, count, *size), "float32") for count in channels.values()])
            sizes.append(size)
        except opencv.NoWitness as error:
            reason = str(error)
    return sizes, reason


def _roundings(
    traced: TracedNet, model: keras.Model, run: Any, name: str, sizes: Sequence[tuple[int, int]], batch: int
) -> tuple[float, float]:
    """How far OpenCV, and the model, are from the model in double precision."""
    with double_precision():
        exact = double_model(traced.graph, traced.fixed, None)
        witness = max(difference(exact, run, name, size, "float64", batch) for size in sizes)

    def run_model(images: Any) -> Any:
        several = images if isinstance(images, list) else [images]
        maps = [np.asarray(image.transpose(0, 2, 3, 1), "float32") for image in several]
        return _channels_first(model(maps if len(maps) > 1 else maps[0]))

    with double_precision():
        rounding = max(difference(exact, run_model, "the model", size, "float64", batch) for size in sizes)
    return witness, rounding


def _channels_first(result: Any) -> Any:
    if isinstance(result, list | tuple):
        return [_channels_first(part) for part in result]
    value = np.asarray(result)
    return value.transpose(0, 3, 1, 2) if value.ndim == 4 else value
