"""Whether a prototxt describes the network that a Keras model is.

Both are read as steps in one vocabulary (`steps`), of which equal ones have equal numbers: so every parameter counts,
and all of the wiring, and forms that compute the same - padding as a layer of its own, normalisation as two layers,
poolings that round up - are the same. `differences` then says where two networks part.
"""

import dataclasses
import pathlib

from converters.errors import ConversionError
from converters.families import FAMILIES
from converters.programs import differences, from_keras, from_prototxt
from converters.programs.steps import Steps
from converters.reading.caffe.prototxt import read_prototxt
from tfseg import graphs

__all__ = ["PrototxtCheck", "check_prototxt"]

# Where a prototxt does not tell: what fully connected layers were trained at; else a size of which halves, quarters and
# eighths with aligned corners (8 n + 1) come out even.
_CLASSIFIED, _SEGMENTED = (224, 224), (321, 321)
_LISTED = 12
_END = {"softmax", "argmax"}  # what a deploy prototxt makes of the logits


@dataclasses.dataclass(frozen=True)
class PrototxtCheck:
    """What was found equal.

    Attributes:
        prototxt: name of the file.
        layers: how many of its layers with weights the model has, counted as often as they are used.
        pixels: rows and columns of the image at which sizes and poolings were compared.
        notes: sentences on what the one has and the other lacks, by intention.
    """

    prototxt: str
    layers: int
    pixels: tuple
    notes: tuple

    def __str__(self):
        height, width = self.pixels
        agree = (
            f"{self.prototxt}: {self.layers} layers with weights, and all between them, at {height} x {width} pixels"
        )
        return "; ".join([agree, *self.notes])


def check_prototxt(model, path, *, family=None, network=None, pixels=None):
    """Checks that the network a prototxt describes is the one that a model computes: every layer and all the wiring.

    Kernels, strides, padding, dilation, groups, channels, biases, epsilons, poolings and how they round, crops,
    interpolations, sums and the order of what is concatenated, for the phase TEST. Poolings of fixed windows and
    interpolations to fixed sizes, where the model adapts to the image, are compared at the size of image that the
    prototxt states: at that size they are the same, or refused.

    Args:
        model: of tfseg.
        path: of the prototxt.
        family, network: names, whose table tells which layer is which; by default the table that knows most of them.
        pixels: rows and columns of the image, where the prototxt does not tell: by default 224 x 224 before fully
            connected layers, else 321 x 321.
    Returns: a `PrototxtCheck`, which prints as a line.
    Raises:
        ConversionError: a file that is no prototxt; a network that differs, with every layer that does; names that the
            table does not know.
        ValueError: a model that is no graph of layers.
    """
    path = pathlib.Path(path)
    net = read_prototxt(path)
    graphs.check(model)
    table = _table(net, model, family, network, path.name)
    shape = next(iter(net.inputs.values()), None) or ()
    pixels = pixels or (shape[2:4] if len(shape) == 4 and min(shape[2:4]) > 0 else None)
    if pixels is None:
        dense = any(layer.type == "InnerProduct" for layer in net.layers)
        pixels = _CLASSIFIED if dense else _SEGMENTED
    graph = Steps(tuple(pixels), model.inputs[0].shape[-1])
    outputs = from_keras.describe(model, graph)
    layers = {layer.name for layer in model.layers if layer.weights}
    ends = [_bare(end) for end in from_prototxt.describe(net, table.module, layers, graph)]
    ends = [end for end in ends if any(step.op == "image" for step in end.cone())]
    found, notes = {}, []
    if not ends:
        found["the prototxt"] = "no layer of it reads the image"
    pairs = []
    for output in outputs:
        wrong, note = _output(output, ends)
        pairs += [(*wrong, "the output")] if wrong else []
        notes += [note] if note else []
    if not pairs and not found:
        extra, note = _left_out(outputs, ends, layers)
        found |= extra
        notes += [note] if note else []
    if pairs:
        found |= differences.between(ends, outputs, pairs, table)
    if found:
        raise ConversionError(_refusal(path.name, model.name, found, pixels))
    steps = {id(step): step for output in outputs for step in output.cone()}.values()
    return PrototxtCheck(path.name, sum(bool(step.key) for step in steps), tuple(pixels), tuple(notes))


