"""A network to train on one's own classes, from whatever weights there are."""

import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras

import tfseg
from converters.conversion.convert import convert
from converters.errors import ConversionError
from converters.identification.sources import Source
from converters.types import Weights
from converters.weights.import_weights import import_weights
from converters.weights.receipts import Receipt
from tfseg.outputs import logits_of
from tfseg.surgery.as_segmenter import as_segmenter, gives_features
from tfseg.surgery.renew_head import class_layers
from tfseg.surgery.take_weights import TRUNK, take_weights
from tfseg.surgery.with_metadata import with_metadata


class WarmStart(NamedTuple):
    """A network to train, and what it was made from.

    Attributes:
        model: the Keras model.
        receipt: what was imported; None for a model that was loaded as it is.
        notes: what was replaced or taken in part, as sentences. They are among the notes of the receipt, too.
    """

    model: keras.Model
    receipt: Receipt | None
    notes: tuple[str, ...]


def warm_start(
    source: Weights,
    num_classes: int,
    *,
    network: str | None = None,
    options: Mapping[str, Any] | None = None,
    skip: Sequence[str] = (),
    preprocessing: str | None = None,
    public: Any = None,
) -> WarmStart:
    """A network for one's own classes, with all weights of a source that fit it.

    Where their number is another one, the layers that give the classes are replaced, see `tfseg.renew_head`. A softmax
    or a sigmoid at the end, and a Reshape of all pixels to one row, are left out. Smaller maps are enlarged. If another
    network is named than that of the source, its trunk takes the weights of the source's trunk.

    Args:
        source: what `convert` takes, or the path of a `.keras` file of one's own.
        num_classes: number of classes.
        network: name of a network or of a decoder, see `tfseg.build`; by default that of the source.
        options: options of the named network; those of a decoder name its backbone.
        skip: regular expressions of weights that stay random, see `convert`.
        preprocessing: a name of `tfseg.specs.PREPROCESSING` that the model is to carry; by default the source's own.
        public: code that builds the source's network, see `convert`.
    Raises:
        ConversionError: a source that cannot be read or fits nowhere.
        ValueError: options that the network does not take, or a model whose classes' layers are not start.

    Example:
        >>> start = converters.warm_start("street.pth", 3)
        >>> start.model.output_shape[-1], start.notes
        (3, ('head for 11 classes replaced by one for 3: logits',))
    """
    own_model = _own_model(source)
    if own_model is not None and skip:
        raise ConversionError(
            f"{_name(source)} is a model of your own, and is taken whole: skip= (--skip) is for the weights of "
            f"checkpoints. Received: {', '.join(skip)}. Leave it out, and a head for other classes is replaced. A head "
            "for as many classes is replaced by tfseg.renew_head(model, num_classes)."
        )
    if own_model is not None and preprocessing:
        own_model = with_metadata(own_model)
        tfseg.set_metadata(own_model, preprocessing=tfseg.specs.PREPROCESSING[preprocessing])
    frozen = _frozen(own_model) if own_model is not None else ()
    if network is None:
        start = (
            WarmStart(own_model, None, frozen)
            if own_model
            else _plain(convert(source, skip=skip, preprocessing=preprocessing, public=public))
        )
        return _for_classes(start, num_classes)
    if own_model is None:
        try:
            return _named(source, num_classes, network, options, skip, preprocessing)
        except ConversionError as error:
            if skip:
                raise
            try:
                start = _plain(convert(source, preprocessing=preprocessing))
            except ConversionError:
                raise error from None
    else:
        start = WarmStart(own_model, None, frozen if own_model.name == network and not options else ())
    if start.model.name == network and not options:
        return _for_classes(start, num_classes)
    model = tfseg.build(network, num_classes=num_classes, **(options or {}))
    try:
        note = _take(model, start.model)
    except ValueError as error:
        raise ConversionError(f"{_name(source)} cannot be put into {network}: {error}") from error
    return _noted(start._replace(model=model), note)


