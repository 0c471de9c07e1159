"""Layers compute in the precision of their policy."""

import pytest
from helpers.layer_outputs import every_way
from helpers.references import images, relative

from tfseg.layers import AdaptiveAveragePooling, CropLike, DepthwiseConv2DTranspose, DilatedPooling, ResizeLike


@pytest.mark.quick_variants(6)
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize(
    "build",
    [
        lambda policy: ResizeLike(dtype=policy),
        lambda policy: CropLike(2, dtype=policy),
        lambda policy: AdaptiveAveragePooling(7, dtype=policy),
        lambda policy: DilatedPooling(3, "average", 2, 2, "same", dtype=policy),
        lambda policy: DepthwiseConv2DTranspose(4, dtype=policy),
    ],
    ids=["ResizeLike", "CropLike", "AdaptiveAveragePooling", "DilatedPooling", "DepthwiseConv2DTranspose"],
)
def test_layers_compute_in_the_policys_precision(build, policy):
    layer, full = build(policy), build("float32")
    arrays = [images(9, 13), images(7, 9)][: 2 if isinstance(layer, ResizeLike | CropLike) else 1]
    for ours, reference in zip(every_way(layer, *arrays), every_way(full, *arrays), strict=True):
        assert ours.dtype == layer.compute_dtype
        assert relative(ours, reference) <= {"float16": 2e-3, "bfloat16": 2e-2, "float64": 1e-6}[layer.compute_dtype]
