"""divamgupta's image-segmentation-keras: its U-Net and SegNet on VGG16.

The layers of its decoders have no names: Keras counts them. A ReLU in the U-Net's is of March 2020. Only from March
2021 on a file says that it is newer, by a layer `seg_feats`.

Source of the facts: https://github.com/divamgupta/image-segmentation-keras: models/unet.py, models/segnet.py,
models/vgg16.py, data_utils/data_loader.py, and their history.
"""

import functools
from collections.abc import Iterator
from typing import Any

from converters.families import variables
from converters.families.family import Family, FamilyNetwork
from converters.names.tables import Row, table
from converters.types import Shapes
from tfseg import specs

_SOURCE = "https://github.com/divamgupta/image-segmentation-keras"
_CONVS = 4
_FILTERS = (512, 256, 128, 64)
_TAPS = tuple(f"pool{stage}" for stage in range(1, 5))
_NAMED = "seg_feats"
_ASSUMED = (
    "the softmax that ends the package's model is left out: the logits come out. They have half of the image's size "
    "and are repeated to it, as the package enlarges its classes"
)


def _rows(*, named: bool) -> Iterator[Row]:
    """The rows; the last convolution before the logits has a name, or is counted, too."""
    yield "block{s}_conv{i}", "conv{s}_{i}", "keras_conv"
    counted = _CONVS - named
    for index in range(counted):
        yield f"conv2d_{index + 1}", f"decoder_{index}_conv", "keras_conv"
    if named:
        yield _NAMED, f"decoder_{_CONVS - 1}_conv", "keras_conv"
    yield f"conv2d_{counted + 1}", "logits", "keras_conv"
    for index in range(_CONVS):
        yield f"batch_normalization_{index + 1}", f"decoder_{index}_bn", "keras_norm"


@functools.cache
def _variables(width: float, *, skips: bool) -> Shapes:
    """The kernels of the trunk's first four stages, and those of the decoder."""
    kernels = {path: shape for path, shape in variables.vgg(width, depth=16).items() if not path.startswith("conv5")}
    before = specs.scaled(specs.VGG_FILTERS[3], width)
    for index, filters in enumerate(_FILTERS):
        beside = specs.scaled(specs.VGG_FILTERS[3 - index], width) if skips and index else 0
        kernels[f"decoder_{index}_conv/kernel"] = (3, 3, before + beside, filters)
        before = filters
    return kernels


def _network(*, skips: bool, named: bool) -> FamilyNetwork:
    options: dict[str, Any] = {"taps": _TAPS, "filters": _FILTERS}
    return FamilyNetwork(
        "segnet_vgg16",
        table(tuple(_rows(named=named))),
        "block1_conv1/kernel",
        functools.partial(_variables, skips=skips),
        complete=r"conv\d_\d|decoder_\d_conv",
        requires={_NAMED + "/kernel": ""} if named else {f"conv2d_{_CONVS + 1}/kernel": ""},
        classes=f"conv2d_{_CONVS + 1 - named}/kernel",
        options=options | ({"skips": True, "activation": "relu"} if skips else {}),
        assumed=_ASSUMED,
        dilates=False,
    )


SEGMENTERS = Family(
    name="divamgupta/image-segmentation-keras",
    source=_SOURCE,
    license="MIT",
    covers="vgg_unet from March 2021 on, and vgg_segnet: weights that the package saves",
    files=_SOURCE,
    formats=("Keras HDF5", "Keras zip"),
    preprocessing="caffe_rgb",
    networks=(
        _network(skips=True, named=True),
        _network(skips=False, named=True),
        _network(skips=False, named=False),
    ),
    classes="conv2d_4/kernel",
    head=r"(?!conv\d).*",
    features="pool4",
    dilates=False,
    conventions=(),
    proof="its code, 0",
)
