"""Yahoo's open_nsfw: a ResNet-50 with half the filters, except in its stem, and a bias in every convolution.

Source of the facts: https://github.com/yahoo/open_nsfw: nsfw_model/deploy.prototxt, classify_nsfw.py.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

from converters.families.family import Family
from converters.families.trunks import network
from converters.names.tables import Row
from tfseg import specs

_TRUNK: dict[str, Any] = {"stride_in": "1x1", "stem_pool": (0, 1), "stem_filters": 128, "biases": "all"}


def _rows() -> Iterator[Row]:
    for source, target in (
        ("_1", "conv1"),
        ("_stage{s}_block{b}_proj_shortcut", "conv{s+2}_block{b+1}_0"),
        ("_stage{s}_block{b}_branch2{c:a}", "conv{s+2}_block{b+1}_{c}"),
    ):
        yield f"conv{source}", f"{target}_conv", "conv"
        yield f"bn{source}", f"{target}_bn", "batchnorm"
        yield f"scale{source}", f"{target}_bn", "scale"
    yield "fc_nsfw", "predictions", "dense"


OPEN_NSFW = Family(
    name="yahoo/open_nsfw",
    source="https://github.com/yahoo/open_nsfw",
    license="BSD-2-Clause",
    covers="its ResNet-50 of half width (two classes: safe, not safe for work)",
    files="https://github.com/yahoo/open_nsfw",
    formats=("Caffe",),
    preprocessing="caffe_rounded",
    networks=(network("resnet50", dataclasses.replace(specs.RESNETS["resnet50"], **_TRUNK), _rows()),),
    classes="fc_nsfw.weight",
    head=r"predictions/.*",
    options=_TRUNK,
    conventions=("previous", "new"),
    proof="OpenCV, 9.2e-7",
)
