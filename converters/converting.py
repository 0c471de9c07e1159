"""A checkpoint in, a Keras model that computes the same function out."""

import re

import keras

import tfseg
from converters.errors import ConversionError
from converters.families import FAMILIES
from converters.identifying import chosen, others, ranked, sizes
from converters.importing import fill, hint, variable_shapes
from converters.mapping import plan
from converters.memory import lazy_zeros
from converters.receipts import Receipt
from converters.sources import open_source
from tfseg import specs
from tfseg.nets import blocks


def convert(
    path,
    *,
    family=None,
    network=None,
    num_classes=None,
    output_stride=None,
    convention=None,
    include_top=None,
    aux=None,
    skip=(),
    allow_nonfinite=False,
):
    """Builds the network that a checkpoint is for and fills it.

    Args:
        path: path, URL, published name, or a list of files that hold one network together.
        family, network: names, where several fit or another network is wanted: "fcn8s_atonce" for a file that could be
            FCN-8s; "fcn32s" for a VGG16, whose weights are then transplanted.
        num_classes: of the head; by default the file's. Another number needs the head among `skip`.
        output_stride: 32, 16, 8 or 4: dilates the network, in the family's own form; by default the family's own.
        convention: "previous", "new" or "one", the rate of the layers that lose their stride (see `tfseg.ResNet`); by
            default the family's own.
        include_top: False gives the features of the last stage, True insists on the classifier; by default it is there
            if the file has it.
        aux: True makes the model return `[logits, aux_logits]`.
        skip: regular expressions, found anywhere in a variable's path or a tensor's key: those keep their initial
            values.
        allow_nonfinite: accept NaN and infinite weights.
    Returns: `(model, receipt)`; the model carries its preprocessing, and class names where they are known.
    Raises:
        ConversionError: a file that cannot be read, is not recognised or does not fit, or an option that its family
            lacks.
    """
    source = open_source(path)
    fits = ranked(source, family=family, skip=skip)
    fit = _fit(source, fits, network)
    target = network or fit.network.name
    _check_parts(fit, source, include_top)
    model, options, drop = _build(target, fit, source, num_classes, output_stride, convention, include_top, aux)
    made = plan(fit.network.table, source.shapes, variable_shapes(model), drop=drop, skip=skip)
    receipt = Receipt(source.name, model.name, fit.family.name, fit.network.name, others=list(others(fits, fit)))
    receipt.options = options
    receipt.preprocessing = specs.PREPROCESSING[fit.family.preprocessing]
    tfseg.set_metadata(model, preprocessing=receipt.preprocessing)
    names = specs.CLASSES.get(fit.family.dataset, ())
    if target == fit.network.name and len(names) == options.get("num_classes"):
        tfseg.set_metadata(model, classes=names, colors=specs.COLORS[fit.family.dataset])
    fill(
        model,
        source,
        made,
        receipt,
        hint=hint(source, fits, variable_shapes(model), made),
        allow_nonfinite=allow_nonfinite,
    )
    blocks.initialize(model, made.untouched)
    return model, receipt


def _fit(source, fits, network):
    """The network whose table reads the file: the one asked for where it fits, else the one that the file is for."""
    named = [fit for fit in fits if fit.network.name == network]
    if network is not None and network not in tfseg.list_models():
        raise ConversionError(
            f"No network of that name: tfseg.list_models() has {', '.join(tfseg.list_models())}. "
            f"Received: network={network!r}"
        )
    if named and (fits[0].differences or not named[0].differences):
        return named[0]
    return chosen(source, fits)


def _check_parts(fit, source, include_top):
    """Refuses one part of a network whose publisher keeps it in several files; features need the first alone."""
    absent = [name for name, pattern in fit.family.parts.items() if not any(re.match(pattern, key) for key in source)]
    if absent and not (include_top is False and next(iter(fit.family.parts)) not in absent):
        there = [name for name in fit.family.parts if name not in absent]
        raise ConversionError(
            f"{source.name} holds the {' and '.join(there)} of a {fit.network.name} of {fit.family.name}, without its "
            f"{' and '.join(absent)}. Give all files together: convert([{', '.join(fit.family.parts)}]), "
            f"--checkpoint={','.join(fit.family.parts)}"
            + ("; or take the features alone: include_top=False." if absent != [next(iter(fit.family.parts))] else ".")
        )


def _build(target, fit, source, num_classes, output_stride, convention, include_top, aux):
    """The empty model, what it was built with, and what the file may hold beyond it."""
    found = sizes(fit, source.shapes)
    owner = next(family for family in (fit.family, *FAMILIES.values()) if family.network(target))
    own = target == fit.network.name
    classifier = owner.features is None
    options = dict(owner.options) | owner.network(target).options
    options |= {"width": found["width"], "channels": found["channels"]}
    drop = []
    if output_stride is not None:
        _allow(owner.dilates, f"{target} has one output stride only", "output_stride", output_stride)
        options["output_stride"] = output_stride
    if convention is not None:
        trained = f"the weights of {owner.name} were trained with {' or '.join(map(repr, owner.conventions))}"
        why = trained if owner.conventions else f"{target} has the rates that its paper gives it"
        if convention not in specs.CONVENTIONS:
            why = f"convention must be one of {', '.join(map(repr, specs.CONVENTIONS))}"
        _allow(convention in owner.conventions, why, "convention", convention)
        options["convention"] = convention
    if include_top and own:
        _allow(found["include_top"], "the file has no head", "include_top", include_top)
    if aux:
        _allow(owner.aux is not None, f"{target} has no auxiliary head", "aux", aux)
        _allow(found["aux"] or not own, "the file has no auxiliary head", "aux", aux)
    if owner.aux is not None:
        options["aux"] = bool(aux)
        drop += [] if aux else [("aux_.*", "the auxiliary head, not asked for: aux=True")]
    if classifier:
        options["include_top"] = found["include_top"] if include_top is None else include_top
        head = options["include_top"]
    else:
        head = include_top is not False
    if not head:
        _allow(num_classes is None, "features have no classes", "num_classes", num_classes)
        drop.append((owner.head, "the head, left out: include_top=False"))
    elif num_classes is not None:
        options["num_classes"] = num_classes
    elif owner is fit.family and found["num_classes"]:
        options["num_classes"] = found["num_classes"]
    try:
        with blocks.blank_weights(lazy_zeros):
            model = tfseg.build(target, **options)
    except ValueError as error:
        raise ConversionError(f"{source.name} cannot be built as {target}: {error}") from error
    if not head and not classifier:
        layers = [layer for layer in model.layers if re.fullmatch(owner.features, layer.name)]
        model = keras.Model(model.input, layers[-1].output, name=f"{target}_features")
    return model, options, drop


def _allow(condition, why, option, value):
    if not condition:
        raise ConversionError(f"{option} cannot be had here: {why}. Received: {option}={value!r}")
