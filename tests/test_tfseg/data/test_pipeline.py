"""Batches: a function of the seed and the step, prepared like the images of `predict`."""

import numpy as np
import pytest
from helpers.data_sets import mask, pairs, photograph

import tfseg
from tfseg import data

CROP = data.Augmentation(crop=(16, 20), jitter=0.2)


def read_batches(dataset, steps, **options):
    examples = data.batches(dataset, 2, "torch", steps=steps, **options)
    return [(images.numpy(), masks.numpy()) for images, masks in examples]


def test_batches_that_start_later_are_the_same_batches(tmp_path):
    dataset = data.folder(pairs(tmp_path, 5), num_classes=3)
    whole = read_batches(dataset, 6, augmentation=CROP, seed=3)
    rest = read_batches(dataset, 2, augmentation=CROP, seed=3, start=4)
    for (images, masks), (images_again, masks_again) in zip(whole[4:], rest, strict=True):
        np.testing.assert_array_equal(images, images_again)
        np.testing.assert_array_equal(masks, masks_again)


def test_batches_depend_on_the_seed(tmp_path):
    dataset = data.folder(pairs(tmp_path, 5), num_classes=3)
    third, fourth = (read_batches(dataset, 6, augmentation=CROP, seed=seed) for seed in (3, 4))
    assert any((masks != others).any() for (_, masks), (_, others) in zip(third, fourth, strict=True))


def test_shapes_and_dtypes_of_batches(tmp_path):
    ((images, masks),) = read_batches(data.folder(pairs(tmp_path), num_classes=3), 1, augmentation=CROP)
    assert (images.shape, images.dtype) == ((2, 16, 20, 3), "float32")
    assert (masks.shape, masks.dtype) == ((2, 16, 20), "uint8")


def test_every_epoch_has_every_photograph_once(tmp_path):
    dataset = data.folder(pairs(tmp_path, 6), num_classes=3)
    orders = []
    for epoch in range(2):
        masks = np.concatenate([masks for _, masks in read_batches(dataset, 3, start=3 * epoch)])
        orders.append([next(i for i in range(6) if (mask(i) == ids).all()) for ids in masks])
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(6))
    assert orders[0] != orders[1]


def test_batches_without_shuffling_keep_the_order(tmp_path):
    dataset = data.folder(pairs(tmp_path, 6), num_classes=3)
    masks = np.concatenate([masks for _, masks in read_batches(dataset, 3, shuffle=False)])
    np.testing.assert_array_equal(masks, [mask(index) for index in range(6)])


@pytest.mark.parametrize("preprocessing", ["torch", "caffe"])
def test_photographs_are_preprocessed_as_for_predict(tmp_path, preprocessing):
    dataset = data.folder(pairs(tmp_path, 2), num_classes=3)
    (images, _), *_ = data.batches(dataset, 2, preprocessing, steps=1, shuffle=False)
    expected = np.stack([tfseg.preprocess(photograph(index), preprocessing) for index in range(2)])
    np.testing.assert_allclose(images, expected, atol=1e-5)


def test_shares_of_all_workers_are_the_batch(tmp_path):
    """Two processes with two devices each read together what one process would, in the same order."""
    dataset = data.folder(pairs(tmp_path, 5), num_classes=3)
    options = {"seed": 2, "steps": 3}
    whole = [masks.numpy() for _, masks in data.batches(dataset, 8, "torch", **options)]
    workers = [
        [masks.numpy() for _, masks in data.batches(dataset, 8, "torch", shares=4, worker=(index, 2), **options)]
        for index in range(2)
    ]
    for step, batch in enumerate(whole):
        parts = [share for shares in workers for share in shares[2 * step : 2 * step + 2]]
        np.testing.assert_array_equal(np.concatenate(parts), batch)


def test_unreadable_photograph_stops_or_is_skipped(tmp_path):
    import tensorflow as tf

    dataset = data.folder(pairs(tmp_path, 4), num_classes=3)
    (tmp_path / "images" / "p2.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
    with pytest.raises(tf.errors.OpError, match=r"p2.png.*not a whole picture"):
        read_batches(dataset, 2)
    with pytest.warns(RuntimeWarning, match=r"skipped: .*p2.png"):
        _, (_, masks) = read_batches(dataset, 2, shuffle=False, skip_unreadable=True)
    np.testing.assert_array_equal(masks[0], mask(3))
