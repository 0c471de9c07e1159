"""Makes of a model what deployments run, and compares each artifact with it before it counts.

    tfseg-export --model=street.keras --output=street --format=saved_model --format=onnx

makes the directory street: 1/ for TensorFlow Serving, model.onnx, metadata.json, and export.json, which tells how far
each artifact lies from the model.
"""

import pathlib

from absl import flags, logging

from tfseg import exporting, optimize, specs
from tfseg_cli.common import load_model
from tfseg_cli.launch import launch

_MODEL = flags.DEFINE_string("model", None, "The network, a .keras file.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "The directory to make.", required=True)
_FORMAT = flags.DEFINE_multi_enum("format", ["saved_model"], list(exporting.FORMATS), "May be repeated.")
_PREPROCESSING = flags.DEFINE_enum(
    "preprocessing",
    None,
    list(specs.PREPROCESSING),
    "How the network's input is prepared, if the model does not say it.",
)
_CALIBRATION = flags.DEFINE_string("calibration", None, "For litert_int8: a directory of photographs, or a pattern.")
_SIZE = flags.DEFINE_list("size", None, "Height and width that the artifacts take, as in 512,1024; by default any.")
_OPTIMIZE = flags.DEFINE_bool("optimize", False, "Whether to rewrite the network for speed first.")
_RECEIPT = flags.DEFINE_string("receipt", None, "What tfseg-convert --receipt wrote, to travel in metadata.json.")


def main():
    launch(_export)


def _export():
    logging.set_verbosity(logging.ERROR)  # TensorFlow and tf2onnx would tell every step
    model = load_model(_MODEL.value)
    path = exporting.export(
        optimize(model) if _OPTIMIZE.value else model,
        _OUTPUT.value,
        _FORMAT.value,
        preprocessing=_PREPROCESSING.value,
        calibration=_CALIBRATION.value,
        size=_SIZE.value and [int(side) if side.isdecimal() else side for side in _SIZE.value],
        receipt=_RECEIPT.value and pathlib.Path(_RECEIPT.value).read_text(),
    )
    print(exporting.summary(path))
    return 0


if __name__ == "__main__":
    main()