def _named(
    source: Weights,
    num_classes: int,
    network: str,
    options: Mapping[str, Any] | None,
    skip: Sequence[str],
    preprocessing: str | None,
) -> WarmStart:
    """The network of a name, filled as `convert` and `import_weights` do it."""
    if not options:
        return _plain(convert(source, network=network, num_classes=num_classes, skip=skip, preprocessing=preprocessing))
    model = tfseg.build(network, num_classes=num_classes, **options)
    receipt = import_weights(model, source, skip=skip)
    known = tfseg.specs.PREPROCESSING[preprocessing] if preprocessing else receipt.preprocessing
    if known is not None:  # the weights decide it, not the network's first paper
        tfseg.set_metadata(model, preprocessing=known)
    return WarmStart(model, receipt, ())


def _take(model: keras.Model, start: keras.Model) -> str:
    """Fills a model from another one, where they are equal; a sentence about it."""
    if len(start.output_shape) == 2:  # a classifier of images of one size
        start = tfseg.convolutionalize(start)
    take_weights(model, start, TRUNK)
    taken = "the trunk"
    if start.name == model.name:  # of other options, such as another output stride: the same head
        paths = {variable.path for variable in start.weights}
        shared = [layer.name for layer in model.layers if layer.weights and {v.path for v in layer.weights} <= paths]
        names = sorted(set(shared) - set(class_layers(model)))
        take_weights(model, start, rf"({'|'.join(map(re.escape, names))})/.*")
        taken = "all layers that both have"
    known = tfseg.metadata(start)["preprocessing"]
    if known is not None:
        tfseg.set_metadata(model, preprocessing=known)
    return f"warm start from a {start.name} with {taken}; new: {', '.join(class_layers(model))}"


def _for_classes(start: WarmStart, num_classes: int) -> WarmStart:
    """The same with logits for every pixel, of the classes."""
    segmenter = as_segmenter(start.model)
    start = _noted(start._replace(model=segmenter.model), *segmenter.notes)
    old = logits_of(start.model.output).shape
    if len(old) != 4:
        raise ConversionError(
            f"{start.model.name} gives one result for a whole image, and masks cannot train it. Received: an output of "
            f"shape {old}. Name the segmenter that it is the trunk of: network='fcn_resnet50' (--model=fcn_resnet50)."
        )
    if old[-1] == num_classes:
        return start
    if gives_features(start.model):
        raise ConversionError(
            f"{start.model.name} ends in features, not in scores of classes, so that it has no head to replace. Name "
            "the segmenter that it is the trunk of: network='fcn_resnet50' (--model=fcn_resnet50)."
        )
    names = ", ".join(class_layers(start.model))
    model = tfseg.renew_head(start.model, num_classes)
    return _noted(start._replace(model=model), f"head for {old[-1]} classes replaced by one for {num_classes}: {names}")


def _plain(converted: Any) -> WarmStart:
    return WarmStart(converted.model, converted.receipt, ())


def _noted(start: WarmStart, *notes: str) -> WarmStart:
    if start.receipt is not None:
        start.receipt.notes += notes
    return start._replace(notes=(*start.notes, *notes))


def _own_model(source: Weights) -> keras.Model | None:
    """The model of a `.keras` file that `tfseg.load` opens; None for other sources."""
    if not isinstance(source, str | os.PathLike) or pathlib.Path(source).suffix != ".keras":
        return None
    if not pathlib.Path(source).is_file():
        return None  # a name or an address, which `convert` knows
    try:
        return tfseg.load(source)
    except ValueError:
        return None


def _frozen(model: keras.Model) -> tuple[str, ...]:
    """A sentence about the layers that do not learn, if there are any: an earlier training or a program froze them."""
    frozen = [
        layer.name
        for layer in model.layers
        if layer.weights and not layer.trainable and not isinstance(layer, keras.layers.BatchNormalization)
    ]
    if not frozen:
        return ()
    return (
        f"{len(frozen)} layers are frozen in the file and stay so: {frozen[0]}, ..., {frozen[-1]}. To train them, load "
        "the file, set model.trainable = True, and save it. BatchNorm layers follow the recipe (batch_norm)",
    )


def _name(source: Weights) -> str:
    if isinstance(source, str | os.PathLike):
        return pathlib.Path(source).name
    return source.name if isinstance(source, Source) else type(source).__name__
