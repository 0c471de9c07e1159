"""Keras 3's files: weights alone (`.weights.h5`), and `.keras`, a zip of such a file and the model's description.

Each layer has a group, `layers/conv2d_1/vars/0`. Layers are numbered by class, variables in the order of their
creation. Today's Keras notes the layer's name beside them. In older files only the description has it, and numbers
layers in the same way. It is read as plain JSON: nothing in it is built or run.

Reference: https://keras.io/guides/serialization_and_saving/
"""

import collections
import re
from collections.abc import Iterator, Mapping
from typing import Any

from converters.errors import ConversionError
from converters.reading import hdf5
from converters.reading.keras import configuration
from converters.reading.keras.legacy_h5 import NamedWeight, name_weights
from converters.reading.tensors import AnyTensor
from converters.reading.zip_archive import Archive

_WEIGHTS, _CONFIG, _METADATA = "model.weights.h5", "config.json", "metadata.json"
_DEEPEST = 32  # groups within groups
_LISTS = ("layers", "_layer_checkpoint_dependencies")  # the second in the Keras of 2023
# Beside the weights: the states of optimizers, metrics and random generators.
_BESIDE = ("optimizer", "compile_metrics", "loss_tracker", "metrics", "_metrics", "seed_generator")

_CONVOLUTION = re.compile(r"((depthwise_)?conv\dd(_transpose)?|dense|einsum_dense)")
_VARIABLES: dict[str, tuple[str, ...]] = {
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "layer_normalization": ("gamma", "beta"),
    "group_normalization": ("gamma", "beta"),
    "separable_conv2d": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "p_re_lu": ("alpha",),
    "embedding": ("embeddings",),
}
_OPTIONAL = {"gamma": "scale", "beta": "center", "bias": "use_bias"}  # variable: the option that leaves it out


_Described = Mapping[str, tuple[str | None, dict[str, Any]]]  # path of a group -> the layer's name and options


def recognizes(file: hdf5.Group) -> bool:
    """Whether a file in HDF5 has groups as Keras 3 names them."""
    groups = {key: entry for key, entry in file.entries.items() if isinstance(entry, hdf5.Group)}
    return "vars" in groups or any(key in _LISTS or "vars" in group.entries for key, group in groups.items())


def load(file: hdf5.Group, data: memoryview, config: Mapping[str, Any] | None = None) -> dict[str, AnyTensor | None]:
    """The tensors by "layer/variable", and the names of what stands beside them, each with None.

    Args:
        file: the open file.
        data: bytes of the file.
        config: description of the model, if there is one.
    Raises:
        ConversionError: a layer whose name nothing tells, or a link to elsewhere.
    """
    described: _Described = dict(_described(config, "")) if config else {}
    weights: list[NamedWeight] = []
    for path, around, layer, node in _layers(file, "", described):
        _, options = described.get(path, (None, {}))
        variables = _variables(path, node, data, options)
        weights += [(around, layer, variable, tensor) for variable, tensor in variables]
    if not weights:
        raise ConversionError("is a file from Keras that holds no weights. Save the model after it was built.")
    beside = [key for key in _BESIDE if key in file.entries]
    return name_weights(weights) | dict.fromkeys(beside)


def load_archive(archive: Archive, config: Mapping[str, Any]) -> dict[str, AnyTensor | str | None]:
    """What `load` returns, for a `.keras` file, and the version of Keras that wrote it.

    Args:
        archive: the file; it has a member config.json.
        config: what `load_config` returns.
    Raises:
        ConversionError: a file without its weights, or with a broken description.
    """
    if _WEIGHTS not in archive.names:
        raise ConversionError(
            f"is a .keras file without its weights, the member {_WEIGHTS}. Save the model again with model.save. "
            f"Received: {', '.join(map(ascii, archive.names[:5]))}."
        )
    member = archive.member(_WEIGHTS)
    data = member.data()
    opened = hdf5.open_file(data, None if member.offset is None else archive.path, member.offset or 0)
    tensors = load(opened, data, config)
    version = _json(archive, _METADATA).get("keras_version") if _METADATA in archive.names else None
    return tensors | ({"keras_version": version} if isinstance(version, str) else {})


def load_config(archive: Archive) -> dict[str, Any]:
    """The description of the model in a `.keras` file.

    Args:
        archive: the file; it has a member config.json.
    Raises:
        ConversionError: a broken description.
    """
    return _json(archive, _CONFIG)


