"""milesial/Pytorch-UNet: U-Net with transposed convolutions, or with bilinear interpolation.

Source of the facts: https://github.com/milesial/Pytorch-UNet: unet/unet_model.py, unet/unet_parts.py,
utils/data_loading.py.
"""

import functools
from collections.abc import Iterator
from typing import Any

from converters.families import further_variables
from converters.families.family import COUNTER, Family, FamilyNetwork
from converters.names.tables import Row, table
from converters.types import Shapes

_SOURCE = "https://github.com/milesial/Pytorch-UNet"
_STEPS = 4
_ASSUMED = "the tensors do not tell how maps are enlarged: bilinearly with aligned corners here, as in its code"


def _rows() -> Iterator[Row]:
    for index in range(_STEPS + 1):
        yield from _two(f"down{index}.maxpool_conv.1" if index else "inc", f"encoder_{index}")
    for index in range(_STEPS):
        yield f"up{index + 1}.up", f"decoder_{index}_up", "upconv"
        yield from _two(f"up{index + 1}.conv", f"decoder_{index}")
    yield "outc.conv", "logits", "conv"


def _two(source: str, target: str) -> Iterator[Row]:
    for place, number in ((0, 1), (3, 2)):
        yield f"{source}.double_conv.{place}", f"{target}_conv{number}_conv", "conv"
        yield f"{source}.double_conv.{place + 1}", f"{target}_conv{number}_bn", "norm"


def _read(shapes: Shapes) -> dict[str, Any]:
    return {"biases": "inc.double_conv.0.bias" in shapes}


def _network(upsampling: str) -> FamilyNetwork:
    bilinear = upsampling != "transposed_convolution"
    return FamilyNetwork(
        "plain_unet",
        table(tuple(_rows()), (COUNTER,)),
        "inc.double_conv.0.weight",
        functools.partial(further_variables.plain_unet, bilinear=bilinear),
        complete=r"decoder_\d_up",
        public="bilinear" if bilinear else "transposed",
        options={"upsampling": upsampling},
        assumed=_ASSUMED if bilinear else "",
        read=_read,
        requires={"outc.conv.weight": ""},
    )


UNET = Family(
    name="milesial/Pytorch-UNet",
    covers="U-Net with transposed convolutions, and with bilinear interpolation",
    files=_SOURCE,
    proof="its code, 1.2e-6",
    source=_SOURCE,
    license="GPL-3.0",
    formats=("PyTorch zip", "PyTorch legacy stream"),
    preprocessing="unit",
    networks=(_network("transposed_convolution"), _network("bilinear_align_corners")),
    classes="outc.conv.weight",
    head="logits/.*",
    features="decoder_3_conv2_relu",
    dilates=False,
    conventions=(),
)
