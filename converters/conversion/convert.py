"""A checkpoint in, a Keras model that computes the same function out."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

import tfseg
from converters.building.build import build_from_exported, build_from_module
from converters.building.caffe import build as caffe
from converters.building.onnx.build import build_from_source, graph_of
from converters.building.public.named import build_from_public
from converters.conversion.agreeing_network import agreeing_network
from converters.conversion.build_network import BuildRequest
from converters.conversion.check_live import check_live
from converters.conversion.convert_graph import (
    GraphResults,
    build_graph,
    check_graph_options,
    graph_beside,
    graph_path,
    graph_results,
)
from converters.conversion.described import described_builder
from converters.conversion.rebuild_network import fill_by_path, rebuild_network
from converters.errors import ConversionError
from converters.families import Family
from converters.identification.agreement import Agreement
from converters.identification.fits import Candidates, Fit
from converters.identification.identify import identify_source
from converters.identification.own_files import BY_PATH, OwnNetwork, own_network, refuse_own_model
from converters.identification.sources import Source, fetched, open_source
from converters.programs.check_prototxt import check_prototxt
from converters.programs.torch_modules import keep_momentum
from converters.reading.pytorch.exported_program import is_exported_program
from converters.types import Path, Weights
from converters.weights.fill_model import fill_model, variable_shapes
from converters.weights.import_weights import mapping_advice
from converters.weights.plan import plan_import
from converters.weights.receipts import Receipt
from tfseg import palettes, specs
from tfseg.nets import blocks
from tfseg.outputs import logits_of

_HALF = ("float16", "bfloat16")


class Conversion(NamedTuple):
    """The result of `convert`: the model, and the receipt of what was done."""

    model: keras.Model
    receipt: Receipt


@dataclasses.dataclass(frozen=True)
class _Request:
    """What the caller of `convert` asks for; see there."""

    family: str | Family | None
    network: str | None
    form: BuildRequest
    preprocessing: str | None
    skip: Sequence[str]
    prefix: str | None
    prototxt: Path | None
    classes: Sequence[str] | None
    colors: Sequence[Sequence[int]] | None
    allow_nonfinite: bool
    example: Any = None

    @property
    def is_of_families(self) -> bool:
        """Whether it asks for something that only networks of the families have."""
        return self.names_network or self.prototxt is not None or bool(self.skip)

    @property
    def names_network(self) -> bool:
        """Whether it says which network of the families is meant, or in which form."""
        return self.names_family or self.prefix is not None

    @property
    def names_family(self) -> bool:
        """Whether it names a network of the families, or asks for a form of one."""
        return not (self.family is None and self.network is None and self.form == BuildRequest())


def convert(
    path: Weights,
    *,
    family: str | Family | None = None,
    network: str | None = None,
    num_classes: int | Mapping[str, int] | None = None,
    output_stride: int | None = None,
    convention: str | None = None,
    include_top: bool | None = None,
    aux: bool | None = None,
    multi_scale: bool | Sequence[float] | None = None,
    preprocessing: str | None = None,
    skip: Sequence[str] = (),
    prefix: str | None = None,
    prototxt: Path | None = None,
    classes: Sequence[str] | None = None,
    colors: Sequence[Sequence[int]] | None = None,
    allow_nonfinite: bool = False,
    example: Any = None,
    public: Any = None,
    signature: str | None = None,
    outputs: Sequence[str] = (),
    inputs: Sequence[str] = (),
) -> Conversion:
    """Builds the network that a checkpoint is for and fills it.

    A live torch module, an ONNX file or a Caffe network of no known family is built from its own program: any
    convolutional network, step by step. It is compared with the module, or with onnxruntime or OpenCV where those are
    installed.

    Args:
        path: path, URL or published name; a list of files that hold one network together; a mapping of arrays; or a
            live torch module.
        family: name of a family, or a `converters.families.Family`: only its networks are tried.
        network: name of a network, where several fit or another one is wanted. "fcn8s_atonce" for a file that could be
            FCN-8s; "fcn32s" for a VGG16, whose weights are then transplanted (a partial load).
        num_classes: classes of the head; by default the file's. Another number needs the head among `skip`. For several
            heads a number each: `{"sem": 33, "geo": 3}`.
        output_stride: input pixels for each feature pixel: 32, 16, 8 or 4. It dilates the network, in the family's own
            form; by default the family's own.
        convention: "previous", "new" or "one": the rate of the layers that lose their stride (see `tfseg.ResNet`). By
            default the family's own.
        include_top: False gives the features of the last stage, True insists on the classifier. By default it is there
            if the file has it.
        aux: True makes the model return `[logits, aux_logits]`.
        multi_scale: sizes at which DeepLabV2 sees the image: False for its own size alone, or the further sizes, as in
            (0.5, 0.75). By default what the family's public network does (see `tfseg.DeepLabV2`).
        preprocessing: a name of `tfseg.specs.PREPROCESSING` that the model is to carry; by default the family's own. A
            receipt names the files that want another.
        skip: regular expressions, found anywhere in a variable's path or a tensor's key: those keep their initial
            values. For a Caffe network that is built from its layers: layers of the file that are left out.
        prefix: text before the network's keys in the file, as "model.encoder.": what stands beside is left out. By
            default it is found. "model_ema" chooses one of several dictionaries.
        prototxt: path of Caffe's description of the network. Where it describes no known network, the network is built
            from its layers. With `family` or `network` it is refused, before any weight is read, unless it describes
            the network that is named (see `converters.check_prototxt`).
        classes: names of the classes that the model is to carry; by default those of the family's data set.
        colors: `(red, green, blue)`, 0..255, of each class.
        allow_nonfinite: accept NaN and infinite weights.
        example: for a live torch module, an image that it takes: a tensor `(batch, channels, height, width)`. A module
            that cannot be built for any size is built for that one.
        public: code that builds the file's network, for networks of no family: "module:callable", perhaps with plain
            arguments, as "timm:create_model('resnet18', num_classes=5)". In Python, a callable without arguments, too.
            The module is imported, which runs its code; nothing of the file runs. The network must use every tensor.
        signature: for a SavedModel, the key of the signature whose results the model has; by default
            "serving_default", or the only one.
        outputs: for a TensorFlow graph, names of the nodes that are the results, such as "logits/BiasAdd"; by default
            those of the signature, or those that no other node reads.
        inputs: for a TensorFlow graph, name of the node whose result is the image, such as "sub_7". The graph's own
            preprocessing before it is left out.
    Returns: `(model, receipt)`; the model carries its preprocessing, and class names where they are known.
    Raises:
        ConversionError: a file that cannot be read, is not identified or does not fit, or an option that its family
            lacks.

    Example:
        >>> model, receipt = converters.convert("street.pth")
        >>> model.name, model.output_shape
        ('fcn_resnet18', (None, None, None, 11))
        >>> receipt.family
        'torchvision/segmentation'
    """
    if preprocessing not in (None, *specs.PREPROCESSING):
        raise ConversionError(
            f"preprocessing is one of {', '.join(map(repr, specs.PREPROCESSING))}. Received: {preprocessing!r}"
        )
    form = BuildRequest(num_classes, output_stride, convention, include_top, aux, multi_scale)
    request = _Request(
        family, network, form, preprocessing, skip, prefix, prototxt, classes, colors, allow_nonfinite, example
    )
    single = path[0] if isinstance(path, list | tuple) and len(path) == 1 else path
    single = fetched(single) if isinstance(single, str | os.PathLike) else single
    if isinstance(single, str | os.PathLike) and is_exported_program(single):
        return _convert_exported(single, request)
    results = graph_results(signature, outputs, inputs)
    if (graph := graph_path(single, results)) is not None:
        return _convert_graph(graph, request, results)
    source = open_source(path)
    meta_graph = graph_beside(source)
    if meta_graph is None:
        check_graph_options(results)
    if public is not None:
        return _convert_public(source, request, public)
    try:
        return _convert_known(source, request)
    except ConversionError as refusal:
        if meta_graph is not None and not request.is_of_families:
            return _convert_graph(meta_graph, request, results, refusal)
        if _has_program(source, request):
            return _convert_program(source, request, refusal)
        if request.is_of_families or source.refusal is not None:
            raise
        return _convert_described(source, request, refusal)


def _has_program(source: Source, request: _Request) -> bool:
    """Whether a source that is no known network may be built from its own program."""
    if caffe.is_caffe(source):  # what the prototxt says counts, whatever the names of the layers suggest
        return not request.names_network
    return not request.is_of_families and bool(source.module is not None or graph_of(source))


def _convert_program(source: Source, request: _Request, refusal: ConversionError) -> Conversion:
    """`convert` for a live module or an ONNX file that is no network of a known family: its own program is built.

    Raises:
        ConversionError: what cannot be built, and why the source is no known network.
    """
    try:
        if source.module is not None:
            model, receipt = build_from_module(source.module, example=request.example)
        elif caffe.is_caffe(source):
            model, receipt = caffe.build_from_source(
                source, prototxt=request.prototxt, skip=request.skip, allow_nonfinite=request.allow_nonfinite
            )
        else:
            model, receipt = build_from_source(source, allow_nonfinite=request.allow_nonfinite)
    except ConversionError as error:
        if str(error) == str(refusal):
            raise
        raise ConversionError(f"{error}\nIt was not converted as a known network either: {refusal}") from error
    if receipt.prototxt is not None and "does not describe" in str(refusal):
        receipt.notes.append(f"the prototxt counts, and not the names of the layers: {str(refusal).splitlines()[0]}")
    return _with_facts(model, receipt, request)


def _convert_described(source: Source, request: _Request, refusal: ConversionError) -> Conversion:
    """`convert` for a source whose configuration or name says which package has the code of its network.

    Raises:
        ConversionError: what cannot be built, and why the source is no known network; or the latter alone.
    """
    try:
        build = described_builder(source, example=request.example, allow_nonfinite=request.allow_nonfinite)
        if build is None:
            raise refusal
        model, receipt = build()
    except ConversionError as error:
        if error is refusal:
            raise
        raise ConversionError(f"{error}\nIt was not converted as a known network either: {refusal}") from error
    return _with_facts(model, receipt, request)


def _convert_public(source: Source, request: _Request, public: Any) -> Conversion:
    """`convert` for a file whose network the caller's own code builds.

    Raises:
        ConversionError: what cannot be built; an option that only networks of the families have.
    """
    if request.names_family or request.prototxt is not None:
        raise ConversionError(
            "public= builds the network with the code that it names. The options for networks of the families "
            "(family=, network=, num_classes=, output_stride=, include_top= and so on) do not apply. Give the callable "
            "its own arguments, as in public=\"timm:create_model('resnet18', num_classes=5)\". "
            f"Received: public={public!r}"
        )
    model, receipt = build_from_public(
        source,
        public,
        prefix=request.prefix,
        skip=request.skip,
        example=request.example,
        allow_nonfinite=request.allow_nonfinite,
    )
    return _with_facts(model, receipt, request)


def _convert_graph(
    path: Path, request: _Request, results: GraphResults, refusal: ConversionError | None = None
) -> Conversion:
    """`convert` for a program of TensorFlow: a frozen graph, a SavedModel, or the MetaGraph of a checkpoint.

    Raises:
        ConversionError: what cannot be built, and why the checkpoint is no known network.
    """
    options = {"for_families": request.is_of_families, "allow_nonfinite": request.allow_nonfinite}
    try:
        model, receipt = build_graph(path, results=results, **options)
    except ConversionError as error:
        if refusal is None:
            raise
        raise ConversionError(f"{error}\nIt was not converted as a known network either: {refusal}") from error
    return _with_facts(model, receipt, request)


def _convert_exported(path: Path, request: _Request) -> Conversion:
    """`convert` for a file of `torch.export.save`: its program is built.

    Raises:
        ConversionError: what cannot be built; an option that only networks of the families have.
    """
    if request.is_of_families:
        raise ConversionError(
            f"{path} is a program of torch.export and is built as it stands. The options for networks of the families "
            "(family=, network=, num_classes=, output_stride=, skip= and so on) do not apply to it. To fill such a "
            "network with its weights, save them: torch.save(dict(torch.export.load(path).state_dict), 'name.pth')."
        )
    model, receipt = build_from_exported(path)
    return _with_facts(model, receipt, request)


def _with_facts(model: keras.Model, receipt: Receipt, request: _Request) -> Conversion:
    """A built model with the preprocessing and the classes that the caller gives."""
    if request.preprocessing:
        tfseg.set_metadata(model, preprocessing=specs.PREPROCESSING[request.preprocessing])
        receipt.preprocessing = specs.PREPROCESSING[request.preprocessing]
    elif receipt.preprocessing is None:
        receipt.notes.append(
            "its preprocessing is not known: preprocessing= (tfseg.set_metadata) lets the model carry it"
        )
    _name_classes(model, request.classes, request.colors)
    return Conversion(model, receipt)


def _convert_known(source: Source, request: _Request) -> Conversion:
    """`convert` for the networks of the families, and for files of tfseg."""
    family, network, prefix, form = request.family, request.network, request.prefix, request.form
    if network is None and family in (None, BY_PATH):
        refuse_own_model(source)
    if family in (None, BY_PATH) and (stated := own_network(source)):
        return _open_own(source, stated, request)
    candidates = identify_source(source, family=family, skip=request.skip, prefix=prefix, network=network)
    source, skip, include_top = candidates.source, candidates.skip, form.include_top
    form = dataclasses.replace(form, named=not (network is None and family is None))
    chosen = agreeing_network(candidates, _choose(candidates, network), form, network=network, skip=skip)
    fit, model, agreement, checked = chosen.fit, chosen.model, chosen.agreement, chosen.notes
    _, options, drop = chosen.built
    target, named = network or fit.network.name, network is not None
    asked = form.output_stride is not None or form.convention is not None
    live = source.module is not None and bool(source.modules)

    receipt = Receipt(source.name, model.name, *fit.names, options=options, others=list(candidates.alternatives(fit)))
    receipt.prefix = prefix
    receipt.preprocessing = specs.PREPROCESSING[request.preprocessing or fit.family.preprocessing]
    if request.preprocessing is None and agreement.preprocessing:
        receipt.preprocessing = agreement.preprocessing
    receipt.notes += [*agreement.notes, *candidates.name_notes(fit.network.name), *checked]
    receipt.notes += _head_notes(fit, model, target)
    if request.prototxt is not None:
        receipt.prototxt = _check_prototxt(model, request.prototxt, fit, target)
    _set_metadata(model, receipt, fit, target)
    _name_classes(model, request.classes or _stated_classes(agreement, receipt, fit, target), request.colors)
    plan = plan_import(fit.network.table, source.shapes, variable_shapes(model), drop=drop, skip=skip)
    advice = mapping_advice(candidates, variable_shapes(model), plan)
    fill_model(model, source, plan, receipt, advice=advice, allow_nonfinite=request.allow_nonfinite)
    blocks.initialize(model, plan.untouched)
    receipt.notes += [*_precision_notes(source), *keep_momentum(source, model, fit)]
    if live:
        changed = include_top is False or form.multi_scale is not None or bool(plan.untouched)
        whole = target == fit.network.name and not changed
        receipt.notes += check_live(source, model, fit, receipt, named=named, whole=whole, asked=asked)
    return Conversion(model, receipt)


def _precision_notes(source: Source) -> list[str]:
    """What a receipt says of weights in half precision."""
    half = sorted({dtype.name for dtype in map(np.dtype, source.dtypes.values()) if dtype.name in _HALF})
    if not half:
        return []
    return [
        f"its weights are {' and '.join(half)}: the model has the same numbers and computes in float32, more exactly "
        "than a network in half precision"
    ]


def _head_notes(fit: Fit, model: keras.Model, target: str) -> list[str]:
    """What a receipt says of a head that is missing, or that has other names than the family's."""
    notes = [fit.head_note] if fit.head_note and target == fit.network.name else []
    if fit.headless and target == fit.network.name and model.name.endswith("_features"):
        other = "; network= or family= builds a segmenter on it, with a new head" if fit.is_any_trunk else ""
        notes.append(f"the file has no head: the model gives the features of its last stage{other}")
    return notes


