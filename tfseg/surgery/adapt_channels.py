"""`adapt_channels`: a network for photographs becomes one for images of any number of channels, weights included."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import keras
import numpy as np

from tfseg import graphs, specs
from tfseg.layers.metadata import Metadata, metadata
from tfseg.types import Array

FirstConv = Literal["average", "copy", "zero"]
FIRST_CONVS: tuple[FirstConv, ...] = get_args(FirstConv)
STORED = "stored"

# Deviation of red, green and blue in ImageNet's photographs, on which most networks were trained: 0 to 255.
_USUAL_STD = [255 * value for value in specs.PREPROCESSING["torch"]["std"]]
# Layers that do the same to every channel, whichever it is.
_CHANNEL_BY_CHANNEL = (
    "Metadata", "ZeroPadding2D", "DensePadding", "Pad", "Identity", "Dropout", "Cropping2D", "Resizing",
    "UpSampling2D", "AveragePooling2D", "MaxPooling2D", "Cast",
)  # fmt: skip
# Layers that use nothing but the size of all tensors after the first.
_SIZED_LIKE = ("ResizeLike", "CropLike", "Resample", "Interpolate")
_RULES = {
    "average": "the channels after the first {old} get the mean of their kernels; all are multiplied by {old}/{new}",
    "copy": "the channels after the first {old} get their kernels in turn, divided by the number of channels with it",
    "zero": "the channels after the first {old} get zeros",
}


def adapt_channels(
    model: keras.Model,
    channels: int,
    *,
    first_conv: FirstConv = "average",
    preprocessing: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> keras.Model:
    """The network for images of another number of channels, as their files store them; only its first layer differs.

    The result takes channels of mean 0 and deviation 1: its preprocessing has the channel order "stored", and the mean
    and deviation that `tfseg.data.inspect_dataset` measures. The first three channels are red, green and blue. Their
    kernels come from the network, in this order. They are multiplied by the deviation that a photograph's channels have
    in front of the network, so that responses keep their scale: 1 for "torch", about 58 for "caffe".

    What the channels after the third get, so that an image whose channels are all equal has the response of a gray
    photograph:

    * "average": the mean of the three kernels; all kernels are multiplied by `3 / channels`.
    * "copy": the kernels of the first three in turn; each is divided by the number of channels that have it.
    * "zero": zeros, which training changes. The network computes what it computes for the photograph in the first
      three channels.

    With fewer channels than three, each gets the sum of the kernels divided by `channels`.

    Args:
        model: functional model of images, whose preprocessing is known; it is not changed.
        channels: number of channels of the result.
        first_conv: "average", "copy" or "zero".
        preprocessing: preprocessing of the result, such as `inspection.preprocessing`; None: not known yet.
        name: name of the result; the model's by default.
    Returns: a functional model, not compiled.
    Raises:
        ValueError: the model does not say its preprocessing, or something else than a plain convolution reads the
            image's channels. The message names the layer.

    Example:
        >>> model = tfseg.build("fcn_resnet18", num_classes=2, width=1 / 16)
        >>> wider = tfseg.adapt_channels(model, 4, first_conv="zero")
        >>> wider.input_shape[-1], wider.get_layer("conv1_conv").kernel.shape[2]
        (4, 4)
    """
    graphs.check(model)
    _check_arguments(channels, first_conv)
    surgeon = _Surgeon(model, preprocessing)
    (layer,) = _image_layer(model)
    (batch, *size, _) = model.input_shape
    image = surgeon.copies.of(layer, batch_shape=(batch, *size, channels)).output
    results = graphs.replay(model, [_ImageTensor(image, True)], surgeon.call)
    if not surgeon.convolutions:
        raise ValueError(f"The model {model.name!r} has no convolution that reads the image.")
    old = graphs.structure(model)
    new = ([image], [result.tensor for result in results])
    adapted = keras.Model(*map(keras.tree.pack_sequence_as, old, new), name=name or model.name)
    surgeon.copies.fill(but=surgeon.convolutions)
    factors, flips = _scale(model)
    for convolution in surgeon.convolutions:
        kernel, *others = (keras.ops.convert_to_numpy(variable) for variable in convolution.weights)
        kernel = kernel * np.asarray(factors, kernel.dtype)[:, None]
        wider = spread(kernel[:, :, ::-1] if flips else kernel, channels, first_conv)
        copy = surgeon.copies.made(convolution)
        for variable, value in zip(copy.weights, [wider, *others], strict=True):
            variable.assign(value)
    return adapted


def channels_note(model: keras.Model, channels: int, first_conv: FirstConv) -> str:
    """What `adapt_channels` does to a model, as a sentence for a receipt.

    Args:
        model: the model as it was.
        channels: number of channels of the result.
        first_conv: the rule.
    """
    old = model.input_shape[-1]
    rule = _RULES[first_conv].format(old=old, new=channels)
    if channels < old:
        rule = f"each channel gets the sum of their kernels, divided by {channels}"
    if channels == old:
        rule = "the kernels stay"
    return f"first convolution for {channels} channels instead of {old}, as files store them ({first_conv}): {rule}"


def spread(kernel: Array, channels: int, first_conv: FirstConv) -> Array:
    """A kernel for another number of channels; the sum over channels stays the same.

    Args:
        kernel: `(rows, columns, channels, filters)`.
        channels: number of channels of the result.
        first_conv: the rule, see `adapt_channels`.

    Example:
        >>> from tfseg.surgery.adapt_channels import spread
        >>> spread(np.ones((1, 1, 3, 1)), 4, "average")[0, 0, :, 0].tolist()
        [0.75, 0.75, 0.75, 0.75]
    """
    count = kernel.shape[2]
    if channels == count:
        return kernel
    if channels < count:
        return np.repeat(kernel.sum(axis=2, keepdims=True) / channels, channels, axis=2)
    if first_conv == "copy":
        sources = np.arange(channels) % count
        return kernel[:, :, sources] / np.bincount(sources)[sources][:, None]
    more = [(0, 0), (0, 0), (0, channels - count), (0, 0)]
    if first_conv == "zero":
        return np.pad(kernel, more)
    mean = np.repeat(kernel.mean(axis=2, keepdims=True), channels - count, axis=2)
    return np.concatenate([kernel, mean], axis=2) * np.asarray(count / channels, kernel.dtype)


def _check_arguments(channels: int, first_conv: str) -> None:
    if type(channels) is not int or channels < 1:
        raise ValueError(f"channels is a whole number from 1. Received: {channels!r}")
    if first_conv not in FIRST_CONVS:
        raise ValueError(f"first_conv is one of {', '.join(FIRST_CONVS)}. Received: {first_conv!r}")


def _image_layer(model: keras.Model) -> list[keras.Layer]:
    layers = graphs.input_layers(model)
    if len(layers) != 1 or len(model.input_shape) != 4:
        raise ValueError(f"The model {model.name!r} takes one image, (batch, height, width, channels).")
    return layers


def _scale(model: keras.Model) -> tuple[Sequence[float], bool]:
    """The deviation of a photograph's channels in front of the network, in its order; and whether that is BGR."""
    known = metadata(model)["preprocessing"]
    if known is None:
        raise ValueError(
            f"The model {model.name!r} does not say how its input is prepared: tfseg.set_metadata(model, "
            "preprocessing=tfseg.specs.PREPROCESSING['torch']), or another of them."
        )
    order = known["channel_order"]
    if order == STORED:
        return [1.0] * model.input_shape[-1], False
    if order not in ("RGB", "BGR"):
        raise ValueError(f"The model {model.name!r} takes {order}: adapt one that takes photographs.")
    deviations = _USUAL_STD if order == "RGB" else _USUAL_STD[::-1]
    pairs = zip(deviations, known["std"], strict=True)
    return [deviation / (known["divisor"] * std) for deviation, std in pairs], order == "BGR"


