"""How every command starts and ends."""

import functools
import os
import sys
from collections.abc import Callable

from absl import app, flags


def launch(command: Callable[[], int | str | None]) -> None:
    """Parses the flags, runs `command()`, and exits with the code that it returns, or prints the error that it returns.

    For a ValueError or OSError, which a user can correct, the message is printed without a traceback. Ctrl-C exits with
    130.

    Args:
        command: function of the command's file; the docstring of the file is the help text.
    """
    # For --help, absl takes text and flags from the main module. That is the installed script, not the command's file.
    module = command.__module__
    sys.modules["__main__"].__doc__ = sys.modules[module].__doc__
    for flag in flags.FLAGS.get_key_flags_for_module(module):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)

    def run(arguments: list[str]) -> int | str | None:
        if len(arguments) > 1:
            raise app.UsageError(
                f"Unexpected: {' '.join(arguments[1:])}. Write values as --flag=value, and patterns in quotes: "
                "--name='*.jpg'"
            )
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hides TensorFlow's messages at the start
        try:
            return command()
        except KeyboardInterrupt:
            return 130
        except (ValueError, OSError) as error:
            return f"{os.path.basename(sys.argv[0])}: {error}"

    app.run(run)


def show_download(done: int, total: int | None) -> None:
    """A `tfseg.progress.Progress` that shows on stderr how much of a download has arrived.

    Args:
        done: bytes that have arrived.
        total: bytes of the whole file; None if the server does not tell.
    """
    _download_line()(done, total)


@functools.cache
def _download_line() -> Callable[[int, int | None], None]:
    from tfseg.progress import ProgressLine  # here, because it loads Keras and most runs download nothing

    return ProgressLine("bytes")