def _stated_classes(agreement: Agreement, receipt: Receipt, fit: Fit, target: str) -> tuple[str, ...] | None:
    """The names of the classes that stand beside the weights, if the model has those classes."""
    same = target == fit.network.name and receipt.options.get("num_classes") == len(agreement.classes)
    return agreement.classes if same and agreement.classes else None


def _open_own(source: Source, stated: OwnNetwork, request: _Request) -> Conversion:
    """`convert` for a file whose header says which network it holds."""
    if request.network not in (None, stated.name):
        raise ConversionError(
            f"{source.name} holds {stated.name}. Build the other network with tfseg.build and fill it with "
            f"import_weights. Received: network={request.network!r}"
        )
    model = rebuild_network(stated, source, request.form)
    if request.preprocessing:
        tfseg.set_metadata(model, preprocessing=specs.PREPROCESSING[request.preprocessing])
    _name_classes(model, request.classes, request.colors)
    checked = None if request.prototxt is None else str(check_prototxt(model, request.prototxt))
    receipt = fill_by_path(model, stated, source, skip=request.skip, allow_nonfinite=request.allow_nonfinite)
    receipt.prototxt = checked
    return Conversion(model, receipt)


def _name_classes(model: keras.Model, classes: Sequence[str] | None, colors: Sequence[Sequence[int]] | None) -> None:
    """Lets the model carry the names and colors that the caller gives.

    Raises:
        ConversionError: another number of them than the model has classes.
    """
    if classes is None and colors is None:
        return
    output = logits_of(model.output)
    for option, values in (("classes", classes), ("colors", colors)):
        if values is not None and len(values) != output.shape[-1]:
            raise ConversionError(
                f"{option} has one entry for each of the {output.shape[-1]} classes of {model.name}. Received: "
                f"{len(values)} {option}: {', '.join(map(str, values))}"
            )
        if values is not None:
            tfseg.set_metadata(model, **{option: list(values)})


