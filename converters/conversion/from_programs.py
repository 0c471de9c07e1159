"""`convert` for sources that say their own program: each is built step by step."""

from typing import Any

import keras

import tfseg
from converters.building.build import build_from_exported, build_from_module
from converters.building.caffe import build as caffe
from converters.building.onnx.build import build_from_source, graph_of
from converters.building.public.named import build_from_public
from converters.conversion.convert_graph import GraphResults, build_graph
from converters.conversion.described import described_builder
from converters.conversion.frozen_graph import convert_frozen as convert_frozen
from converters.conversion.requests import Conversion, Request, name_classes
from converters.errors import ConversionError
from converters.identification.sources import Source
from converters.storing_keras import require_computing
from converters.types import Path
from converters.weights.receipts import Receipt
from tfseg import specs


def has_program(source: Source, request: Request) -> bool:
    """Whether a source that is no known network may be built from its own program.

    Args:
        source: opened source.
        request: what the caller asks for.
    """
    if caffe.is_caffe(source):  # what the prototxt says counts, whatever the names of the layers suggest
        return not request.names_network
    return not request.is_of_families and bool(source.module is not None or graph_of(source))


def convert_program(source: Source, request: Request, refusal: ConversionError) -> Conversion:
    """`convert` for a live module or an ONNX file that is no network of a known family: its own program is built.

    Args:
        source: opened source.
        request: what the caller asks for.
        refusal: why it is no known network; None: it was not tried.
    Raises:
        ConversionError: what cannot be built, and why the source is no known network.
    """
    require_computing()
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


def convert_described(source: Source, request: Request, refusal: ConversionError) -> Conversion:
    """`convert` for a source whose configuration or name says which package has the code of its network.

    Args:
        source: opened source.
        request: what the caller asks for.
        refusal: why it is no known network; None: it was not tried.
    Raises:
        ConversionError: what cannot be built, and why the source is no known network; or the latter alone.
    """
    try:
        build = described_builder(source, example=request.example, allow_nonfinite=request.allow_nonfinite)
        if build is None:
            raise refusal
        require_computing()
        model, receipt = build()
    except ConversionError as error:
        if error is refusal:
            raise
        raise ConversionError(f"{error}\nIt was not converted as a known network either: {refusal}") from error
    return _with_facts(model, receipt, request)


def convert_public(source: Source, request: Request, public: Any) -> Conversion:
    """`convert` for a file whose network the caller's own code builds.

    Args:
        source: opened source.
        request: what the caller asks for.
        public: the code that builds the network, see `convert`.
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
    require_computing()
    model, receipt = build_from_public(
        source,
        public,
        prefix=request.prefix,
        skip=request.skip,
        example=request.example,
        allow_nonfinite=request.allow_nonfinite,
    )
    return _with_facts(model, receipt, request)


def convert_graph(
    path: Path, request: Request, results: GraphResults, refusal: ConversionError | None = None
) -> Conversion:
    """`convert` for a program of TensorFlow: a frozen graph, a SavedModel, or the MetaGraph of a checkpoint.

    Args:
        path: path of the program.
        request: what the caller asks for.
        results: which part of the graph is wanted.
        refusal: why it is no known network; None: it was not tried.
    Raises:
        ConversionError: what cannot be built, and why the checkpoint is no known network.
    """
    require_computing()
    options = {"for_families": request.is_of_families, "allow_nonfinite": request.allow_nonfinite}
    try:
        model, receipt = build_graph(path, results=results, **options)
    except ConversionError as error:
        if refusal is None or str(error) == str(refusal):
            raise
        raise ConversionError(f"{error}\nIt was not converted as a known network either: {refusal}") from error
    return _with_facts(model, receipt, request)


def convert_exported(path: Path, request: Request) -> Conversion:
    """`convert` for a file of `torch.export.save`: its program is built.

    Args:
        path: path of the program.
        request: what the caller asks for.
    Raises:
        ConversionError: what cannot be built; an option that only networks of the families have.
    """
    if request.is_of_families:
        raise ConversionError(
            f"{path} is a program of torch.export and is built as it stands. The options for networks of the families "
            "(family=, network=, num_classes=, output_stride=, skip= and so on) do not apply to it. To fill such a "
            "network with its weights, save them: torch.save(dict(torch.export.load(path).state_dict), 'name.pth')."
        )
    require_computing()
    model, receipt = build_from_exported(path)
    return _with_facts(model, receipt, request)


def _with_facts(model: keras.Model, receipt: Receipt, request: Request) -> Conversion:
    """A built model with the preprocessing and the classes that the caller gives."""
    if request.preprocessing:
        tfseg.set_metadata(model, preprocessing=specs.PREPROCESSING[request.preprocessing])
        receipt.preprocessing = specs.PREPROCESSING[request.preprocessing]
    elif receipt.preprocessing is None:
        receipt.notes.append(
            "its preprocessing is not known: preprocessing= (tfseg.set_metadata) lets the model carry it"
        )
    name_classes(model, request.classes, request.colors)
    return Conversion(model, receipt)
