"""Writes a model to disk, in the format that the file name asks for."""

import pathlib

import keras

from converters.conversion.rebuild_network import describe_own_network
from converters.errors import ConversionError
from converters.identification.own_files import BY_PATH
from converters.memory import saved_without_copies
from converters.types import Path
from converters.weights.export_weights import export_weights
from converters.weights.receipts import Receipt
from converters.writing.files import atomic, check_target
from tfseg.exporting import export
from tfseg.exporting.keras_file import save_keras
from tfseg.variable_views import view

FORMATS = ".keras (the model), .weights.h5, .safetensors (its weights), or a directory (what tfseg.export writes)"


def save(model: keras.Model, path: Path, *, receipt: Receipt | None = None, overwrite: bool = False) -> None:
    """Writes a model whole or not at all: `.keras`, `.weights.h5`, or `.safetensors`; or a folder of `tfseg.export`.

    Args:
        model: model to write.
        path: file or directory to write; its suffix chooses the format.
        receipt: receipt that `convert` returned. A `.safetensors` file then says which network it holds.
        overwrite: whether something at `path` is replaced.
    Raises:
        ConversionError: another suffix, a path that exists without `overwrite`, or one that cannot be written.
    """
    path = pathlib.Path(path)
    check_output(path, overwrite=overwrite)
    if path.suffix == ".safetensors":
        stated = describe_own_network(model, receipt) if receipt else None
        export_weights(model, path, family=BY_PATH, overwrite=overwrite, header=stated.header() if stated else None)
        return
    with atomic(path, overwrite=overwrite) as partial:
        if path.suffix == ".keras":
            save_keras(model, partial, values=view)
        elif path.suffix == ".h5":
            with saved_without_copies(model):
                model.save_weights(partial)
        else:
            _export(model, partial, receipt)


def _export(model: keras.Model, path: pathlib.Path, receipt: Receipt | None) -> None:
    """Writes a folder with a SavedModel, as `tfseg.export` does."""
    try:
        export(model, path, receipt=receipt)
    except ConversionError:
        raise
    except ValueError as error:
        raise ConversionError(
            f"{model.name} cannot be exported as a SavedModel: {error} A .keras file takes any network."
        ) from error


def check_output(path: Path, *, overwrite: bool = False) -> None:
    """Refuses an output that `save` would refuse, before any work is done.

    Args:
        path: file or directory to write.
        overwrite: whether something at `path` may be replaced.
    Raises:
        ConversionError: as `save`.
    """
    path = pathlib.Path(path)
    if path.suffix not in ("", ".keras", ".safetensors") and not path.name.endswith(".weights.h5"):
        raise ConversionError(f"{path}: the output is {FORMATS}. Received: suffix {path.suffix!r}")
    check_target(path, overwrite)
