"""Whether a prototxt describes the network that a Keras model is.

Both are read as steps in one vocabulary (`steps`), in which equal steps have equal numbers. So every parameter and all
of the wiring count. Forms that compute the same are equal: padding as a layer, normalization as two layers, poolings
that round up. Where two networks differ, `differences` says how.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import keras

from converters.errors import ConversionError
from converters.families import FAMILIES, Family, get_family
from converters.names.tables import Table
from converters.programs import from_keras, from_prototxt
from converters.programs.compare_programs import compare_programs, refusal, table_label
from converters.programs.steps import ProgramStep, StepFactory
from converters.reading.caffe.prototxt import PrototxtNet, read_prototxt
from converters.types import Path
from tfseg import graphs
from tfseg.types import Size

__all__ = ["PrototxtCheck", "check_prototxt"]

# Image sizes where a prototxt states none: the size that fully connected layers were trained at, else a size whose
# halves, quarters and eighths with aligned corners (8 n + 1) are integers.
_CLASSIFIER_SIZE, _SEGMENTER_SIZE = (224, 224), (321, 321)
_END = {"softmax", "argmax"}  # operations after the logits in a deploy prototxt
_ADVICE = (
    "Choose the network or the options that the prototxt describes (network=, output_stride=, convention=, "
    "multi_scale=), or leave prototxt= out."
)


@dataclasses.dataclass(frozen=True)
class PrototxtCheck:
    """What a prototxt and a model were compared at, and what was found equal.

    Attributes:
        prototxt: name of the file.
        layers: number of its layers with weights that the model has, counted as often as they are used.
        image_size: rows and columns of the image at which sizes and poolings were compared.
        notes: sentences on parts that one of the two intentionally lacks.

    Example:
        >>> from converters.programs.check_prototxt import PrototxtCheck
        >>> print(PrototxtCheck("net.prototxt", 17, (321, 321), ()))
        net.prototxt: 17 layers with weights, and all between them, at 321 x 321 pixels
    """

    prototxt: str
    layers: int
    image_size: Size
    notes: tuple[str, ...]

    def __str__(self) -> str:
        height, width = self.image_size
        agree = (
            f"{self.prototxt}: {self.layers} layers with weights, and all between them, at {height} x {width} pixels"
        )
        return "; ".join([agree, *self.notes])


def check_prototxt(
    model: keras.Model,
    path: Path,
    *,
    family: str | Family | None = None,
    network: str | None = None,
    image_size: Size | None = None,
) -> PrototxtCheck:
    """Checks that the network a prototxt describes is the one that a model computes: every layer and all the wiring.

    The check covers kernels, strides, padding, dilation, groups, channels, biases and epsilons. It also covers poolings
    and how they round, crops, interpolations, sums, and the order of concatenated maps, all in the phase TEST.

    A prototxt may have poolings of fixed windows and interpolations to fixed sizes where the model adapts to the image.
    They are compared at the image size that the prototxt states, and have to be equal there.

    Args:
        model: a tfseg model, or another functional model with the same layer names.
        path: where the prototxt lies.
        family: name of a family, or the record itself: its table tells which layer is which. By default the table that
            knows most of the layers.
        network: name of a network, which chooses its table in the same way.
        image_size: rows and columns of the image. By default what the prototxt states; where it states none, 224 x 224
            for networks with fully connected layers, else 321 x 321.
    Returns: a `PrototxtCheck`, which prints as a line.
    Raises:
        ConversionError: a file that is no prototxt; a network that differs, with every layer that does; names that the
            table does not know.
        ValueError: a model that is not a graph of layers.

    Example:
        >>> text = '''
        ... input: "data"  input_dim: 1  input_dim: 3  input_dim: 65  input_dim: 65
        ... layer { name: "conv1_1" type: "Convolution" bottom: "data" top: "conv1_1"
        ...         convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }'''
        >>> _ = pathlib.Path("net.prototxt").write_text(text)
        >>> image = keras.Input((None, None, 3))
        >>> model = keras.Model(image, keras.layers.Conv2D(4, 3, padding="same", name="conv1_1")(image))
        >>> print(converters.check_prototxt(model, "net.prototxt"))
        net.prototxt: 1 layers with weights, and all between them, at 65 x 65 pixels
    """
    path = pathlib.Path(path)
    net = read_prototxt(path)
    graphs.check(model)
    table = _table(net, model, get_family(family), network, path.name)
    image_size = image_size or _stated_size(net) or _usual_size(net)
    factory = StepFactory(image_size, model.inputs[0].shape[-1])
    outputs = from_keras.describe(model, factory)
    layers = {layer.name for layer in model.layers if layer.weights}
    ends = [_without_softmax(end) for end in from_prototxt.describe(net, table.module, layers, factory)]
    ends = [end for end in ends if any(step.op == "image" for step in end.cone())]
    label = table_label(table)
    differences, notes = compare_programs(ends, outputs, layers, noun="the prototxt", label=label, may_end_small=True)
    if differences:
        raise ConversionError(refusal(path.name, model.name, differences, image_size, _ADVICE))
    steps = {id(step): step for output in outputs for step in output.cone()}.values()
    return PrototxtCheck(path.name, sum(bool(step.key) for step in steps), image_size, tuple(notes))


def _table(net: PrototxtNet, model: keras.Model, family: Family | None, network: str | None, prototxt: str) -> Table:
    """The table of the named network, or the table that knows most of the layers as layers of the model."""
    families = [family] if family else FAMILIES.values()
    records = [record for candidate in families for record in candidate.networks if network in (None, record.name)]
    tables = dict.fromkeys(record.table for record in records)
    if not tables:
        raise ConversionError(f"No family known here has a network of that name. Received: network={network!r}")
    weighted = [layer.name for layer in net.layers if layer.type in from_prototxt.WEIGHTED]
    layers = {layer.name for layer in model.layers}

    def known(table: Table, names: Sequence[str]) -> int:
        return sum(table.module(name) in layers for name in names)

    # The first layers tell the wrong tables, before all names are looked up.
    best = max(tables, key=lambda table: known(table, weighted) if known(table, weighted[:20]) else 0)
    if not known(best, weighted):
        raise ConversionError(
            f"{prototxt} describes a network whose layers have no name that is known for the network {model.name!r}. A "
            "prototxt belongs to the Caffe files of its family. Received: "
            f"{', '.join(weighted[:6]) or 'no layers with weights'}"
        )
    return best


def _stated_size(net: PrototxtNet) -> Size | None:
    """The image size that the prototxt states, or None."""
    shape = next(iter(net.inputs.values()), None) or ()
    match shape:
        case (_, _, int(rows), int(columns)) if min(rows, columns) > 0:
            return rows, columns
    return None


def _usual_size(net: PrototxtNet) -> Size:
    return _CLASSIFIER_SIZE if any(layer.type == "InnerProduct" for layer in net.layers) else _SEGMENTER_SIZE


def _without_softmax(step: ProgramStep) -> ProgramStep:
    while step.op in _END:
        (step,) = step.inputs
    return step
