"""Augmentation: random changes that a photograph and its mask undergo together before training."""

import dataclasses

import numpy as np

from tfseg.data.labels import VOID
from tfseg.types import Size, Tensor


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What happens to a photograph and its mask before training.

    Attributes:
        crop: `(height, width)` of every example. It is cut at a random place and padded with void where the photograph
            is smaller. None: photographs stay whole, and all photographs of a batch must have the same size.
        scale: smallest and largest factor of both sides before the crop; `(1, 1)`: no scaling.
        flip: whether half of the examples are mirrored, left to right.
        jitter: strength of random brightness, contrast and saturation; 0.2 changes each by up to a fifth, 0 by nothing.
        rotate: largest angle in degrees by which a photograph is turned, to either side; 0: none is.
    Example:
        >>> tfseg.data.Augmentation(crop=(320, 320), jitter=0.2)
        Augmentation(crop=(320, 320), scale=(0.5, 2.0), flip=True, jitter=0.2, rotate=0.0)
    """

    crop: Size | None = None
    scale: tuple[float, float] = (0.5, 2.0)
    flip: bool = True
    jitter: float = 0.0
    rotate: float = 0.0


NO_AUGMENTATION = Augmentation(scale=(1.0, 1.0), flip=False)


def check_augmentation(augmentation: Augmentation) -> None:
    """Raises an error for an impossible augmentation.

    Args:
        augmentation: the `Augmentation` to check.
    Raises:
        ValueError: a crop, scale, jitter or angle out of range, or a scale without a crop.
    """
    crop = augmentation.crop
    if crop is not None and not (
        isinstance(crop, tuple | list) and len(crop) == 2 and all(isinstance(side, int) and side > 0 for side in crop)
    ):
        raise ValueError(f"crop is (height, width) in pixels, such as (320, 480). Received: {crop!r}")
    smallest, largest = augmentation.scale
    if not 0 < smallest <= largest:
        raise ValueError(f"scale is a smallest and a largest factor above 0. Received: {augmentation.scale}")
    if augmentation.scale != (1, 1) and augmentation.crop is None:
        raise ValueError(
            "Scaled photographs have many sizes: pass crop=(height, width) too (--crop=320,320, for example), or "
            "scale=(1, 1)."
        )
    if not 0 <= augmentation.jitter < 1:
        raise ValueError(f"jitter is at least 0 and below 1. Received: {augmentation.jitter}")
    if not 0 <= augmentation.rotate <= 180:
        raise ValueError(f"rotate is an angle from 0 to 180 degrees. Received: {augmentation.rotate}")


def augment(
    image: Tensor, mask: Tensor, augmentation: Augmentation, seed: tuple[Tensor, Tensor], void_id: int = VOID
) -> tuple[Tensor, Tensor]:
    """One photograph and its mask with the same random changes.

    Places that the photograph does not cover become void in the mask, and the photograph's mean color in the image.

    Args:
        image: tensor `(height, width, channels)`.
        mask: tensor `(height, width)` of whole numbers.
        augmentation: the `Augmentation` to apply.
        seed: two integers; equal seeds give equal changes.
        void_id: the id of ignored pixels.
    Returns: the image as float32, and the mask in its type.
    """
    import tensorflow as tf

    seeds = tf.random.split(tf.stack([tf.cast(part, tf.int64) for part in seed]), 4)
    image = tf.cast(image, tf.float32)
    if augmentation.scale != (1, 1):
        # Uniform in the logarithm: half the size is as likely as twice the size.
        low, high = np.log(augmentation.scale)
        factor = tf.exp(tf.random.stateless_uniform((), seeds[0], low, high))
        size = tf.maximum(1, tf.cast(tf.round(factor * tf.cast(tf.shape(mask), tf.float32)), tf.int32))
        image = tf.image.resize(image, size, "bilinear", antialias=True)
        mask = tf.image.resize(mask[..., None], size, "nearest")[..., 0]
    if augmentation.rotate:
        # A seed of its own, so that the other changes are the same with and without it.
        angle = tf.random.stateless_uniform((), tf.random.fold_in(seeds[3], 1), -1.0, 1.0) * augmentation.rotate
        image, mask = rotated(image, mask, angle, void_id)
    if augmentation.jitter:
        image = _jitter_colors(image, augmentation.jitter, seeds[1])
    if augmentation.crop:
        image, mask = _random_crop(image, mask, augmentation.crop, seeds[2], void_id)
    if augmentation.flip:
        mirror = tf.random.stateless_uniform((), seeds[3]) < 0.5
        image, mask = tf.cond(mirror, lambda: (image[:, ::-1], mask[:, ::-1]), lambda: (image, mask))
    return image, mask


def rotated(image: Tensor, mask: Tensor, degrees: Tensor, void_id: int) -> tuple[Tensor, Tensor]:
    """Both turned around their center, against the clock; what comes from outside is void, and of the mean color.

    Args:
        image: float tensor `(height, width, channels)`.
        mask: tensor `(height, width)` of whole numbers.
        degrees: the angle.
        void_id: the id of ignored pixels.
    Returns: tensors of the same shapes and types.
    """
    import tensorflow as tf

    angle = degrees * (np.pi / 180)
    last = tf.cast(tf.shape(mask) - 1, tf.float32)
    height, width = last[0], last[1]
    sine, cosine = tf.sin(angle), tf.cos(angle)
    # The place in the photograph that a place of the result shows, as TensorFlow wants it.
    transform = tf.stack(
        [
            *(cosine, -sine, (width - cosine * width + sine * height) / 2),
            *(sine, cosine, (height - sine * width - cosine * height) / 2),
            *(0.0, 0.0),
        ]
    )

    def turned(values: Tensor, interpolation: str) -> Tensor:
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=values[None],
            transforms=transform[None],
            output_shape=tf.shape(values)[:2],
            fill_value=0.0,
            interpolation=interpolation,
        )[0]

    inside = turned(tf.ones_like(image[..., :1]), "NEAREST")[..., 0] > 0
    classes = tf.cast(turned(tf.cast(mask, tf.int64)[..., None], "NEAREST")[..., 0], mask.dtype)
    mean = tf.reduce_mean(image, axis=(0, 1))
    return turned(image - mean, "BILINEAR") + mean, tf.where(inside, classes, tf.cast(void_id, mask.dtype))


def _random_crop(image: Tensor, mask: Tensor, crop: Size, seed: Tensor, void_id: int) -> tuple[Tensor, Tensor]:
    import tensorflow as tf

    size = tf.constant(crop, tf.int32)
    missing = tf.maximum(size - tf.shape(mask), 0)
    before = missing // 2
    padding = tf.stack([before, missing - before], axis=1)
    mean = tf.reduce_mean(image, axis=(0, 1))
    image = tf.pad(image - mean, tf.concat([padding, [[0, 0]]], axis=0)) + mean
    mask = tf.pad(mask, padding, constant_values=tf.cast(void_id, mask.dtype))
    room = tf.cast(tf.shape(mask) - size + 1, tf.float32)
    corner = tf.cast(tf.random.stateless_uniform((2,), seed) * room, tf.int32)
    image = tf.slice(image, tf.concat([corner, [0]], axis=0), (*crop, image.shape[-1]))
    return image, tf.slice(mask, corner, crop)


def _jitter_colors(image: Tensor, strength: float, seed: Tensor) -> Tensor:
    """Changes brightness, contrast and saturation, each by a random factor around 1."""
    import tensorflow as tf

    brightness, contrast, saturation = tf.unstack(tf.random.stateless_uniform((3,), seed, 1 - strength, 1 + strength))
    image *= brightness
    middle = tf.reduce_mean(image)
    image = (image - middle) * contrast + middle
    gray = tf.reduce_sum(image * (0.299, 0.587, 0.114), axis=-1, keepdims=True)
    return tf.clip_by_value((image - gray) * saturation + gray, 0, 255)
