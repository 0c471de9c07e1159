"""A checkpoint in, a Keras model that computes the same function out."""

import dataclasses
import re

import keras

import tfseg
from converters.errors import ConversionError
from converters.families import FAMILIES
from converters.identification.identify import check_parts, chosen, others, ranked, sizes
from converters.identification.sources import open_source
from converters.memory import lazy_zeros
from converters.programs.check_prototxt import check_prototxt
from converters.programs.onnx_geometry import check_geometry
from converters.weights.import_weights import fill, hint, variable_shapes
from converters.weights.plan import plan
from converters.weights.receipts import Receipt
from tfseg import specs
from tfseg.nets import blocks

_TRUNK = {*(field.name for field in dataclasses.fields(specs.ResNetSpec)), "convention"}


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
    multi_scale=None,
    preprocessing=None,
    skip=(),
    prototxt=None,
    allow_nonfinite=False,
):
    """Builds the network that a checkpoint is for and fills it.

    Args:
        path: path, URL, published name, or a list of files that hold one network together.
        family, network: names, where several fit or another network is wanted: "fcn8s_atonce" for a file that could be
            FCN-8s; "fcn32s" for a VGG16, whose weights are then transplanted.
        num_classes: of the head; by default the file's. Another number needs the head among `skip`. Of several heads
            one for each, `{"sem": 33, "geo": 3}`.
        output_stride: 32, 16, 8 or 4: dilates the network, in the family's own form; by default the family's own.
        convention: "previous", "new" or "one", the rate of the layers that lose their stride (see `tfseg.ResNet`); by
            default the family's own.
        include_top: False gives the features of the last stage, True insists on the classifier; by default it is there
            if the file has it.
        aux: True makes the model return `[logits, aux_logits]`.
        multi_scale: of DeepLabV2: False for the image's own size alone, or the further sizes, as in (0.5, 0.75); by
            default what the family's public network does (see `tfseg.DeepLabV2`).
        preprocessing: a name of `tfseg.specs.PREPROCESSING`, what the model is to carry; by default the family's own. A
            receipt names the files that want another.
        skip: regular expressions, found anywhere in a variable's path or a tensor's key: those keep their initial
            values.
        prototxt: path of Caffe's description of the network: refused, before any weight is read, unless it describes
            the one that is built (see `converters.check_prototxt`).
        allow_nonfinite: accept NaN and infinite weights.
    Returns: `(model, receipt)`; the model carries its preprocessing, and class names where they are known.
    Raises:
        ConversionError: a file that cannot be read, is not recognised or does not fit, or an option that its family
            lacks.
    """
    if preprocessing not in (None, *specs.PREPROCESSING):
        raise ConversionError(
            f"preprocessing is one of {', '.join(map(repr, specs.PREPROCESSING))}. Received: {preprocessing!r}"
        )
    source = open_source(path)
    fits = ranked(source, family=family, skip=skip)
    fit = _fit(source, fits, network)
    target = network or fit.network.name
    if include_top is not False or fit.differences:
        check_parts(source, fit)
    model, options, drop = _build(
        target, fit, source, num_classes, output_stride, convention, include_top, aux, multi_scale
    )
    check_geometry(source, model, fit, asked=output_stride or convention)
    checked = None
    if prototxt is not None:
        own = {"family": fit.family.name, "network": target} if target == fit.network.name else {}
        checked = str(check_prototxt(model, prototxt, **own))
    made = plan(fit.network.table, source.shapes, variable_shapes(model), drop=drop, skip=skip)
    receipt = Receipt(source.name, model.name, fit.family.name, fit.network.name, others=list(others(fits, fit)))
    receipt.options = options
    receipt.prototxt = checked
    receipt.preprocessing = specs.PREPROCESSING[preprocessing or fit.family.preprocessing]
    tfseg.set_metadata(model, preprocessing=receipt.preprocessing)
    num_classes = options.get("num_classes")
    if isinstance(num_classes, dict):  # the classes of the first head, which `tfseg.predict` shows
        num_classes = next(iter(num_classes.values()), None)
    for dataset in fit.family.datasets:
        if target == fit.network.name and len(specs.CLASSES[dataset]) == num_classes:
            tfseg.set_metadata(model, classes=specs.CLASSES[dataset], colors=specs.COLORS[dataset])
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


def _owner(target, fit):
    """The family in whose form a network is built, and its record; of a ResNet that none has, one with its head."""
    families = (fit.family, *FAMILIES.values())
    head, _, backbone = target.partition("_")
    same = ((family, family.network(target)) for family in families)
    alike = ((family, one) for family in families for one in family.networks if one.name.startswith(f"{head}_"))
    found = next(((family, one) for family, one in same if one), None)
    if found is None and backbone in specs.RESNETS:
        found = next(alike, None)
    if found is None:
        raise ConversionError(
            f"No family known here has the network {target}: build it with tfseg.build and fill it with import_weights."
        )
    return found


def _build(target, fit, source, num_classes, output_stride, convention, include_top, aux, multi_scale):
    """The empty model, what it was built with, and what the file may hold beyond it."""
    found = sizes(fit, source.shapes)
    owner, network = _owner(target, fit)
    own = target == fit.network.name
    classifier = owner.features is None
    options = dict(owner.options) | (fit.network if own else network).options
    if owner is not fit.family:  # a transplant: the head is its owner's, the trunk the file's
        trunk = fit.family.options | fit.network.options
        options = {key: value for key, value in options.items() if key not in _TRUNK}
        options |= {key: value for key, value in trunk.items() if key in _TRUNK}
    options |= {"width": found["width"], "channels": found["channels"]}
    drop = []
    if output_stride is not None:
        dilates = owner.dilates and network.dilates
        _allow(dilates, f"{target} has one output stride only", "output_stride", output_stride)
        options["output_stride"] = output_stride
    if convention is not None:
        trained = fit.family
        why = f"the weights of {trained.name} were trained with {' or '.join(map(repr, trained.conventions))}"
        why = why if trained.conventions else f"{target} has the rates that its paper gives it"
        if convention not in specs.CONVENTIONS:
            why = f"convention must be one of {', '.join(map(repr, specs.CONVENTIONS))}"
        _allow(convention in trained.conventions, why, "convention", convention)
        options["convention"] = convention
    if include_top and own:
        _allow(found["include_top"], "the file has no head", "include_top", include_top)
    if aux:
        _allow(owner.aux is not None, f"{target} has no auxiliary head", "aux", aux)
        _allow(found["aux"] or not own, "the file has no auxiliary head", "aux", aux)
    if owner.aux is not None:
        options["aux"] = bool(aux)
        drop += [] if aux else [("aux_.*", "the auxiliary head, not asked for: aux=True")]
    if multi_scale is not None:
        _allow("multi_scale" in options, f"{target} sees the image at one size", "multi_scale", multi_scale)
        options["multi_scale"] = multi_scale
    if classifier:
        options["include_top"] = found["include_top"] if include_top is None else include_top
        head = options["include_top"]
    else:
        head = include_top is not False
    if not head:
        _allow(num_classes is None, "features have no classes", "num_classes", num_classes)
        _allow(not multi_scale, "features are of one size of the image", "multi_scale", multi_scale)
        options |= {"multi_scale": False} if "multi_scale" in options else {}
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