def is_tfseg_model(config: Mapping[str, Any]) -> bool:
    """Whether a description is that of a model of tfseg, by the layer that carries its metadata.

    Args:
        config: description of the model.
    """
    options = config.get("config")
    layers = options.get("layers") if isinstance(options, dict) else None
    return any(
        isinstance(layer, dict) and layer.get("registered_name") == "tfseg>Metadata"
        for layer in (layers if isinstance(layers, list) else ())
    )


def _json(archive: Archive, name: str) -> dict[str, Any]:
    member = archive.member(name)
    if member.nbytes > configuration.LARGEST:
        raise ConversionError(
            f"its member {name} has {member.nbytes} bytes. Expected the description of a model, of some megabytes; the "
            "file is damaged or hostile."
        )
    return configuration.parse(member.data().tobytes(), f"member {name}")


def _described(config: Mapping[str, Any], path: str) -> Iterator[tuple[str, tuple[str | None, dict[str, Any]]]]:
    """`(group, (name, options))` for every layer of a description, and of models inside, numbered as Keras does."""
    numbers: collections.Counter[str] = collections.Counter()
    options = config.get("config")
    layers = options.get("layers") if isinstance(options, dict) else None
    for layer in layers if isinstance(layers, list) else ():
        inner = layer.get("config") if isinstance(layer, dict) else None
        if not isinstance(inner, dict):
            continue
        kind = _snake_case(str(layer.get("class_name")))
        if not kind:
            continue
        number = numbers[kind]
        numbers[kind] += 1
        here = f"{path}/layers/{kind}" + (f"_{number}" if number else "")
        yield here, (inner.get("name"), inner)
        yield from _described(layer, here)


def _snake_case(name: str) -> str:
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _layers(
    group: hdf5.Group, path: str, described: _Described, around: tuple[str, ...] = ()
) -> Iterator[tuple[str, tuple[str, ...], str, hdf5.Group]]:
    """The group's path, names of the models around, name and group `vars` of every layer that has variables."""
    if path.count("/") > _DEEPEST:
        raise ConversionError(f"holds groups within groups, more than {_DEEPEST} deep; the file is hostile.")
    inside = list(group.entries)
    node = hdf5.child(group, "vars") if "vars" in inside else None
    if inside == ["vars"] and isinstance(node, hdf5.Group) and not node.entries:  # a layer without variables
        return
    name = None
    if isinstance(node, hdf5.Group):
        name = hdf5.text(node, "name") or described.get(path, (None,))[0]
        if node.entries:
            if not isinstance(name, str):
                raise ConversionError(
                    f"does not state the name of its layer {path!r}, only its number, as Keras once wrote it. Load it "
                    "into its model with today's Keras, and save that: model.save('name.keras')."
                )
            yield path, around, name, node
    within = (*around, name) if path and isinstance(name, str) else around
    for key in inside:
        if key != "vars" and key not in _BESIDE and isinstance(inner := hdf5.child(group, key), hdf5.Group):
            listed = "layers" if key in _LISTS else key
            yield from _layers(inner, f"{path}/{listed}", described, within)


def _variables(
    path: str, node: hdf5.Group, data: memoryview, options: Mapping[str, Any]
) -> Iterator[tuple[str, AnyTensor]]:
    """Name and tensor of every variable of a layer."""
    kind = re.sub(r"_\d+$", "", path.rpartition("/")[2])
    known = _VARIABLES.get(kind) or (("kernel", "bias") if _CONVOLUTION.fullmatch(kind) else ())
    names = [name for name in known if options.get(_OPTIONAL.get(name, ""), True)]
    # Without a description, only their number tells which of a layer's variables there are.
    has_kernel_first = names[:1] in (["kernel"], ["depthwise_kernel"])
    unambiguous = len(names) == len(node.entries) or (has_kernel_first and len(names) > len(node.entries))
    for key in node.entries:
        dataset = hdf5.child(node, key)
        if not isinstance(dataset, hdf5.Dataset):
            raise ConversionError(f"{node.name}/{key} is not an array of numbers; the file is damaged.")
        numbered = unambiguous and key.isdecimal() and int(key) < len(names)
        yield names[int(key)] if numbered else key, hdf5.tensor(dataset, data)
