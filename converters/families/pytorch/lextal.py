"""Lextal/pspnet-pytorch: PSPNet on ResNets whose scores are enlarged in three steps.

Source of the facts: https://github.com/Lextal/pspnet-pytorch: pspnet.py, extractors.py and train.py. Its DenseNet
and its SqueezeNet are not here.
"""

from collections.abc import Iterator
from typing import Any

from converters.families.family import Family
from converters.families.trunks import FEATURES, HEAD, network, trunk
from converters.names.tables import Row
from converters.types import Shapes
from tfseg import specs

_SOURCE = "https://github.com/Lextal/pspnet-pytorch"
_ASSUMED = (
    "the tensors do not tell the pools, which have 1, 2, 3 and 6 bins a side, or whether maps were enlarged with "
    "aligned corners: they were not, as with PyTorch 0.4 and later. Logits come out, of which its code gives the "
    "log-softmax. Its preprocessing is the trainer's own: ImageNet's is assumed"
)
_UNREAD = (r"classifier\..*", "the classifier of the whole image, with which the network is trained")
_BINS = (1, 2, 3, 6)


def _head() -> Iterator[Row]:
    for index, bins in enumerate(_BINS):
        yield f"psp.stages.{index}.1", f"ppm_{bins}_conv", "conv"
    yield "psp.bottleneck", "head_conv", "conv"
    for layer, ending, kind in ((0, "conv", "conv"), (1, "bn", "norm"), (2, "prelu", "prelu")):
        yield f"up_{{i}}.conv.{layer}", f"step_{{i}}_{ending}", kind
    yield "final.0", "logits", "conv"


def _read(shapes: Shapes) -> dict[str, Any]:
    steps = [shapes[key][0] for index in (1, 2, 3) if (key := f"up_{index}.conv.0.weight") in shapes]
    keys = {"filters": "psp.bottleneck.weight", "branch_filters": "psp.stages.0.1.weight"}
    return {"steps": tuple(steps)} | {option: shapes[key][0] for option, key in keys.items() if key in shapes}


PSPNET = Family(
    name="Lextal/pspnet-pytorch",
    covers="PSPNet on ResNet-18 to -152, enlarged in three steps",
    files=_SOURCE,
    proof="its code, 3.2e-6",
    source=_SOURCE,
    license="none stated",
    formats=("PyTorch zip", "PyTorch legacy stream"),
    preprocessing="torch",
    networks=tuple(
        network(
            f"pspnet_resnet{depth}",
            specs.RESNETS[f"resnet{depth}"],
            (*trunk(specs.RESNETS[f"resnet{depth}"], "feats."), *_head()),
            (_UNREAD,),
            requires={"psp.bottleneck.weight": "", "up_3.conv.2.weight": "", "final.0.weight": ""},
            read=_read,
            assumed=_ASSUMED,
            # No convolution of a dilated stage's first block is dilated; a bottleneck has only one that could be.
            options={"one_rate": True} if depth < 50 else {},
        )
        for depth in (18, 34, 50, 101, 152)
    ),
    classes="final.0.weight",
    head=HEAD,
    features=FEATURES,
    options={
        "output_stride": 8,
        "convention": "one",
        "order": "features_last",
        "plain": True,
        "kernel_sizes": (1, 1),
        "dropout": 0.3,
    },
    conventions=("one",),
    dilates=False,
    multiple_of=8,
)
