"""Opens whatever holds a model: a Keras file, an exported folder, or a checkpoint of another library."""

import pathlib
import tempfile
import zipfile
from typing import Any

import keras

from tfseg.exporting.exported_folder import is_exported_folder, read_exported_folder
from tfseg.layers import Metadata
from tfseg.types import Path


def load(path: Path, *, public: Any = None) -> keras.Model:
    """The model in a Keras file, an exported folder or a checkpoint, ready for `tfseg.predict`.

    Args:
        path: where the model is:
            a `.keras` file, loaded without its optimizer;
            a folder that `tfseg.export` made, from which the model is its `.keras` file or else its SavedModel;
            anything else that `converters.convert` takes: a checkpoint of another library, its URL, or the name of a
            published file. The last two are downloaded once.
        public: code that builds the network of a file of weights, as `converters.convert` takes it:
            "torchvision.models:densenet121". Importing it runs it.
    Returns: a `keras.Model`. The model around a SavedModel has a single layer with weights, so no surgery can be done.
    Raises:
        ValueError: nothing is there, or it is not a model. For checkpoints this is a `converters.ConversionError`.

    Example:
        >>> model = tfseg.load("street.pth")
        >>> tfseg.predict(model, "street.png").shape
        (360, 480)
        >>> model.save("street.keras")
        >>> tfseg.load("street.keras").output_shape
        (None, None, None, 11)
    """
    local = pathlib.Path(path)
    if public is None and is_exported_folder(local):
        return _load_exported(local)
    if public is None and local.suffix.lower() == ".keras" and "://" not in str(path):
        return _load_keras_file(local)
    if (local / "saved_model.pb").is_file():
        raise ValueError(
            f"{str(local)!r} is a SavedModel, which has lost the layers of its network. If tfseg.export wrote it, give "
            "the folder around it, which has a metadata.json."
        )
    if local.name.endswith(".weights.h5") and local.is_file():
        raise ValueError(
            f"{str(local)!r} holds the weights of a Keras model, without its network: build the network with "
            "tfseg.build, then call model.load_weights(path)."
        )
    import converters  # which stands above this package: checkpoints need its families

    return converters.convert(path, public=public)[0]


def _is_archive(path: pathlib.Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # it says that it is one of several
        return False


def _load_keras_file(path: pathlib.Path) -> keras.Model:
    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a directory. Expected a .keras file, or a folder that tfseg.export made.")
    if not path.is_file():
        raise ValueError(f"There is no model {str(path)!r}.")
    if not _is_archive(path):  # Keras says that there is no such file
        raise ValueError(
            f"The model {str(path)!r} does not load: it is not a whole .keras archive. Received: {path.stat().st_size} "
            "bytes. Copy or save it again."
        )
    try:
        with tempfile.TemporaryDirectory() as folder:
            link = pathlib.Path(folder, "model.keras")  # Keras knows the format by a suffix in small letters
            if path.suffix != link.suffix:
                link.symlink_to(path.resolve())
            opened = path if path.suffix == link.suffix else link
            return keras.saving.load_model(opened, compile=False)  # a loss that is not at hand is no reason to refuse
    except Exception as error:  # a damaged archive, an unknown layer: Keras raises nearly anything
        raise ValueError(f"The model {str(path)!r} does not load: {error}") from error


def _load_exported(path: pathlib.Path) -> keras.Model:
    """The `.keras` file of a folder that `tfseg.export` made, or else its SavedModel as the one layer of a model."""
    if (path / "model.keras").is_file():
        return _load_keras_file(path / "model.keras")
    folder = read_exported_folder(path)
    saved_model = folder.saved_model
    try:
        layer = keras.layers.TFSMLayer(str(saved_model), call_endpoint="logits")
        (taken,) = keras.tree.flatten(layer.call_endpoint_fn.concrete_functions[0].structured_input_signature)
        image = keras.Input(batch_shape=tuple(taken.shape))  # one size only, if the model was exported so
        marked = Metadata(folder.preprocessing, folder.classes, folder.colors)(image)
        return keras.Model(image, layer(marked)["logits"], name=folder.name)
    except Exception as error:  # a damaged file: TensorFlow raises nearly anything
        raise ValueError(f"The exported model {str(saved_model)!r} does not load: {error}") from error
