"""Augmentation: photograph and mask change together; impossible augmentations are refused."""

import numpy as np
import pytest
from helpers.data_sets import pairs

from tfseg import data
from tfseg.data.augmentation import augment


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": (0.5, 2)}, "many sizes: pass crop="),
        ({"scale": (2, 1), "crop": (8, 8)}, "a smallest and a largest factor"),
        ({"jitter": 1, "crop": (8, 8)}, "jitter is at least 0 and below 1"),
    ],
)
def test_impossible_augmentation_is_refused(tmp_path, options, message):
    dataset = data.folder(pairs(tmp_path, 1), num_classes=3)
    with pytest.raises(ValueError, match=message):
        data.batches(dataset, 1, "torch", augmentation=data.Augmentation(**options))
