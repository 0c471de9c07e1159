"""A model on disk, in the form that the file name asks for."""

import pathlib

from converters.errors import ConversionError
from converters.memory import saved_without_copies
from converters.weights.export_weights import export_weights
from converters.weights.import_weights import OWN
from converters.writing.files import atomic, check_target
from tfseg.exporting.saved_model import write_any

FORMS = ".keras (the model), .weights.h5, .safetensors (its weights), or a directory (SavedModel)"


def save(model, path, *, overwrite=False):
    """Writes a model whole or not at all: `.keras`, `.weights.h5`, `.safetensors` (variables by path), or a SavedModel.

    Raises:
        ConversionError: another suffix, a path that exists without `overwrite`, or one that cannot be written.
    """
    path = pathlib.Path(path)
    check(path, overwrite=overwrite)
    if path.suffix == ".safetensors":
        export_weights(model, path, family=OWN, overwrite=overwrite)
        return
    with atomic(path, overwrite=overwrite) as temporary:
        if path.suffix == ".keras":
            model.save(temporary)
        elif path.suffix == ".h5":
            with saved_without_copies(model):
                model.save_weights(temporary)
        else:
            write_any(model, temporary)


def check(path, *, overwrite=False):
    """Refuses an output that `save` would refuse, before any work is done."""
    path = pathlib.Path(path)
    if path.suffix not in ("", ".keras", ".safetensors") and not path.name.endswith(".weights.h5"):
        raise ConversionError(f"{path}: the output is {FORMS}. Received: suffix {path.suffix!r}")
    check_target(path, overwrite)
