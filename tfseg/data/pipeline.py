"""Batches for training: read in parallel, augmented, and in an order that a seed decides."""

from typing import TYPE_CHECKING

from tfseg.data.augmentation import NO_AUGMENTATION, Augmentation, augment, check_augmentation
from tfseg.data.datasets import Dataset
from tfseg.data.loader import Loader
from tfseg.preprocessing import fill_missing, preprocess
from tfseg.types import Preprocessing, Tensor

if TYPE_CHECKING:
    import tensorflow as tf


def batches(
    dataset: Dataset,
    batch_size: int,
    preprocessing: Preprocessing,
    *,
    augmentation: Augmentation = NO_AUGMENTATION,
    seed: int = 0,
    start: int = 0,
    steps: int | None = None,
    shuffle: bool = True,
    cache: bool | None = None,
    outputs: int = 1,
    skip_unreadable: bool = False,
    shares: int = 1,
    worker: tuple[int, int] = (0, 1),
) -> "tf.data.Dataset":
    """A `tf.data.Dataset` of `(images, masks)`: float32 `(batch, height, width, 3)`, integers `(batch, height, width)`.

    Images that are read as they are stored have their own number of channels.

    The masks have the type of `dataset.labels`: uint8 for at most 255 classes.

    The batches depend only on the seed and the step. With `start=n` they continue as after n batches, so that an
    interrupted run can be resumed exactly. The batches never end, unless `steps` is given.

    Args:
        dataset: `Dataset` to read from.
        batch_size: photographs per batch. A batch may reach into the next epoch; no batch is smaller.
        preprocessing: a name of `tfseg.specs.PREPROCESSING`, or a dictionary like those in it.
        augmentation: `Augmentation`; by default none.
        seed: seed of the order and of the augmentation.
        start: number of batches to leave out at the beginning.
        steps: number of batches, counted from `start`; None: no end.
        shuffle: True: a new order in every epoch; False: the order of the data set.
        cache: whether decoded images stay in memory; None: as many as 2 GB hold.
        outputs: number of the model's outputs; above 1, `masks` is a tuple of so many equal masks.
        skip_unreadable: True: replace an unreadable pair by the next one and warn once; False: stop with an error.
        shares: number of equal parts of a batch, one per device; each element of the result is one part.
        worker: index of this process and number of processes; a process gets its parts of every batch, in order.
    Raises:
        ValueError: an impossible augmentation. While the batches are read: an unreadable pair; the message names it.
    Example:
        >>> pair = tfseg.data.Pair(pathlib.Path("street.png"), pathlib.Path("street_classes.png"))
        >>> dataset = tfseg.data.Dataset("streets", (pair,), tfseg.data.Labels(11))
        >>> augmentation = tfseg.data.Augmentation(crop=(64, 96))
        >>> examples = tfseg.data.batches(dataset, 2, "torch", augmentation=augmentation)
        >>> images, masks = next(iter(examples))
        >>> tuple(images.shape), tuple(masks.shape)
        ((2, 64, 96, 3), (2, 64, 96))
    """
    import tensorflow as tf

    check_augmentation(augmentation)
    refuse_jitter(dataset, augmentation)
    channels = dataset.photographs.channels
    loader = Loader(dataset, cache=cache, skip_unreadable=skip_unreadable)
    count, mask_type = len(dataset.pairs), tf.as_dtype(dataset.labels.dtype)
    first = start * batch_size
    last = tf.int64.max if steps is None else first + steps * batch_size
    worker_index, workers = worker
    examples = tf.data.Dataset.range(first, last)
    if workers > 1:
        examples = examples.filter(lambda position: position % batch_size * workers // batch_size == worker_index)

    def choose(position: Tensor) -> tuple[Tensor, Tensor]:
        epoch, index = position // count, position % count
        if shuffle:
            key = tf.stack([tf.constant(seed, tf.uint32), tf.cast(epoch, tf.uint32)])
            index = tf.random.experimental.index_shuffle(index, key, tf.constant(count - 1, tf.int64))
        return index, position

    def read(index: Tensor, position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        image_type = tf.uint8 if channels is None else tf.float32
        image, mask = tf.numpy_function(loader, [index], (image_type, mask_type), stateful=False)
        image.set_shape((None, None, channels or 3))
        mask.set_shape((None, None))
        return image, mask, position

    def finish(image: Tensor, mask: Tensor, position: Tensor) -> tuple[Tensor, Tensor | tuple[Tensor, ...]]:
        if channels is not None:
            image = fill_missing(image, preprocessing)
        image, mask = augment(image, mask, augmentation, (seed, position), dataset.labels.void_id)
        return preprocess(image, preprocessing), (mask,) * outputs if outputs > 1 else mask

    options = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}
    examples = examples.map(choose).map(read, **options).map(finish, **options)
    return examples.batch(batch_size // shares, drop_remainder=True).prefetch(2)


def refuse_jitter(dataset: Dataset, augmentation: Augmentation) -> None:
    """Raises an error for changed colors of images that have none.

    Args:
        dataset: the data set.
        augmentation: the `Augmentation` for it.
    Raises:
        ValueError: jitter, and images that are read as they are stored.
    """
    if dataset.photographs.channels is not None and augmentation.jitter:
        raise ValueError(
            "jitter changes the colors of photographs. Images with channels= are read as they are stored: jitter=0"
        )
