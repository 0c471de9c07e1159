"""What the commands of this package share: how they read a model."""

import json
import pathlib

import keras

from tfseg.layers import Metadata


def load_model(path):
    """The model of a `.keras` file, without its optimizer; or one around the SavedModel of an exported folder.

    Raises:
        ValueError: anything else, or a file that does not load.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise ValueError(f"There is no model {str(path)!r}.")
    if (path / "metadata.json").is_file():
        return _exported(path)
    if path.suffix != ".keras" or path.is_dir():
        kind = "directory" if path.is_dir() else path.suffix
        what = _OTHERS.get(kind, "which tfseg-convert may turn into one")
        raise ValueError(f"A model is a .keras file, as model.save() writes. Received: {str(path)!r}, {what}.")
    try:
        return keras.saving.load_model(path, compile=False)  # a loss that is not at hand is no reason to refuse
    except Exception as error:  # a damaged archive, an unknown layer: Keras raises nearly anything
        raise ValueError(f"The model {str(path)!r} does not load: {error}") from error


def _exported(folder):
    """What `tfseg.export` made: its .keras file, or else its SavedModel as the one layer of a model."""
    if (folder / "model.keras").is_file():
        return load_model(folder / "model.keras")
    try:
        facts = json.loads((folder / "metadata.json").read_text())
        version = max((path for path in folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
        layer = keras.layers.TFSMLayer(str(version), call_endpoint="logits")
        (taken,) = keras.tree.flatten(layer.call_endpoint_fn.concrete_functions[0].structured_input_signature)
        image = keras.Input(batch_shape=tuple(taken.shape))  # of one size, if it was exported so
        marked = Metadata(facts["preprocessing"], facts["classes"], facts["colors"])(image)
        return keras.Model(image, layer(marked)["logits"], name=facts["name"])
    except Exception as error:  # nothing in it, half of it: TensorFlow raises nearly anything
        raise ValueError(
            f"The exported model {str(folder)!r} does not load: {error}. It holds model.keras or a SavedModel, 1/."
        ) from error


_OTHERS = {
    "directory": "a directory: perhaps a SavedModel, which runs without Keras and comes back from a tfseg.export alone",
    ".h5": "weights alone, or a model of Keras 2: build the network, load them into it and save that",
}
