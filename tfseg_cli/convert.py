"""Turns a foreign checkpoint into a Keras model that computes the same function.

    tfseg-convert --checkpoint=fcn_resnet50_coco-1167a1af.pth --output=fcn.keras

The name of the output chooses its format: .keras, .weights.h5, .safetensors, or a directory (SavedModel).
"""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from tfseg_cli.launch import launch, show_download

if TYPE_CHECKING:
    import numpy as np

_CHECKPOINT = flags.DEFINE_list(
    "checkpoint",
    None,
    "A file, a URL, or the name of a published file; several, separated by commas, hold one network.",
    required=True,
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Where to write: .keras, .weights.h5, .safetensors, or a directory.", required=True
)
_FAMILY = flags.DEFINE_string("family", None, "The family, if the file fits several.")
_NETWORK = flags.DEFINE_string(
    "network",
    None,
    "The network, if the names of the tensors do not say it; or another network, into which the weights that fit are "
    "loaded (a partial load).",
)
_NUM_CLASSES = flags.DEFINE_integer("num_classes", None, "Number of classes of the head; by default the file's number.")
_OUTPUT_STRIDE = flags.DEFINE_integer("output_stride", None, "32, 16, 8 or 4: dilates the network.")
_CONVENTION = flags.DEFINE_enum(
    "convention",
    None,
    ["previous", "new", "one"],
    "Dilation rate of the layers that lose their stride: their old rate, old rate times stride, or 1; by default the "
    "family's convention.",
)
_INCLUDE_TOP = flags.DEFINE_bool("include_top", None, "Whether to keep the head; by default it is kept if it is there.")
_AUX = flags.DEFINE_bool("aux", None, "Whether the model returns the auxiliary logits, too.")
_MULTI_SCALE = flags.DEFINE_list(
    "multi_scale",
    None,
    "Further sizes at which DeepLabV2 sees the image: 0.5,0.75, or none; by default the family's sizes.",
)
_PREPROCESSING = flags.DEFINE_string(
    "preprocessing",
    None,
    "How the images are prepared: a name of tfseg.specs.PREPROCESSING; by default the family's preprocessing.",
)
_SKIP = flags.DEFINE_multi_string(
    "skip", [], "Regular expression of weights that keep their initial values; may be repeated."
)
_PROTOTXT = flags.DEFINE_string(
    "prototxt", None, "Caffe's description of the network; the conversion fails if the network differs from it."
)
_ALLOW_NONFINITE = flags.DEFINE_bool("allow_nonfinite", False, "Whether to accept NaN and infinite weights.")
_VERIFY = flags.DEFINE_bool(
    "verify", False, "Whether to run the public implementation, too, and to fail if its results differ."
)
_IMAGE = flags.DEFINE_string(
    "image", None, "The photograph for --verify; by default examples/street.png of a clone of the repository."
)
_RECEIPT = flags.DEFINE_string("receipt", None, "Where to write the receipt, as JSON.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Whether to replace files that exist.")


def main() -> None:
    """Runs `tfseg-convert`."""
    launch(_convert)


def _convert() -> int:
    from converters import saving
    from converters.identification.sources import open_source
    from converters.writing import files

    saving.check_output(_OUTPUT.value, overwrite=_OVERWRITE.value)
    if _RECEIPT.value:
        files.check_target(_RECEIPT.value, _OVERWRITE.value)
    scales = _scales(_MULTI_SCALE.value)
    image = _photograph() if _VERIFY.value else None
    source = open_source(_CHECKPOINT.value, progress=show_download)

    from converters import convert, verify

    model, receipt = convert(
        source,
        family=_FAMILY.value,
        network=_NETWORK.value,
        num_classes=_NUM_CLASSES.value,
        output_stride=_OUTPUT_STRIDE.value,
        convention=_CONVENTION.value,
        include_top=_INCLUDE_TOP.value,
        aux=_AUX.value,
        multi_scale=scales,
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


def _scales(texts: Sequence[str] | None) -> tuple[float, ...] | None:
    """The numbers of --multi_scale; an empty tuple for "none"."""
    if texts is None:
        return None
    try:
        return () if texts == ["none"] else tuple(map(float, texts))
    except ValueError:
        raise ValueError(f"--multi_scale takes numbers, as in 0.5,0.75, or none. Received: {','.join(texts)}") from None


def _photograph() -> "np.ndarray":
    """The photograph of --image, or the example's."""
    from tfseg.images import read_image

    path = pathlib.Path(_IMAGE.value or pathlib.Path(__file__).parents[1] / "examples" / "street.png")
    if not path.is_file():
        raise ValueError(f"--verify needs a photograph: --image=photo.jpg. Received: {str(path)!r}, which is not there")
    return read_image(path)


if __name__ == "__main__":
    main()
