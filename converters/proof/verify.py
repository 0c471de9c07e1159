"""Proof against the public implementation, where it is installed."""

import re

import numpy as np

from converters.errors import ConversionError
from converters.families import FAMILIES
from converters.identification.sources import open_source
from converters.proof.compare import compare
from tfseg.layers.metadata import metadata
from tfseg.preprocessing import preprocess


def verify(model, receipt, path, pixels, *, tolerance=1e-5):
    """Runs the family's public implementation with the same file and compares every layer on one photograph.

    Args:
        model, receipt: as `convert` returned them; the parity is noted in the receipt.
        path: the checkpoint, as given to `convert`.
        pixels: a photograph, `(height, width, 3)`, RGB, 0..255; cut where the public implementation wants other sides.
        tolerance: largest max |difference| / max |reference| of any layer.
    Returns: the `Comparison`.
    Raises:
        ConversionError: no public implementation of the network as it was built, none installed, or a difference beyond
            the tolerance.
    """
    reference = _public(receipt, open_source(path))
    height, width = (side - side % FAMILIES[receipt.family].multiple_of for side in pixels.shape[:2])
    pixels = pixels[:height, :width]
    comparison = compare(model, reference, preprocess(pixels, metadata(model)["preprocessing"])[None])
    receipt.parity = {
        "with": f"{type(reference).__module__}.{receipt.network}",
        "image": list(np.shape(pixels)[:2]),
        "layers": len(comparison),
        "max relative difference": comparison.worst,
    }
    try:
        comparison.assert_close(tolerance)
    except AssertionError as error:
        raise ConversionError(f"{receipt.source}: {error}") from error
    return comparison


def _public(receipt, source):
    """The public implementation with the file's weights, in the form that the receipt's model has."""
    family = FAMILIES.get(receipt.family)
    network = family and family.network(receipt.network)
    if not network or not network.public or not family.public or receipt.transplant:
        raise ConversionError(
            f"{source.name}: no public implementation computes what this {receipt.model} does, so --verify has "
            "nothing to run. Leave it out, or compare with activations of your own (converters.compare)."
        )
    try:
        import torch

        module = family.public(
            network.public,
            num_classes=source.shapes.get(family.classes, (1000,))[0],
            output_stride=receipt.options.get("output_stride", 32),
            aux=family.aux in source.shapes,
        )
        state = {key: torch.from_numpy(np.array(source[key], _dtype(source.dtypes[key]))) for key in source}
        absent, strange = module.load_state_dict(state, strict=False)
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
    return module


def _may_be_absent(family, network, key):
    """Counters that old files lack, and the head of a file without one: what the model does not have either."""
    path, _ = network.table.forward(key) or (None, None)
    return network.table.why_ignored(key) or (path and re.fullmatch(family.head, path))


def _dtype(dtype):
    return dtype if dtype.kind in "iub" else "float32"
