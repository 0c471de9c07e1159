"""Keras 3's files: weights alone (`.weights.h5`), and `.keras`, a zip of such a file and the model's description.

A group a layer, `layers/conv2d_1/vars/0`: numbered by class, and its variables in the order in which they were made.
Today's Keras notes the layer's name beside them; for older files the description tells it, which counts alike. It is
read as plain JSON: nothing in it is built or run.

Reference: https://keras.io/guides/serialization_and_saving/
"""

import collections
import json
import re

from converters.errors import ConversionError
from converters.reading import hdf5
from converters.reading.keras.legacy_h5 import keyed

_WEIGHTS, _CONFIG, _METADATA = "model.weights.h5", "config.json", "metadata.json"
_LARGEST = 1 << 26  # bytes of a description
_DEEPEST = 32  # groups within groups
_LISTS = ("layers", "_layer_checkpoint_dependencies")  # the second in the Keras of 2023
# Beside the weights: the states of optimizers, metrics and random generators.
_BESIDE = ("optimizer", "compile_metrics", "loss_tracker", "metrics", "_metrics", "seed_generator")

_CONVOLUTION = re.compile(r"((depthwise_)?conv\dd(_transpose)?|dense|einsum_dense)")
_VARIABLES = {
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "layer_normalization": ("gamma", "beta"),
    "group_normalization": ("gamma", "beta"),
    "separable_conv2d": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "p_re_lu": ("alpha",),
    "embedding": ("embeddings",),
}
_OPTIONAL = {"gamma": "scale", "beta": "center", "bias": "use_bias"}  # variable: the option that leaves it out


def recognizes(file) -> bool:
    import h5py

    groups = {key: hdf5.child(file, key) for key in file if file.get(key, getlink=True).__class__ is h5py.HardLink}
    return any(
        isinstance(one, h5py.Group) and (key in _LISTS or "vars" in one) for key, one in groups.items()
    ) or isinstance(groups.get("vars"), h5py.Group)


def load(file, data, config=None) -> dict:
    """{"layer/variable": Tensor}, and the names of what stands beside them, each with None.

    Args:
        config: the model's description, if there is one.
    Raises:
        ConversionError: a layer whose name nothing tells, or a link to elsewhere.
    """
    described = dict(_described(config, "")) if config else {}
    found = []
    for path, name, node in _layers(file, "", described):
        found += _variables(path, name, node, data, described.get(path, (None, {}))[1])
    if not found:
        raise ConversionError("is a file of Keras that holds no weights. Save the model after it was built.")
    beside = [key for key in _BESIDE if key in file]
    return keyed(found) | dict.fromkeys(beside)


def load_archive(archive) -> dict:
    """The same of a `.keras` file; `archive` is a `zip_archive.Archive` with a member config.json.

    Raises:
        ConversionError: a file without its weights, or whose description is no such.
    """
    if _WEIGHTS not in archive.names:
        raise ConversionError(
            f"is a .keras file without its weights, the member {_WEIGHTS}. Save the model again with model.save. "
            f"Received: {', '.join(map(ascii, archive.names[:5]))}."
        )
    config = _json(archive, _CONFIG)
    data = archive.block(_WEIGHTS).data()
    with hdf5.damaged():
        tensors = load(hdf5.open_file(data), data, config)
    version = _json(archive, _METADATA).get("keras_version") if _METADATA in archive.names else None
    return tensors | ({"keras_version": version} if isinstance(version, str) else {})


def _json(archive, name):
    block = archive.block(name)
    try:
        found = json.loads(block.data().tobytes()) if block.nbytes <= _LARGEST else None
    except ValueError as error:
        raise ConversionError(f"its member {name} is no JSON ({error}); the file is damaged.") from error
    if not isinstance(found, dict):
        raise ConversionError(f"its member {name} does not describe a model. Expected a JSON object of some megabytes.")
    return found


def _described(config, path):
    """`(group, (name, options))` of every layer of a description and of the models inside, numbered as Keras does."""
    numbers = collections.Counter()
    options = config.get("config")
    layers = options.get("layers") if isinstance(options, dict) else None
    for layer in layers if isinstance(layers, list) else ():
        kind = _snake_case(str(layer.get("class_name"))) if isinstance(layer, dict) else None
        inner = layer.get("config") if kind else None
        if not isinstance(inner, dict):
            continue
        number = numbers[kind]
        numbers[kind] += 1
        here = f"{path}/layers/{kind}" + (f"_{number}" if number else "")
        yield here, (inner.get("name"), inner)
        yield from _described(layer, here)


def _snake_case(name):
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _layers(group, path, described, around=()):
    """`(group's path, (names of the models around, name), its vars)` of every layer that has variables."""
    import h5py

    if path.count("/") > _DEEPEST:
        raise ConversionError(f"holds groups within groups, more than {_DEEPEST} deep; the file is hostile.")
    inside = list(group)
    node = hdf5.child(group, "vars") if "vars" in inside else None
    if inside == ["vars"] and not len(node):  # a layer without variables
        return
    name = None
    if isinstance(node, h5py.Group):
        name = hdf5.text(node, "name") or described.get(path, (None,))[0]
        if len(node) and not isinstance(name, str):
            raise ConversionError(
                f"does not tell the name of its layer {path!r}, only its number, as Keras once wrote it. Load it into "
                "its model with today's Keras, and save that: model.save('name.keras')."
            )
        if len(node):
            yield path, (around, name), node
    within = (*around, name) if path and isinstance(name, str) else around
    for key in inside:
        if key != "vars" and key not in _BESIDE and isinstance(one := hdf5.child(group, key), h5py.Group):
            listed = "layers" if key in _LISTS else key
            yield from _layers(one, f"{path}/{listed}", described, within)


def _variables(path, name, node, data, options):
    import h5py

    around, layer = name
    kind = re.sub(r"_\d+$", "", path.rpartition("/")[2])
    known = _VARIABLES.get(kind) or (("kernel", "bias") if _CONVOLUTION.fullmatch(kind) else ())
    known = [one for one in known if options.get(_OPTIONAL.get(one), True)]
    # Without a description nothing but their count tells which of a layer's variables there are.
    told = len(known) == len(node) or (known[:1] in (["kernel"], ["depthwise_kernel"]) and len(known) > len(node))
    for key in node:
        dataset = hdf5.child(node, key)
        if not isinstance(dataset, h5py.Dataset):
            raise ConversionError(f"{node.name}/{key} is no array of numbers; the file is damaged.")
        numbered = told and key.isdecimal() and int(key) < len(known)
        yield around, layer, known[int(key)] if numbered else key, hdf5.tensor(dataset, data)
