"""Writes a model in the formats that deployments run, and compares each artifact with the model.

    tfseg export street.keras --output=street --format=saved_model --format=onnx

It creates the folder street: 1/ for TensorFlow Serving, model.onnx, metadata.json, and export.json, which says how much
each artifact differs from the model.
"""

import importlib.util
import pathlib

from absl import flags

from tfseg_cli import choices, flag_types, path_flags
from tfseg_cli.launch import UsageError, check_name, launch
from tfseg_cli.quiet import load_library

_MODEL = path_flags.model_source(
    "model",
    "The network: a .keras file, a folder of `tfseg export`, a checkpoint that `tfseg convert` reads, or the name of a "
    "published file.",
)
_PUBLIC = path_flags.public_code()
_OUTPUT = path_flags.output_directory("output", "The folder to create.", new=True)
_FORMAT = flag_types.choice_list("format", ["saved_model"], choices.FORMATS, "What to write; may be repeated.")
_PREPROCESSING = flag_types.text(
    "preprocessing",
    None,
    "How the images are prepared, such as torch or caffe, if the model does not say it: a name of "
    "tfseg.specs.PREPROCESSING.",
)
_CALIBRATION = path_flags.path_patterns(
    "calibration",
    "For formats of int8: a directory of photographs like those that the network will see, or a pattern.",
)
_SIZE = flag_types.size(
    "size", "Height and width of the images that the artifacts take, in pixels; by default any size."
)
_OUTPUTS = flag_types.choice(
    "outputs",
    "logits",
    choices.OUTPUTS,
    "What ONNX, OpenVINO and LiteRT give: logits of preprocessed images; or classes or probabilities of photographs, "
    "with preprocessing and argmax or softmax inside.",
)
_OPTIMIZE = flags.DEFINE_bool("optimize", False, "Whether to rewrite the network for speed first.")
_RECEIPT = path_flags.existing_file("receipt", "File of `tfseg convert --receipt`; metadata.json keeps its text.")


def main() -> None:
    """Runs `tfseg export`."""
    launch(_export, required=("model", "output"), positional="model")


def _export() -> int:
    _check_formats()
    try:
        receipt = pathlib.Path(_RECEIPT.value).read_text(encoding="utf-8") if _RECEIPT.value else None
    except UnicodeDecodeError:
        raise UsageError(f"--receipt={_RECEIPT.value}: expected a text file of `tfseg convert --receipt`") from None

    load_library()
    from absl import logging  # here, because it defines flags

    import tfseg
    from tfseg.exporting import summary
    from tfseg.image_search import search
    from tfseg.preprocessing import is_stored
    from tfseg.stored_channels import ARRAY_SUFFIX, SUFFIXES

    logging.set_verbosity(logging.ERROR)  # TensorFlow and tf2onnx would print every step
    check_name(_PREPROCESSING, list(tfseg.specs.PREPROCESSING), "ways to prepare images")
    try:
        images_and_folders = search(_CALIBRATION.value, suffixes=SUFFIXES).folders if _CALIBRATION.value else {}
    except ValueError as error:
        raise UsageError(f"--calibration: {error}") from None
    images = list(map(pathlib.Path, images_and_folders))
    model = tfseg.load(_MODEL.value, public=_PUBLIC.value)
    takes_arrays = is_stored(tfseg.metadata(model)["preprocessing"])
    photographs = [path for path in images if takes_arrays or path.suffix.lower() != ARRAY_SUFFIX] or None
    if images and not photographs:
        raise UsageError(f"--calibration: expected photographs. There are arrays alone, such as {images[0]}")
    folder = tfseg.export(
        tfseg.optimize(model) if _OPTIMIZE.value else model,
        _OUTPUT.value,
        _FORMAT.value,
        preprocessing=_PREPROCESSING.value,
        calibration=photographs,
        size=_SIZE.value,
        receipt=receipt,
        outputs=_OUTPUTS.value,
        progress=True,
    )
    print(summary(folder))
    return 0


def _check_formats() -> None:
    """Refuses formats that cannot be written, before anything is loaded.

    Raises:
        UsageError: a format twice, one whose extra is not installed, or one without the photographs that it needs.
    """
    for name in _FORMAT.value:
        if _FORMAT.value.count(name) > 1:
            raise UsageError(f"--format={name}: it is given twice")
        needs = choices.FORMATS[name]
        missing = [module for module in needs.modules if importlib.util.find_spec(module) is None]
        if missing:
            raise UsageError(
                f'--format={name} needs {", ".join(missing)}, not installed here: pip install "tfseg[{needs.extra}]"'
            )
    calibrated = [name for name in _FORMAT.value if name in choices.CALIBRATED]
    if calibrated and not _CALIBRATION.value:
        raise UsageError(
            f"--calibration is missing: --format={calibrated[0]} takes the ranges of its integers from photographs"
        )


if __name__ == "__main__":
    main()