@dataclasses.dataclass(frozen=True, eq=False)
class _ImageTensor(graphs.TrackedTensor):
    """A tensor of the new model, and whether its channels are those of the image."""

    is_image: bool


class _Surgeon:
    """Makes the calls of the new model, and notes the convolutions that read the image."""

    def __init__(self, model: keras.Model, preprocessing: Mapping[str, Any] | None) -> None:
        self.copies = graphs.LayerCopies(model)
        self.convolutions: list[keras.Layer] = []
        self._preprocessing = None if preprocessing is None else dict(preprocessing)

    def call(
        self,
        operation: keras.Operation,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        _outputs: list[keras.KerasTensor],
    ) -> list[_ImageTensor]:
        """The results of a call in the new model.

        Args:
            operation: layer or bare operation of the original.
            args: positional arguments.
            kwargs: keyword arguments.
        """
        tensors = [leaf for leaf in keras.tree.flatten((args, kwargs)) if isinstance(leaf, _ImageTensor)]
        images = [tensor.is_image for tensor in tensors]
        kind, is_image = type(operation).__name__, False
        if any(images):
            if kind == "Conv2D" and operation.groups == 1:
                if not any(operation is known for known in self.convolutions):
                    self.convolutions.append(operation)
            elif images == [True] and kind in _CHANNEL_BY_CHANNEL:
                is_image = True
            elif images[0] or kind not in _SIZED_LIKE:
                raise ValueError(
                    f"The layer {operation.name!r} ({kind}) reads the channels of the image, and only plain "
                    "convolutions can be adapted: build the network with channels=, or put a convolution in front."
                )
        changes: dict[str, Any] = {"preprocessing": self._preprocessing} if isinstance(operation, Metadata) else {}
        args, kwargs = graphs.untracked((args, kwargs))
        results = keras.tree.flatten(self.copies.of(operation, **changes)(*args, **kwargs))
        return [_ImageTensor(result, is_image) for result in results]
