"""What the commands of this package share: how they read a model."""

import pathlib

import keras


def load_model(path):
    """The model of a `.keras` file, without its optimizer.

    Raises:
        ValueError: anything else, or a file that does not load.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise ValueError(f"There is no model {str(path)!r}.")
    if path.suffix != ".keras" or path.is_dir():
        kind = "directory" if path.is_dir() else path.suffix
        what = _OTHERS.get(kind, "which tfseg-convert may turn into one")
        raise ValueError(f"A model is a .keras file, as model.save() writes. Received: {str(path)!r}, {what}.")
    try:
        return keras.saving.load_model(path, compile=False)  # a loss that is not at hand is no reason to refuse
    except Exception as error:  # a damaged archive, an unknown layer: Keras raises nearly anything
        raise ValueError(f"The model {str(path)!r} does not load: {error}") from error


_OTHERS = {
    "directory": "a directory: perhaps an exported SavedModel, which runs without Keras and does not come back",
    ".h5": "weights alone, or a model of Keras 2: build the network, load them into it and save that",
}
