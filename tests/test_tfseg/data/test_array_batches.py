"""Batches as arrays, without TensorFlow: the order, the crops and the pixels of TensorFlow's."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from helpers.data_sets import mask, pairs, photograph, save
from helpers.paths import ROOT

import tfseg
from tfseg import data
from tfseg.data import random_numbers

tf = pytest.importorskip("tensorflow")

CROP = data.Augmentation(crop=(17, 21))
AUGMENTATIONS = {
    "none": data.Augmentation(scale=(1.0, 1.0), flip=False),
    "flip": data.Augmentation(scale=(1.0, 1.0)),
    "crop": CROP,
    "larger crop": data.Augmentation(crop=(40, 33)),
    "jitter": dataclasses.replace(CROP, jitter=0.3),
    "enlarged": dataclasses.replace(CROP, scale=(1.5, 3.0)),
    "rotated": dataclasses.replace(CROP, rotate=40.0, scale=(1.0, 1.0)),
    "all": dataclasses.replace(CROP, rotate=180.0, jitter=0.2),
}


@pytest.mark.quick_variants("all")
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_batches_are_tensorflows(tmp_path, name):
    dataset = data.folder(pairs(tmp_path, 5), num_classes=3)
    options = {"augmentation": AUGMENTATIONS[name], "seed": 7, "start": 1, "steps": 6}
    batches = list(data.batches(dataset, 3, "torch", **options).as_numpy_iterator())
    arrays = list(data.array_batches(dataset, 3, "torch", **options))
    assert len(arrays) == len(batches) == 6
    turned = AUGMENTATIONS[name].rotate
    for (images, masks), (expected, expected_masks) in zip(arrays, batches, strict=True):
        assert (images.dtype, masks.dtype) == (expected.dtype, expected_masks.dtype)
        # Where a turned pixel lies between two others, rounding decides which one it is.
        assert (masks != expected_masks).mean() <= (0.005 if turned else 0)
        np.testing.assert_allclose(images, expected, atol=2e-3 if turned else 1e-4)


def test_images_as_they_are_stored_are_tensorflows(tmp_path):
    for index in range(3):
        stored = np.random.default_rng(index).uniform(0, 3000, (24, 32, 5)).astype("float32")
        stored[:4, :5] = np.nan
        (tmp_path / "images").mkdir(exist_ok=True)
        np.save(tmp_path / "images" / f"p{index}.npy", stored)
        save(tmp_path / "masks" / f"p{index}.png", mask(index))
    dataset = data.folder(tmp_path, num_classes=3, channels=5, no_data=float("nan"))
    preprocessing = tfseg.preprocessing.stored_preprocessing([1500.0] * 5, [300.0] * 5)
    options = {"augmentation": CROP, "steps": 3}
    for (images, masks), (expected, expected_masks) in zip(
        data.array_batches(dataset, 2, preprocessing, **options),
        data.batches(dataset, 2, preprocessing, **options).as_numpy_iterator(),
        strict=True,
    ):
        np.testing.assert_array_equal(masks, expected_masks)
        np.testing.assert_allclose(images, expected, atol=1e-4)
        assert np.isfinite(images).all()


@pytest.mark.parametrize("seed", [(0, 0), (3, 17), (2**32 - 1, 10**6), (2**40 + 5, -7)])
def test_random_numbers_are_tensorflows(seed):
    key = tf.constant(seed, tf.int64)
    expected = tf.random.stateless_uniform((9,), key, 0.3, 1.7)
    np.testing.assert_array_equal(random_numbers.uniform(seed, 9, 0.3, 1.7), expected)
    parts = tf.random.split(key, 3)
    ours = random_numbers.split(seed, 3)
    np.testing.assert_array_equal(np.array(ours, "uint64").astype("int64"), parts)
    for part, our in zip(parts, ours, strict=True):
        folded = tf.random.stateless_uniform((2,), tf.random.fold_in(part, 1))
        np.testing.assert_array_equal(random_numbers.uniform(random_numbers.fold_in(our, 1), 2), folded)


@pytest.mark.parametrize("count", [1, 2, 5, 367, 65537, 1000003])
def test_order_is_tensorflows(count):
    for seed in ((0, 0), (3, 9), (2**32 - 1, 12)):
        indices = np.unique(np.linspace(0, count - 1, 12).astype("int64"))
        key, last = tf.constant(seed, tf.uint32), tf.constant(count - 1, tf.int64)
        expected = [int(tf.random.experimental.index_shuffle(index, key, last)) for index in indices]
        assert [random_numbers.shuffled_index(int(index), seed, count - 1) for index in indices] == expected


def test_unreadable_photograph_stops_or_is_skipped(tmp_path):
    dataset = data.folder(pairs(tmp_path, 4), num_classes=3)
    (tmp_path / "images" / "p2.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
    with pytest.raises(ValueError, match=r"p2.png.*not a whole picture"):
        list(data.array_batches(dataset, 2, "torch", steps=2))
    with pytest.warns(RuntimeWarning, match=r"skipped: .*p2.png"):
        _, (_, masks) = data.array_batches(dataset, 2, "torch", shuffle=False, skip_unreadable=True, steps=2)
    np.testing.assert_array_equal(masks[0], mask(3))


def test_batches_do_not_end_and_are_preprocessed(tmp_path):
    dataset = data.folder(pairs(tmp_path, 2), num_classes=3)
    batches = data.array_batches(dataset, 2, "caffe", shuffle=False)
    for _ in range(3):
        images, _ = next(batches)
        np.testing.assert_array_equal(images, tfseg.preprocess(np.stack([photograph(0), photograph(1)]), "caffe"))


@pytest.mark.full
def test_tensorflow_is_not_loaded(tmp_path):
    pairs(tmp_path, 2)
    script = (
        "import os, sys; os.environ['KERAS_BACKEND'] = 'torch'; sys.modules['tensorflow'] = None\n"
        "from tfseg import data\n"
        f"dataset = data.folder({str(tmp_path)!r}, num_classes=3)\n"
        "augmentation = data.Augmentation(crop=(9, 9), rotate=9.0, jitter=0.1)\n"
        "print(next(data.array_batches(dataset, 2, 'torch', augmentation=augmentation))[0].shape)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "(2, 9, 9, 3)", done.stderr
