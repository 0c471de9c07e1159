"""Batches for training: read in parallel, augmented alike in photograph and mask, in an order that a seed decides."""

from typing import NamedTuple

import numpy as np

from tfseg.data.loader import Loader
from tfseg.data.masks import VOID
from tfseg.preprocessing import preprocess


class Augmentation(NamedTuple):
    """What happens to a photograph and its mask before they are trained on.

    Attributes:
        crop: `(height, width)` of every example: cut at a random place, filled up with void where the photograph is
            smaller. None: photographs stay whole, and those of a batch must be of one size.
        scale: lowest and highest factor of both sides before the crop; `(1, 1)`: none.
        flip: whether half of them are mirrored, left to right.
        jitter: strength of random brightness, contrast and saturation, 0 for none: 0.2 is by up to a fifth.
    """

    crop: tuple | None = None
    scale: tuple = (0.5, 2.0)
    flip: bool = True
    jitter: float = 0.0


NONE = Augmentation(scale=(1.0, 1.0), flip=False)


def batches(
    dataset,
    batch_size,
    preprocessing,
    *,
    augmentation=NONE,
    seed=0,
    start=0,
    steps=None,
    shuffle=True,
    cache=None,
    outputs=1,
    skip_unreadable=False,
    shares=1,
    worker=(0, 1),
):
    """A `tf.data.Dataset` of `(images, masks)`: float32 `(batch, height, width, 3)`, uint8 `(batch, height, width)`.

    The whole of it is a function of the seed and the step: begun at `start=n` it gives what it would have given after n
    batches, so that a run that was interrupted goes on as if nothing had been. It does not end, but after `steps`.

    Args:
        dataset: `Dataset`.
        batch_size: photographs a batch; a batch may reach into the next epoch, none is cut short.
        preprocessing: a name of `tfseg.specs.PREPROCESSING` or such a dictionary, as the model carries it.
        augmentation: `Augmentation`; by default none.
        seed: of order and augmentation.
        start: batches to begin behind.
        steps: batches to end after, counted from `start`; None: never.
        shuffle: every epoch in another order; False: always in the data set's own.
        cache: whether decoded pictures stay in memory; None: if all of them take less than 2 GB.
        outputs: of the model; above 1, masks are given as so many equal ones.
        skip_unreadable: True goes on without photographs and masks that cannot be read, and warns of each once, instead
            of stopping at the first. Its place in the batch is taken by the next pair.
        shares: into how many equal parts a batch falls, one a device; each element of the result is one.
        worker: which process this is, and of how many: it gets its own shares of every batch, in order.
    Raises:
        ValueError: an augmentation that cannot be, or (while it runs) a pair that cannot be read: its message names
            the file.
    """
    import tensorflow as tf

    _check(augmentation)
    loader = Loader(dataset, cache=cache, skip_unreadable=skip_unreadable)
    count = len(dataset.pairs)
    first = start * batch_size
    last = tf.int64.max if steps is None else first + steps * batch_size
    index_of_worker, workers = worker
    examples = tf.data.Dataset.range(first, last)
    if workers > 1:
        examples = examples.filter(lambda position: position % batch_size * workers // batch_size == index_of_worker)

    def index(position):
        epoch, place = position // count, position % count
        if shuffle:
            key = tf.stack([tf.constant(seed, tf.uint32), tf.cast(epoch, tf.uint32)])
            place = tf.random.experimental.index_shuffle(place, key, tf.constant(count - 1, tf.int64))
        return place, position

    def load(place, position):
        image, mask = tf.numpy_function(loader, [place], (tf.uint8, tf.uint8), stateful=False)
        image.set_shape((None, None, 3))
        mask.set_shape((None, None))
        return image, mask, position

    def finish(image, mask, position):
        image, mask = augment(image, mask, augmentation, (seed, position))
        mask = (mask,) * outputs if outputs > 1 else mask
        return preprocess(image, preprocessing), mask

    options = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}
    examples = examples.map(index).map(load, **options).map(finish, **options)
    return examples.batch(batch_size // shares, drop_remainder=True).prefetch(2)


def augment(image, mask, augmentation, seed):
    """One photograph and its mask, changed alike; what the photograph does not cover is void, and of its mean colour.

    Args:
        image, mask: tensors `(height, width, 3)` and `(height, width)`, uint8.
        augmentation: `Augmentation`.
        seed: two integers: the same give the same.
    Returns: image float32, 0..255, and mask uint8.
    """
    import tensorflow as tf

    seeds = tf.random.split(tf.stack([tf.cast(one, tf.int64) for one in seed]), 4)
    image = tf.cast(image, tf.float32)
    if augmentation.scale != (1, 1):
        # Evenly by the logarithm: as often smaller by half as larger by two.
        low, high = np.log(augmentation.scale)
        factor = tf.exp(tf.random.stateless_uniform((), seeds[0], low, high))
        size = tf.maximum(1, tf.cast(tf.round(factor * tf.cast(tf.shape(mask), tf.float32)), tf.int32))
        image = tf.image.resize(image, size, "bilinear", antialias=True)
        mask = tf.image.resize(mask[..., None], size, "nearest")[..., 0]
    if augmentation.jitter:
        image = _jittered(image, augmentation.jitter, seeds[1])
    if augmentation.crop:
        image, mask = _cropped(image, mask, augmentation.crop, seeds[2])
    if augmentation.flip:
        mirror = tf.random.stateless_uniform((), seeds[3]) < 0.5
        image, mask = tf.cond(mirror, lambda: (image[:, ::-1], mask[:, ::-1]), lambda: (image, mask))
    return image, mask


def _cropped(image, mask, crop, seed):
    import tensorflow as tf

    size = tf.constant(crop, tf.int32)
    missing = tf.maximum(size - tf.shape(mask), 0)
    before = missing // 2
    around = tf.stack([before, missing - before], axis=1)
    mean = tf.reduce_mean(image, axis=(0, 1))
    image = tf.pad(image - mean, tf.concat([around, [[0, 0]]], axis=0)) + mean
    mask = tf.pad(mask, around, constant_values=np.uint8(VOID))
    room = tf.cast(tf.shape(mask) - size + 1, tf.float32)
    corner = tf.cast(tf.random.stateless_uniform((2,), seed) * room, tf.int32)
    image = tf.slice(image, tf.concat([corner, [0]], axis=0), (*crop, 3))
    return image, tf.slice(mask, corner, crop)


def _jittered(image, strength, seed):
    """Brightness, contrast, saturation, each by a factor of its own about 1."""
    import tensorflow as tf

    brightness, contrast, saturation = tf.unstack(tf.random.stateless_uniform((3,), seed, 1 - strength, 1 + strength))
    image *= brightness
    middle = tf.reduce_mean(image)
    image = (image - middle) * contrast + middle
    grey = tf.reduce_sum(image * (0.299, 0.587, 0.114), axis=-1, keepdims=True)
    return tf.clip_by_value((image - grey) * saturation + grey, 0, 255)


def _check(augmentation):
    low, high = augmentation.scale
    if not 0 < low <= high:
        raise ValueError(f"scale is a lowest and a highest factor above 0. Received: {augmentation.scale}")
    if augmentation.scale != (1, 1) and augmentation.crop is None:
        raise ValueError("Scaled photographs have many sizes: pass crop=(height, width) too, or scale=(1, 1).")
    if not 0 <= augmentation.jitter < 1:
        raise ValueError(f"jitter is at least 0 and below 1. Received: {augmentation.jitter}")
