"""How far the Keras model of a public file is from the torch module that the file holds."""

from typing import Any

import numpy as np
from helpers.file_forms import PublicFile
from helpers.references import images, relative


def worst_difference(file: PublicFile, model: Any, module: Any) -> float:
    """The largest relative difference at the sizes of a row.

    Args:
        file: row of the census.
        model: Keras model.
        module: torch module, or a function of its images.
    """
    return max(_difference(file, model, module, size) for size in file.sizes)


def _difference(file: PublicFile, model: Any, module: Any, size: tuple[int, int]) -> float:
    """The relative difference at a size; at one that the module takes."""
    import torch

    for height, width in (size, tuple(64 * max(1, side // 64) for side in size)):
        pixels = images(height, width, channels=file.channels)
        with torch.no_grad():
            try:
                reference = module(torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))))
            except Exception:  # the module takes multiples of its strides only
                continue
        break
    else:
        raise ValueError(f"{size}: the network takes neither this size nor multiples of 64")
    reference = first_output(reference).double().numpy()
    result = np.asarray(first_output(model(pixels, training=False)), "float64")
    if result.ndim == 4:
        result = result.transpose(0, 3, 1, 2)
        result = result if file.after is None else file.after(result)
    if result.ndim == 4 and reference.ndim == 2:  # a trunk without a head gives its map; the module, its average
        result = result.mean((2, 3))
    if reference.ndim == 4 and result.shape != reference.shape:
        return relative(*_at_one_size(result, reference))
    return relative(result, reference)


def first_output(result: Any) -> Any:
    """The main output.

    Args:
        result: what a network returns: a tensor, several, or a dictionary of them.
    """
    while not hasattr(result, "shape"):
        result = next(iter(result.values())) if hasattr(result, "values") else result[0]
    return result


def _at_one_size(result: Any, reference: Any) -> tuple[Any, Any]:
    """Logits of the image's size and those of the last map: enlarged as the library's own processor does."""
    import torch

    larger = torch.nn.functional.interpolate(
        torch.from_numpy(reference), size=result.shape[2:], mode="bilinear", align_corners=False
    )
    return result, larger.numpy()
