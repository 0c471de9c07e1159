"""Keras networks for semantic segmentation, from checkpoints of PyTorch, Caffe, TensorFlow 1 and Keras."""

import importlib
import importlib.util
import pathlib
import re
import sys

from tfseg_cli.flag_types import nearest

COMMANDS = {
    "convert": "turns a checkpoint into a Keras model",
    "inspect": "says which network a checkpoint is for, and lists its tensors",
    "predict": "writes the class of every pixel of images",
    "inspect-data": "finds mistakes in a data set before training",
    "train": "trains a segmenter on images and masks",
    "evaluate": "measures a model on a data set",
    "export": "writes a model for deployment and compares each artifact with it",
    "serve": "serves an exported model over HTTP",
    "list": "lists networks, published files and families",
}


def main() -> None:
    """Runs `tfseg COMMAND ...`: only the module of that command is imported."""
    word, arguments = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("", [])
    if word in ("--version", "-V", "version"):
        print(f"tfseg {version()}")
        return
    if word in ("--help", "-h", "-help", "help"):
        if arguments and arguments[0] in COMMANDS:
            word, arguments = arguments[0], ["--help"]
        else:
            print(usage())
            return
    if word not in COMMANDS:
        what = f"{word!r} is not a command{nearest(word, COMMANDS)}" if word else "name a command"
        print(f"tfseg: {what.rstrip('.')}\n\n{usage()}" if not word else f"tfseg: {what}", file=sys.stderr)
        sys.exit(2)
    sys.argv = [f"tfseg {word}", *arguments]
    importlib.import_module(f"tfseg_cli.{word.replace('-', '_')}").main()


def usage() -> str:
    """The commands and what each does."""
    lines = [f"  {name:14}{what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [__doc__ or "", "", "usage: tfseg COMMAND [flags]", "", *lines, "", "tfseg COMMAND --help: its flags"]
    )


def version() -> str:
    """The version of tfseg, without importing it."""
    spec = importlib.util.find_spec("tfseg")
    text = pathlib.Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
    match = re.search(r'__version__ = "(.+)"', text)
    return match[1] if match else "unknown"


if __name__ == "__main__":
    main()
