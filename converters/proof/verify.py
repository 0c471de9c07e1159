"""Proof against the public implementation, where it is installed."""

import math
import re
from typing import Any

import keras
import numpy as np

from converters.errors import ConversionError
from converters.families import FAMILIES, Family, FamilyNetwork
from converters.identification.identify import identify_source
from converters.identification.sources import Source, open_source
from converters.proof.compare import ModelComparison, compare_layers
from converters.proof.references import run_torch
from converters.proof.without_triton import without_triton
from converters.types import Weights
from converters.weights.receipts import Receipt
from tfseg.layers.metadata import metadata
from tfseg.preprocessing import preprocess
from tfseg.progress import reported

# Options that a configuration beside the weights decides, and that no public implementation here is told.
_STATED = ("rates", "filters", "multi_grid", "stride_in", "antialias", "stem_pool")


class DivergenceError(ConversionError):
    """A model that does not compute what the public implementation computes.

    Attributes:
        comparison: the comparison, layer by layer.
    """

    def __init__(self, message: str, comparison: ModelComparison) -> None:
        super().__init__(message)
        self.comparison = comparison


def verify(
    model: keras.Model, receipt: Receipt, path: Weights, image: np.ndarray, *, tolerance: float = 1e-5
) -> ModelComparison:
    """Runs the family's public implementation with the same file and compares every layer on one photograph.

    Args:
        model: model that `convert` returned.
        receipt: receipt that `convert` returned; the parity is noted in it.
        path: the checkpoint, as given to `convert`.
        image: a photograph, `(height, width, 3)`, RGB, 0..255. It is cut where the public implementation needs other
            sides.
        tolerance: largest max |difference| / max |reference| of any layer.
    Returns: the `ModelComparison`.
    Raises:
        ConversionError: no public implementation of the network as it was built, none installed, or a difference beyond
            the tolerance; a model that was built from its source's own program, which was compared with that already.

    Example:
        >>> model, receipt = converters.convert("street.pth")
        >>> converters.verify(model, receipt, "street.pth", tfseg.read_image("street.png"))
        Traceback (most recent call last):
        ...
        converters.errors.ConversionError: street.pth: ...
    """
    if receipt.steps:
        raise ConversionError(_own_program(receipt))
    source = open_source(path)
    with without_triton():
        module, family, network = _public_module(receipt, _view(receipt, source))
        height, width = (side - side % family.multiple_of for side in image.shape[:2])
        image = image[:height, :width]
        preprocessing = metadata(model)["preprocessing"] or family.preprocessing
        images = np.asarray(preprocess(image, preprocessing)[None], "float32")
        reference = run_torch(module, images, family, network)
    comparison = compare_layers(model, reference, images)
    receipt.parity = {
        "with": f"{type(module).__module__}.{receipt.network}",
        "image": [height, width],
        "layers": len(comparison),
        "max relative difference": comparison.worst,
    }
    try:
        comparison.assert_close(tolerance)
    except AssertionError as error:
        raise DivergenceError(f"{receipt.source}: {error}", comparison) from error
    return comparison


def _own_program(receipt: Receipt) -> str:
    """Why a model that was built from a program is not verified once more."""
    if receipt.parity is None:
        return (
            f"{receipt.source}: the model was built from its own program, and nothing that runs the program is "
            "installed (for ONNX: pip install onnxruntime). Install it and convert again, which compares them."
        )
    return (
        f"{receipt.source}: the model was built from its own program, and compared with it: receipt.parity says how. "
        "converters.compare(model, module, images) compares layer by layer."
    )


def _view(receipt: Receipt, source: Source) -> Source:
    """The tensors of the receipt's network under its own keys."""
    if receipt.family not in FAMILIES:
        return source
    return identify_source(source, family=receipt.family, network=receipt.network, prefix=receipt.prefix).source


def _public_module(receipt: Receipt, source: Source) -> tuple[Any, Family, FamilyNetwork]:
    """The public implementation with the file's weights, in the form that the receipt's model has, and its records."""
    family = FAMILIES.get(receipt.family)
    network = family.network(receipt.network) if family else None
    if family is None or network is None or not network.public or not family.public or receipt.transplant:
        raise ConversionError(
            f"{source.name}: no public implementation computes what this {receipt.model} does, so --verify has "
            "nothing to run. Leave it out, or compare with activations of your own (converters.compare)."
        )
    usual = {**family.options, **network.options}
    if other := [
        f"{key}={value!r}" for key, value in receipt.options.items() if key in _STATED and usual.get(key) != value
    ]:
        raise ConversionError(
            f"{source.name}: the model was built with {', '.join(other)}, as is stated beside the weights. --verify "
            f"runs {network.public} of {family.name} in its usual form, which computes something else. Leave it out, "
            "or compare with activations of your own (converters.compare)."
        )
    try:
        import torch

        module = family.public(
            network.public,
            num_classes=source.shapes.get(family.classes, (1000,))[0],
            output_stride=receipt.options.get("output_stride", 32),
            aux=family.aux in source.shapes,
        )
        state, done = {}, 0
        sizes = {key: math.prod(source.shapes[key]) * np.dtype(source.dtypes[key]).itemsize for key in source}
        with reported("bytes") as report:
            report(0, sum(sizes.values()))
            for key, size in sizes.items():
                state[key] = torch.from_numpy(np.array(source[key], _dtype(source.dtypes[key])))
                done += size
                report(done, sum(sizes.values()))
        absent, strange = module.load_state_dict(state, strict=False)
        strange = [key for key in strange if not network.table.why_ignored(key)]
    except ImportError as error:
        raise ConversionError(
            f"--verify runs the public implementation, which is not installed here ({error}): "
            'pip install "tfseg[verify]".'
        ) from error
    except (RuntimeError, NotImplementedError, ValueError, TypeError) as error:
        # Half-width networks, dilated ResNet-18s; or a torchvision made for another torch.
        raise ConversionError(
            f"{source.name}: the public implementation cannot be run for this network: {error}"
        ) from error
    absent = [key for key in absent if not _may_be_absent(family, network, key)]
    if absent or strange:
        raise ConversionError(f"{source.name}: the public {network.public} has other tensors: {absent + strange}")
    return module, family, network


def _may_be_absent(family: Family, network: FamilyNetwork, key: str) -> bool:
    """Counters that old files lack, and the head of a file without one: what the model does not have either."""
    path = network.table.path(key)
    return bool(network.table.why_ignored(key) or (path and re.fullmatch(family.head, path)))


def _dtype(dtype: np.dtype) -> np.dtype:
    return dtype if dtype.kind in "iub" else np.dtype("float32")