def _table(net, model, family, network, name):
    """The table of the named network, or that which knows most of the layers as layers of the model."""
    if family is not None and family not in FAMILIES:
        raise ConversionError(f"The families known here are {', '.join(FAMILIES)}. Received: family={family!r}")
    families = [FAMILIES[family]] if family else FAMILIES.values()
    tables = {one.table: None for each in families for one in each.networks if network in (None, one.name)}
    if not tables:
        raise ConversionError(f"No family known here has a network of that name. Received: network={network!r}")
    weighted = [layer.name for layer in net.layers if layer.type in from_prototxt.WEIGHTED]
    layers = {layer.name for layer in model.layers}
    first = {table: sum(table.module(one) in layers for one in weighted[:20]) for table in tables}
    best = max(tables, key=lambda table: sum(table.module(one) in layers for one in weighted) if first[table] else 0)
    if not any(best.module(one) in layers for one in weighted):
        raise ConversionError(
            f"{name} describes a network whose layers bear no name that is known for the network {model.name!r}. A "
            "prototxt belongs to the Caffe files of its family. Received: "
            f"{', '.join(weighted[:6]) or 'no layers with weights'}"
        )
    return best


def _bare(step):
    while step.op in _END:
        (step,) = step.inputs
    return step


def _output(output, ends):
    """`(pair, note)`: the steps to look for differences in, or None; what the prototxt leaves to the user, or None."""
    inner = [step for end in ends for step in end.cone()]
    if any(step.number == output.number for step in inner):
        return None, None
    small = output
    while small.op == "resize":
        (small,) = small.inputs
    if short := [end.name for end in ends if end.number == small.number]:
        return None, f"the prototxt ends at {short[0]}, which the network enlarges to the size of the image"
    for one in (output, small):
        wanted = one.op, one.key, _near(one)
        if alike := [step for step in inner if (step.op, step.key, _near(step)) == wanted]:
            return (alike[-1], one), None
    return (ends[-1], output) if ends else None, None


def _near(step):
    """The layers with weights that a step rests upon without others between."""
    found, waiting = set(), list(step.inputs)
    while waiting:
        one = waiting.pop()
        if one.key:
            found.add(one.key)
        else:
            waiting.extend(one.inputs)
    return found


def _left_out(outputs, ends, layers):
    """`(differences, note)` of what a prototxt computes behind the outputs: a head may be left out, as a whole."""
    returned, found, heads = {output.number for output in outputs}, {}, []
    for end in ends:
        beyond = _behind(end, returned)
        if not beyond:
            continue
        strange = [step.name for step in beyond if step.key.startswith("?")]
        absent = [step.name for step in beyond if step.key and step.key not in layers and step.name not in strange]
        if strange or not absent:
            name = (strange or [end.name])[0]
            found[name] = "stands behind what the network returns, which has no such layer"
        heads += absent
    return found, f"left out of the network: {', '.join(heads[:6])}" if heads and not found else None


def _behind(end, numbers):
    """The steps from an end down to those of these numbers; none if it leads to none of them."""
    found, waiting, met = {}, [end], False
    while waiting:
        step = waiting.pop()
        if step.number in numbers:
            met = True
        elif id(step) not in found:
            found[id(step)] = step
            waiting.extend(step.inputs)
    return list(found.values()) if met else []


def _refusal(prototxt, model, found, pixels):
    lines = [f"  {name}: {text}" for name, text in found.items()]
    more = [f"  ... and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
    return "\n".join(
        [
            f"{prototxt} does not describe the network {model!r} (compared at {pixels[0]} x {pixels[1]} pixels):",
            *lines[:_LISTED],
            *more,
            "Choose the network or the options that the prototxt describes (network=, output_stride=, convention=, "
            "multi_scale=), or leave prototxt= out.",
        ]
    )
