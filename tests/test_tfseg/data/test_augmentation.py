"""Augmentation: photograph and mask change together; impossible augmentations are refused."""

import numpy as np
import pytest
from helpers.data_sets import pairs
from PIL import Image

from tfseg import data
from tfseg.data.augmentation import augment, rotated


def test_photograph_and_mask_are_changed_together():
    """An image that shows its own mask still does after any crop, scale and mirroring."""
    ids = np.kron(np.array([[0, 1], [2, 3]]), np.ones((40, 40))).astype("uint8")
    image = np.repeat(ids[..., None] * 60, 3, axis=-1).astype("uint8")
    mirrored = 0
    for seed in range(12):
        tensors = augment(image, ids, data.Augmentation(crop=(50, 60)), (0, seed))
        changed, classes = (tensor.numpy() for tensor in tensors)
        assert changed.shape == (50, 60, 3)
        counted = classes != 255
        shown = np.round(changed[..., 0] / 60)
        assert (shown[counted] == classes[counted]).mean() > 0.9  # the edges between classes are blended
        first = classes[counted]
        mirrored += bool(len(first) and first[0] in (1, 3))
    assert mirrored


def test_padding_is_void_and_of_the_mean_color():
    ids, image = np.zeros((10, 10), "uint8"), np.full((10, 10, 3), 77, "uint8")
    crop_only = data.Augmentation(crop=(16, 12), scale=(1, 1), flip=False)
    changed, classes = augment(image, ids, crop_only, (0, 0))
    np.testing.assert_array_equal(classes.numpy(), np.pad(ids, ((3, 3), (1, 1)), constant_values=255))
    np.testing.assert_allclose(changed.numpy(), 77)


@pytest.mark.parametrize("degrees", [90.0, 30.0, -75.0])
def test_rotation_is_pillows(degrees):
    """The nearest pixel of Pillow's rotation around the center; the image shows its own mask."""
    ids = np.kron(np.arange(12).reshape(3, 4), np.ones((20, 20))).astype("uint16")
    image = np.repeat(ids[..., None] * 10.0, 3, axis=-1)
    turned, classes = (np.array(part) for part in rotated(image, ids, degrees, 60000))
    turned = turned[..., 0]
    expected = np.array(Image.fromarray(ids.astype("int32")).rotate(degrees, fillcolor=60000))
    assert (classes == expected).mean() > 0.98  # where a place lies between two pixels, either may be the nearest
    inside = classes != 60000
    assert (np.round(turned[inside] / 10) == classes[inside]).mean() > 0.85
    assert degrees == 90 or (~inside).mean() > 0.1


def test_a_mask_is_turned_by_a_part_of_the_largest_angle():
    ids, image = np.zeros((40, 40), "uint8"), np.full((40, 40, 3), 7, "uint8")
    rotate = data.Augmentation(scale=(1, 1), flip=False, rotate=10)
    voids = [(augment(image, ids, rotate, (0, seed))[1].numpy() == 255).mean() for seed in range(8)]
    assert 0 < max(voids) <= 0.09
    assert len({round(share, 4) for share in voids}) > 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": (0.5, 2)}, "many sizes: pass crop="),
        ({"scale": (2, 1), "crop": (8, 8)}, "a smallest and a largest factor"),
        ({"rotate": 181, "crop": (8, 8)}, "an angle from 0 to 180 degrees"),
        ({"jitter": 1, "crop": (8, 8)}, "jitter is at least 0 and below 1"),
    ],
)
def test_impossible_augmentation_is_refused(tmp_path, options, message):
    dataset = data.folder(pairs(tmp_path, 1), num_classes=3)
    with pytest.raises(ValueError, match=message):
        data.batches(dataset, 1, "torch", augmentation=data.Augmentation(**options))
