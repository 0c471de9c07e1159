"""The way back: a Keras model's weights under the foreign names, in the foreign layout, in a file."""

import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from converters.errors import ConversionError
from converters.families import Family
from converters.identification.own_files import BY_PATH
from converters.types import Path
from converters.weights.built_record import TRANSPOSED, record_of
from converters.weights.built_weights import BuiltWeights
from converters.weights.foreign_weights import ForeignWeights, foreign_weights
from converters.weights.receipts import Receipt
from converters.writing.caffemodel import write_caffemodel, write_layers
from converters.writing.files import atomic, conversion_errors
from tfseg.exporting.safetensors import write_safetensors
from tfseg.layers.metadata import metadata


def export_weights(
    model: keras.Model,
    path: Path,
    *,
    family: str | Family | None = None,
    dtype: str | None = None,
    overwrite: bool = False,
    header: Mapping[str, str] | None = None,
) -> Receipt:
    """Writes a model's weights as its family's public implementation names and lays them out.

    What an import read comes back bit by bit. The counters of training batches are not written: PyTorch's
    `load_state_dict` does without them. A model that was built from a program is written as the state dictionary of
    its source, counters and tables included.

    Args:
        model: a Keras model with tfseg's layer names, or one that was built from a program.
        path: where the file is written: `.safetensors`; `.pth` or `.pt`, for which torch must be installed; or
            `.caffemodel` for Caffe's families and for models that were built from a network of Caffe.
        family: name of a family, or the record itself. By default the first in the documented order that the model
            fits. "tfseg/paths" writes the variables by path, in Keras layout.
        dtype: type of the numbers in the file, "float32" or "float16"; by default each variable's type.
        overwrite: whether a file at `path` is replaced.
        header: further texts for the header of a `.safetensors` file.
    Returns: the receipt. Its tensors say which variable was written under which key.
    Raises:
        ConversionError: no family, or not the given one, has a network like the model; a built model with weights that
            its source cannot hold; another suffix; no torch for `.pth`; a file that cannot be written.

    Example:
        >>> model, _ = converters.convert("street.pth")
        >>> receipt = converters.export_weights(model, "back.safetensors")
        >>> receipt.family, receipt.network
        ('torchvision/segmentation', 'fcn_resnet18')
        >>> back, source = converters.read("back.safetensors"), converters.read("street.pth")
        >>> all(np.array_equal(back[key], source[key]) for key in back)
        True
    """
    path = pathlib.Path(path)
    if path.suffix not in (".safetensors", ".pth", ".pt", ".caffemodel"):
        raise ConversionError(
            f"{path}: foreign weights are written as .safetensors, .pth, .pt or .caffemodel. "
            f"Received: suffix {path.suffix!r}"
        )
    weights = _weights(model, path, family, dtype)
    if path.suffix == ".safetensors":
        facts = {"format": "keras" if weights.family == BY_PATH else "pt", "tfseg_family": weights.family} | dict(
            header or {}
        )
        with conversion_errors(path):
            write_safetensors(path, weights, facts | dict(header or {}), overwrite=overwrite)
    elif path.suffix == ".caffemodel" and isinstance(weights, BuiltWeights):
        layers = weights.caffe_layers()
        write_layers(path, weights, layers, weights.network, transposed=TRANSPOSED, overwrite=overwrite)
    elif path.suffix == ".caffemodel":
        write_caffemodel(path, weights, weights.kinds, model.name, overwrite=overwrite)
    else:
        _write_torch(path, weights, overwrite)
    receipt = Receipt(model.name, path.name, weights.family, weights.network, dtype=dtype or "the same")
    receipt.tensors = weights.account
    ignored = weights.table.ignored if weights.table else ()
    receipt.ignored = {pattern: f"not written: {why}" for pattern, why in ignored}
    if isinstance(weights, BuiltWeights):
        receipt.ignored |= {key: f"not written: {why}" for key, why in weights.left.items()}
    receipt.preprocessing = metadata(model)["preprocessing"]
    return receipt


def _weights(
    model: keras.Model, path: pathlib.Path, family: str | Family | None, dtype: str | None
) -> ForeignWeights | BuiltWeights:
    """The tensors to write: of the program that the model was built from, or of a family."""
    caffe = path.suffix == ".caffemodel"
    record = record_of(model)
    if record is not None and family in (None, record.family):
        if caffe and not record.caffe:
            raise ConversionError(
                f"{path}: {model.name} was built from a program that is no network of Caffe, so that no layer of Caffe "
                "holds its weights. Write .safetensors, .pth or .pt."
            )
        return BuiltWeights(model, record, dtype)
    return foreign_weights(model, family, dtype=dtype, format="Caffe" if caffe else None)


def _write_torch(path: pathlib.Path, arrays: Mapping[str, np.ndarray], overwrite: bool) -> None:
    try:
        import torch
    except ImportError as error:
        raise ConversionError(
            f'{path}: writing .pth needs torch: pip install "tfseg[torch]", or write .safetensors, which does not.'
        ) from error
    with atomic(path, overwrite=overwrite) as temporary:
        # Copies: Keras may return read-only arrays, and torch warns of those.
        torch.save({key: _tensor(arrays[key]) for key in arrays}, temporary)


def _tensor(array: np.ndarray) -> Any:
    import torch

    if array.dtype.name == "bfloat16":  # which NumPy itself does not know
        return torch.from_numpy(array.view("int16").copy()).view(torch.bfloat16)
    return torch.from_numpy(np.array(array))
