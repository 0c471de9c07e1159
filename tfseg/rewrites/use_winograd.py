"""3x3 convolutions by Winograd's minimal filtering, where a measurement says that it pays."""

from typing import Any

import keras
import numpy as np
from keras import layers

from tfseg.rewrites.plan import RewritePlan
from tfseg.rewrites.slice_convolutions import CONFIG, is_plain
from tfseg.rewrites.split_filters import SplitConv2D
from tfseg.rewrites.timing import median_seconds
from tfseg.rewrites.winograd import TAPS, WinogradConv2D, transform_kernel

LEAST_CHANNELS = 128  # in and out: with fewer, the transforms cost more than the products save, as measured
LEAST_GAIN = 1.1  # how many times faster it must be
KEPT = tuple(key for key in CONFIG if key != "kernel_size")


def use_winograd(plan: RewritePlan) -> list[str]:
    """For 16 results of a channel, a 3x3 kernel needs 36 multiplications instead of 144.

    Y = A^T [(G g G^T) * (B^T d B)] A, for every tile d of 6x6 pixels, kernel g, and tile Y of 4x4 results. Summed over
    the channels, the product in the middle is 36 matrix products. With dilation the map falls into phases, each of
    which the kernel reads undilated.

    That pays once XLA has compiled the transforms into few loops, for one size of the map, which must be known. Whether
    it pays there is measured here, each kind of layer in both forms. The kernels take four times the memory.

    Args:
        plan: calls of the model, whose maps have known sizes; edited in place.
    Returns: the names of the changed layers.
    Reference: Lavin and Gray 2015, https://arxiv.org/abs/1509.09308; for the points, Barabasz et al. 2018,
        https://arxiv.org/abs/1803.10986
    """
    changed: list[str] = []
    gains: dict[str, float] = {}
    for step in plan.of_kind(layers.Conv2D, SplitConv2D):
        conv = step.operation
        if not _fits(conv):
            continue
        config = step.config(KEPT) | {"dtype": conv.dtype_policy}
        case = repr((conv.input.shape[1:], conv.filters, config))
        if case not in gains:
            gains[case] = measured_gain(conv, config)
        if gains[case] >= LEAST_GAIN:
            step.kind, step.changes = WinogradConv2D, config
            kernel, *bias = step.arrays
            step.values = [transform_kernel(kernel), *bias]
            changed.append(step.name)
    return changed


def _fits(conv: keras.layers.Conv2D) -> bool:
    shape = conv.input.shape
    return (
        conv.kernel_size == (TAPS, TAPS)
        and is_plain(conv)
        and None not in shape[1:]
        and min(shape[-1], conv.filters) >= LEAST_CHANNELS
        and conv.compute_dtype == "float32"
    )


def measured_gain(conv: keras.layers.Conv2D, config: dict[str, Any]) -> float:
    """How many times faster a convolution is as a `WinogradConv2D`, measured here.

    Args:
        conv: convolution that has been called on maps of a known size.
        config: arguments of the `WinogradConv2D`.
    """
    image = np.random.default_rng(0).normal(size=(1, *conv.input.shape[1:])).astype("float32")
    models = []
    for layer in (type(conv).from_config(conv.get_config()), WinogradConv2D(**config)):
        tensor = keras.Input(image.shape[1:])
        models.append(keras.Model(tensor, layer(tensor)))
    plain, rewritten = (median_seconds(model, image) for model in models)
    return plain / rewritten
