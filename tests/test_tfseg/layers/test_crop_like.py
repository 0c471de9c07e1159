"""Crops begin at the offset and have the size of the reference."""

import pytest
from helpers.layer_outputs import check_layer
from helpers.references import images

from tfseg.layers import CropLike


@pytest.mark.parametrize("offset", [0, 1, 5])
def test_crop_like(offset):
    pixels = images(12, 15, channels=3, batch=2)
    for height, width in ((1, 1), (7, 10), (6, 3)):
        reference = pixels[:, offset : offset + height, offset : offset + width]
        check_layer(CropLike(offset), reference, pixels, images(height, width, channels=1, batch=2), tolerance=0)
