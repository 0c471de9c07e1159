"""What the commands share: how they start and end, and how they read a model."""

import pathlib
import sys

import keras
from absl import app, flags


def launch(command):
    """Parses the flags and runs `command()`; what that returns is the exit code, or an error to print.

    A ValueError or OSError is the user's to mend: its message, without a traceback. Ctrl-C exits with 130.
    """
    # For --help, absl takes text and flags from the main module. That is the installed script, not the command's file.
    module = command.__module__
    sys.modules["__main__"].__doc__ = sys.modules[module].__doc__
    for flag in flags.FLAGS.get_flags_for_module(module):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)

    def run(arguments):
        if len(arguments) > 1:
            raise app.UsageError(f"Unexpected: {' '.join(arguments[1:])} (quote patterns: --images='photos/*.jpg')")
        try:
            return command()
        except KeyboardInterrupt:
            return 130
        except (ValueError, OSError) as error:
            return f"{pathlib.Path(sys.argv[0]).name}: {error}"

    app.run(run)


def load_model(path):
    """The model of a `.keras` file.

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
        return keras.saving.load_model(path)
    except Exception as error:  # a damaged archive, an unknown layer: Keras raises nearly anything
        raise ValueError(f"The model {str(path)!r} does not load: {error}") from error


_OTHERS = {
    "directory": "a directory: perhaps an exported SavedModel, which runs without Keras and does not come back",
    ".h5": "weights alone, or a model of Keras 2: build the network, load them into it and save that",
}