def _choose(candidates: Candidates, network: str | None) -> Fit:
    """The network whose table reads the file: the one asked for if it fits, else the one that the file is for."""
    if network is not None and network not in tfseg.list_models():
        raise ConversionError(
            f"No network of that name: tfseg.list_models() has {', '.join(tfseg.list_models())}. "
            f"Received: network={network!r}"
        )
    formats = {checkpoint.format for checkpoint in candidates.source.checkpoints}
    named = [fit for fit in candidates.fits if fit.network.name == network]
    if named and named[0].differences:  # the message then has the names that files of this format have
        named.sort(key=lambda fit: not formats <= set(fit.family.formats))
    if named and (candidates.best.differences or not named[0].differences):
        return named[0]
    # "fcn_resnetaa50" is a head on a resnetaa50. In other names the file decides which of the doubles the trunk is.
    doubles = [fit for fit in candidates.matches if fit.network.name in specs.RESNET_DOUBLES]
    trunks = [fit for fit in doubles if network is not None and network.endswith(f"_{fit.network.name}")]
    if trunks:
        return trunks[0]
    candidates.refuse_unclear(network)
    return candidates.choose()


def _check_prototxt(model: keras.Model, prototxt: Path, fit: Fit, target: str) -> str:
    if target == fit.network.name:
        return str(check_prototxt(model, prototxt, family=fit.family, network=target))
    return str(check_prototxt(model, prototxt))


def _set_metadata(model: keras.Model, receipt: Receipt, fit: Fit, target: str) -> None:
    """Lets the model carry its preprocessing, and the names and colors of its classes where they are known."""
    tfseg.set_metadata(model, preprocessing=receipt.preprocessing)
    num_classes = receipt.options.get("num_classes")
    if isinstance(num_classes, Mapping):  # the classes of the first head, which `tfseg.predict` shows
        num_classes = next(iter(num_classes.values()), None)
    for dataset in fit.family.datasets:
        if target == fit.network.name and len(palettes.CLASSES[dataset]) == num_classes:
            tfseg.set_metadata(model, classes=palettes.CLASSES[dataset], colors=palettes.COLORS[dataset])
