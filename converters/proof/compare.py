"""Two networks side by side on the same images: layer by layer, and where they part."""

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from converters.errors import ConversionError
from converters.identification.identify import ranked
from converters.identification.sources import open_source

_SMALL = ("logits", "aux_logits")  # layers whose outputs are a model's before they are brought to the image's size


class Row(NamedTuple):
    """One layer: the largest |difference|, and that divided by the reference's largest |value|."""

    layer: str
    reference: str
    shape: tuple
    difference: float
    relative: float


class Comparison(list):
    """The rows in the order of computation, the model's outputs last; prints as a table."""

    def first_divergence(self, tolerance=1e-5):
        """The first row beyond the tolerance, or None. A NaN is beyond every tolerance."""
        return next((row for row in self if not row.relative <= tolerance), None)

    @property
    def worst(self):
        """The largest relative difference; NaN if any is."""
        return float(np.max([row.relative for row in self]))

    def assert_close(self, tolerance=1e-5):
        """Raises AssertionError, with the table, if a row is beyond the tolerance."""
        if row := self.first_divergence(tolerance):
            raise AssertionError(
                f"The model parts from the reference at {row.layer} ({row.reference}): relative difference "
                f"{row.relative:.3g} > {tolerance:.3g}.\n{self}"
            )

    def __str__(self):
        head = ("layer", "reference", "shape", "max |difference|", "relative")
        rows = [head] + [
            (row.layer, row.reference, "x".join(map(str, row.shape)), f"{row.difference:.3g}", f"{row.relative:.2g}")
            for row in self
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def compare(model, reference, images):
    """Runs a model and a reference on the same images and compares every layer that both have.

    Of a layer that is called several times, the first call counts. A result of the reference that is as small as the
    output of the layer `logits` (or `aux_logits`) is compared with that.

    Args:
        model: a Keras model.
        reference: the live torch module that its weights came from (run in evaluation mode, read through hooks); or a
            dictionary of arrays by layer name, "output" for the model's (first) output, in either channel order.
        images: `(batch, height, width, channels)`, preprocessed.
    Returns: a `Comparison`.
    Raises:
        ConversionError: a reference of another kind, of an unknown family or without a layer in common, or shapes that
            cannot be compared.
    """
    images = np.asarray(images, "float32")
    if isinstance(reference, Mapping):
        values = {name: (name, np.asarray(value)) for name, value in reference.items() if name != "output"}
        outputs = [("output", np.asarray(reference["output"]))] if "output" in reference else []
    elif hasattr(reference, "named_modules"):
        values, outputs = _run_torch(reference, images)
    else:
        raise ConversionError(
            "A model is compared with a live torch module or a dictionary of arrays. "
            f"Received: {type(reference).__name__}"
        )
    # The order of the model's layers is the order of computation.
    names = [layer.name for layer in model.layers if layer.name in values]
    if not names and not outputs:
        raise ConversionError(
            f"The reference has no layer of the model {model.name!r}. "
            f"Received: {', '.join(itertools.islice(values, 6))}"
        )
    small = [name for name in _SMALL if any(layer.name == name for layer in model.layers)]
    layers = [model.get_layer(name).output for name in [*names, *small]]
    taps = keras.Model(model.input, layers + _flat(model.output))
    ours = [ops.convert_to_numpy(value) for value in _flat(taps(images, training=False))]
    maps = dict(zip([*names, *small], ours, strict=False))
    rows = [_row(name, maps[name], *values[name]) for name in names]
    for index, (value, (name, theirs)) in enumerate(zip(ours[len(layers) :], outputs, strict=False)):
        output = model.output_names[index]
        if index < len(small) and _as_large(theirs, maps[small[index]]) and not _as_large(theirs, value):
            output, value = small[index], maps[small[index]]
        # A model that ends before its head is compared up to there.
        if isinstance(reference, Mapping) or (value.ndim, value.shape[-1]) == (theirs.ndim, theirs.shape[1]):
            rows.append(_row(output, value, name, theirs))
    return Comparison(rows)


def _run_torch(module, images):
    """`{layer: (module name, array)}` of every module with weights, and `[(name, array)]` of what it returns."""
    import torch

    fits = ranked(open_source(module))
    if fits[0].differences:
        raise ConversionError(
            f"The torch module {type(module).__name__} is of no family known here (nearest: {fits[0].network.name}, "
            f"but it {'; '.join(fits[0].differences)}): pass a dictionary of its activations by layer name instead."
        )
    family, network, *_ = fits[0]
    values, hooks = {}, []

    def keep(layer, name, output):
        if layer not in values:
            values[layer] = name, _array(output)  # copied at once: a ReLU in place would change the tensor later

    for name, part in module.named_modules():
        if layer := network.table.module(name):
            hooks.append(
                part.register_forward_hook(
                    lambda _part, _inputs, output, name=name, layer=layer: keep(layer, name, output)
                )
            )
    training = module.training
    try:
        with torch.no_grad():
            result = module.eval()(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))))
    finally:
        module.train(training)
        for hook in hooks:
            hook.remove()
    if not isinstance(result, Mapping):
        result = {f"output {index}": value for index, value in list(enumerate(_flat(result)))[family.outputs]}
    return values, [(name, _array(value)) for name, value in result.items()]


def _array(tensor):
    return tensor.detach().cpu().float().numpy().copy()


def _as_large(theirs, ours):
    """Whether two arrays are of the same sizes, in either channel order."""
    return sorted(theirs.shape) == sorted(ours.shape)


def _flat(value):
    return list(value) if isinstance(value, list | tuple) else [value]


def _row(layer, ours, name, theirs):
    for candidate in (theirs, np.moveaxis(theirs, 1, -1) if theirs.ndim == 4 else theirs):
        # A fully connected layer here may be a 1x1 convolution there.
        if candidate.shape == ours.shape or [s for s in candidate.shape if s > 1] == [s for s in ours.shape if s > 1]:
            theirs = candidate.reshape(ours.shape)
            break
    else:
        raise ConversionError(
            f"{layer} gives {ours.shape} and the reference's {name} {theirs.shape}: these are not the same layer. "
            "Was the reference built with the same output stride?"
        )
    difference = float(np.abs(ours - theirs).max(initial=0))
    scale = float(np.abs(theirs).max(initial=0))
    return Row(layer, name, ours.shape, difference, difference / scale if scale else difference)
