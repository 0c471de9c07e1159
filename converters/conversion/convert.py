"""A checkpoint in, a Keras model that computes the same function out."""

import os
import types
from collections.abc import Mapping, Sequence
from typing import Any

from converters.conversion.build_network import BuildRequest
from converters.conversion.convert_graph import (
    GraphResults,
    check_graph_options,
    graph_beside,
    graph_path,
    graph_results,
)
from converters.conversion.known_network import convert_known
from converters.conversion.requests import Conversion, Request
from converters.errors import ConversionError
from converters.families import Family
from converters.identification.own_files import is_own_model
from converters.identification.sources import fetched, open_source
from converters.reading import limits
from converters.reading.pytorch.exported_program import is_exported_program
from converters.reading.tensorflow.graph_file import FROZEN, graph_kind
from converters.types import Path, Weights
from tfseg import specs
from tfseg.progress import ProgressOption, reporting


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
    max_expansion: float | None = None,
    trusted: bool = False,
    progress: ProgressOption = None,
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
        max_expansion: bytes of memory that reading may cost for each byte of the file, beside 64 MiB; 8 by default.
        trusted: whether the file's author is trusted. HDF5 is then read in this process, not in a child: 0.2 s less.
        progress: True shows on stderr how many bytes of the weights are read, how fast, and the time left. A function
            is called with the bytes done and in all.
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
    request = Request(
        family, network, form, preprocessing, skip, prefix, prototxt, classes, colors, allow_nonfinite, example
    )
    results = graph_results(signature, outputs, inputs)
    with limits.allowing(max_expansion, trusted), reporting(progress):
        return _convert(path, request, results, public)


def _convert(path: Weights, request: Request, results: GraphResults, public: Any) -> Conversion:
    single = path[0] if isinstance(path, list | tuple) and len(path) == 1 else path
    single = fetched(single) if isinstance(single, str | os.PathLike) else single
    if isinstance(single, str | os.PathLike) and is_exported_program(single):
        return _programs().convert_exported(single, request)
    if (graph := graph_path(single, results)) is not None:
        return _convert_graph(graph, request, results)
    source = open_source(path)
    meta_graph = graph_beside(source)
    if meta_graph is None:
        check_graph_options(results)
    if public is not None:
        return _programs().convert_public(source, request, public)
    try:
        return convert_known(source, request)
    except ConversionError as refusal:
        programs = _programs()
        if meta_graph is not None and not request.is_of_families:
            return programs.convert_graph(meta_graph, request, results, refusal)
        if programs.has_program(source, request):
            return programs.convert_program(source, request, refusal)
        if request.is_of_families or source.refusal is not None or is_own_model(source):
            raise
        return programs.convert_described(source, request, refusal)


def _convert_graph(path: Path, request: Request, results: GraphResults) -> Conversion:
    """A frozen graph as the known network that it holds, or any program of TensorFlow as it stands."""
    programs = _programs()
    refusal = None
    if results == GraphResults() and graph_kind(path) == FROZEN:
        try:
            if (known := programs.convert_frozen(path, request)) is not None:
                return known
        except ConversionError as error:
            refusal = error
    return programs.convert_graph(path, request, results, refusal)


def _programs() -> types.ModuleType:
    """The front-ends of programs: 150 modules, which networks of the families do without."""
    from converters.conversion import from_programs

    return from_programs
