"""fyu/drn: dilated residual networks as classifiers, and their segmenters for Cityscapes.

Source of the facts: https://github.com/fyu/drn: drn.py, segment.py and datasets/cityscapes/info.json.
"""

import functools
from collections.abc import Iterable, Iterator
from typing import Any

from converters.families import trunks, variables
from converters.families.family import COUNTER, Family, FamilyNetwork
from converters.names.tables import Row, table
from tfseg import specs

_SOURCE = "https://github.com/fyu/drn"
_FORMATS = ("PyTorch legacy stream", "PyTorch zip")
_DEAD = "part of a shortcut that the public code builds and never adds"

# The names of modules in a classifier and in a segmenter, which has all of them in one sequence, `base`. The sequence
# also counts DRN-C's ReLU, and DRN-A's ReLU and pooling.
_STEMS = {
    "A": (("conv1", "bn1"), ("base.0", "base.1")),
    "C": (("conv1", "bn1"), ("base.0", "base.1")),
    "D": (("layer0.0", "layer0.1"), ("base.0.0", "base.0.1")),
}
_LEVELS = {"A": ("layer{l}", "base.{l+3}"), "C": ("layer{l}", "base.{l+2}"), "D": ("layer{l}", "base.{l}")}
_TARGETS = {"A": ("conv1", "conv{l+1}"), "C": ("level0", "level{l}"), "D": ("level0", "level{l}")}


def drn_rows(arch: str, segmenter: bool) -> tuple[Row, ...]:
    """The rows of one of the three architectures without its top; projections come first, as in `trunks.trunk`.

    Args:
        arch: "A", "C" or "D".
        segmenter: whether all modules lie in one sequence, as in this project's segmenters.
    """
    (conv, norm), level = _STEMS[arch][segmenter], _LEVELS[arch][segmenter]
    stem, stage = _TARGETS[arch]
    rows = [(conv, f"{stem}_conv", "conv"), (norm, f"{stem}_bn", "norm")]
    if arch == "D":  # a sequence of convolution, BatchNorm, ReLU
        for number in (1, 2, 7, 8):
            plain = level.replace("{l}", str(number))
            for block in (1, 2):
                place, target = 3 * (block - 1), f"level{number}_block{block}_1"
                rows += [
                    (f"{plain}.{place}", f"{target}_conv", "conv"),
                    (f"{plain}.{place + 1}", f"{target}_bn", "norm"),
                ]
    return (
        *rows,
        (f"{level}.{{b}}.downsample.0", f"{stage}_block{{b+1}}_0_conv", "conv"),
        (f"{level}.{{b}}.downsample.1", f"{stage}_block{{b+1}}_0_bn", "norm"),
        (f"{level}.{{b}}.conv{{c}}", f"{stage}_block{{b+1}}_{{c}}_conv", "conv"),
        (f"{level}.{{b}}.bn{{c}}", f"{stage}_block{{b+1}}_{{c}}_bn", "norm"),
    )


def _network(name: str, *, segmenter: bool, top: Iterable[Row], prefix: str = "", **fields: Any) -> FamilyNetwork:
    """The record of one network: its trunk and the rows that `top` adds."""
    spec = specs.DRNS[name]
    rows = (*drn_rows(spec.arch, segmenter), *top)
    if spec.arch == "A":
        resnet = specs.RESNETS["resnet50"]
        return trunks.network(prefix + name, resnet, rows, public=name, **fields)
    dead = [(r"(layer7|base\.9)\.0\.downsample\..*", _DEAD)] if spec.arch == "C" and spec.bottleneck else []
    names = table(rows, (COUNTER, *dead))
    first = names.key("level0_conv/kernel") or ""
    return FamilyNetwork(
        prefix + name, names, first, functools.partial(variables.drn, spec=spec), public=name, **fields
    )


DRN = Family(
    name="fyu/drn",
    covers="DRN-A-50, DRN-C-26, -42, -58 and DRN-D-22, -24, -38, -40, -54, -56, -105, -107",
    files=_SOURCE,
    proof="its code, 4.6e-6",
    source=f"{_SOURCE}/blob/master/drn.py",
    license="BSD-3-Clause",
    formats=_FORMATS,
    preprocessing="torch",
    networks=tuple(
        _network(name, segmenter=False, top=[("fc", "predictions", "dense" if spec.arch == "A" else "dense1x1")])
        for name, spec in specs.DRNS.items()
    ),
    classes="fc.weight",
    head=r"predictions/.*",
    dilates=False,
    conventions=(),
    distinct="its last two stages are dilated, each from its second block on",
)

_LOGITS, _UP = ("seg", "logits", "conv"), ("up", "up", "upconv_depthwise")


def _segmenters(name: str) -> Iterator[FamilyNetwork]:
    """Both forms: with the transposed convolution, and with the interpolation of `use_torch_up`."""
    requires = {"up.weight": "seg.weight"}
    yield _network(name, segmenter=True, top=[_LOGITS, _UP], prefix="drnseg_", requires=requires)
    interpolation = {"upsampling": "bilinear_align_corners"}
    yield _network(name, segmenter=True, top=[_LOGITS], prefix="drnseg_", options=interpolation)


SEGMENTER = Family(
    name="fyu/drnseg",
    covers="DRNSeg on each of these",
    files="http://go.yf.io/drn-cityscapes-models",
    proof="its code, 4.9e-6",
    source=f"{_SOURCE}/blob/master/segment.py",
    license="BSD-3-Clause",
    formats=_FORMATS,
    preprocessing="drn_cityscapes",
    networks=tuple(network for name in specs.DRNS for network in _segmenters(name)),
    classes="seg.weight",
    head=r"(logits|up)/.*",
    features=r"level8_block\d+_\d_relu|conv5_block\d+_out",
    dilates=False,
    conventions=(),
    datasets=("cityscapes",),
    outputs=slice(0),  # logarithms of probabilities, for a map that can be larger than the image
)
