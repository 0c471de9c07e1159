"""Turns a foreign checkpoint into a Keras model that computes the same function.

    tfseg convert fcn_resnet50_coco-1167a1af.pth --output=fcn.keras

The suffix of the output decides its format: .keras, .weights.h5, .safetensors, or a directory (SavedModel).
"""

import pathlib
from typing import TYPE_CHECKING

from absl import flags

from tfseg_cli import flag_types, path_flags
from tfseg_cli.launch import check_name, launch, show_download
from tfseg_cli.quiet import load_library

if TYPE_CHECKING:
    import numpy as np

_CHECKPOINT = path_flags.model_sources(
    "checkpoint",
    "A file, a URL, or the name of a published file. Several, with commas or spaces between them, hold one network.",
)
_OUTPUT = path_flags.output_file(
    "output", "Where to write; the suffix decides the format.", suffixes=("", ".keras", ".weights.h5", ".safetensors")
)
_FAMILY = flag_types.text("family", None, "The family, if several fit the file; `tfseg list` prints them.")
_NETWORK = flag_types.text(
    "network", None, "The network, if several fit, or another one that takes the weights; `tfseg list` prints them."
)
_NUM_CLASSES = flag_types.integer("num_classes", None, "Number of classes of the head; by default the file's.", least=1)
_OUTPUT_STRIDE = flag_types.choice("output_stride", None, ("32", "16", "8", "4"), "Dilates the network.")
_CONVENTION = flag_types.choice(
    "convention",
    None,
    ("previous", "new", "one"),
    "Rate of the layers that lose their stride: the old one, old x stride, or 1; by default the family's.",
)
_INCLUDE_TOP = flags.DEFINE_bool("include_top", None, "Whether to keep the head; by default if the file has one.")
_AUX = flags.DEFINE_bool("aux", None, "Whether the model returns the auxiliary logits too.")
_MULTI_SCALE = flag_types.numbers(
    "multi_scale",
    None,
    "Further sizes at which DeepLabV2 sees the image, such as 0.5,0.75, or none; by default the family's.",
    above=0,
    word="none",
)
_PREPROCESSING = flag_types.text(
    "preprocessing", None, "How images are prepared: a name of tfseg.specs.PREPROCESSING; by default the family's."
)
_SKIP = flag_types.patterns("skip", "Regular expression of variables that keep their initial values; may be repeated.")
_PROTOTXT = path_flags.existing_file(
    "prototxt", "Caffe's description of the network: the file is refused unless it describes the network that is built."
)
_ALLOW_NONFINITE = flags.DEFINE_bool("allow_nonfinite", False, "Accept NaN and infinite weights.")
_VERIFY = flags.DEFINE_bool("verify", False, "Compare with the public implementation, and fail if it differs.")
_IMAGE = path_flags.existing_file(
    "image", "The photograph for --verify; by default examples/street.png of a clone of the repository."
)
_RECEIPT = path_flags.output_file("receipt", "Where to write the receipt, as JSON.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace files that exist.")


def main() -> None:
    """Runs `tfseg-convert`."""
    launch(_convert, required=("checkpoint", "output"), positional="checkpoint")


def _convert() -> int:
    load_library()
    import tfseg
    from converters import saving
    from converters.families import FAMILIES
    from converters.identification.sources import open_source
    from converters.writing import files

    check_name(_FAMILY, list(FAMILIES), "families")
    check_name(_NETWORK, tfseg.list_models(), "networks")
    check_name(_PREPROCESSING, list(tfseg.specs.PREPROCESSING), "ways to prepare images")
    saving.check_output(_OUTPUT.value, overwrite=_OVERWRITE.value)
    if _RECEIPT.value:
        files.check_target(_RECEIPT.value, _OVERWRITE.value)
    image = _photograph() if _VERIFY.value else None
    source = open_source(_CHECKPOINT.value, progress=show_download)

    from converters import convert, verify

    model, receipt = convert(
        source,
        family=_FAMILY.value,
        network=_NETWORK.value,
        num_classes=_NUM_CLASSES.value,
        output_stride=_OUTPUT_STRIDE.value and int(_OUTPUT_STRIDE.value),
        convention=_CONVENTION.value,
        include_top=_INCLUDE_TOP.value,
        aux=_AUX.value,
        multi_scale=_MULTI_SCALE.value,
        preprocessing=_PREPROCESSING.value,
        skip=_SKIP.value,
        prototxt=_PROTOTXT.value,
        allow_nonfinite=_ALLOW_NONFINITE.value,
    )
    if image is not None:
        verify(model, receipt, source, image)
    saving.save(model, _OUTPUT.value, overwrite=_OVERWRITE.value)
    if _RECEIPT.value:
        receipt.save(_RECEIPT.value, overwrite=_OVERWRITE.value)
    print(receipt)
    print(f"written to  {_OUTPUT.value}")
    return 0


def _photograph() -> "np.ndarray":
    """The photograph of --image, or the example's."""
    from tfseg.images import read_image

    path = pathlib.Path(_IMAGE.value or pathlib.Path(__file__).parents[1] / "examples" / "street.png")
    if not path.is_file():
        raise ValueError(f"--verify needs a photograph: --image=photo.jpg. Received: {str(path)!r}, which is not there")
    return read_image(path)


if __name__ == "__main__":
    main()
