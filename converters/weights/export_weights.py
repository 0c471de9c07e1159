"""The way back: a Keras model's weights under the foreign names, in the foreign layout."""

import pathlib
from collections.abc import Mapping

import numpy as np

from converters.errors import ConversionError
from converters.families import FAMILIES
from converters.identification.identify import some
from converters.memory import view
from converters.weights.import_weights import OWN, variable_shapes
from converters.weights.receipts import Receipt
from converters.writing.caffemodel import write_caffemodel
from converters.writing.files import atomic, conversion_errors
from tfseg.exporting.safetensors import write_safetensors
from tfseg.layers.metadata import metadata


def export_weights(model, path, *, family=None, dtype=None, overwrite=False):
    """Writes a model's weights as its family's public implementation names and lays them out.

    What an import read comes back bit by bit. The counters of training batches are not written: PyTorch's
    `load_state_dict` does without them.

    Args:
        model: a Keras model with layer names of tfseg.
        path: `.safetensors`; `.pth`/`.pt`, for which torch must be installed; or `.caffemodel` for Caffe's families.
        family: name of a family; by default the first in the documented order that the model fits. "tfseg/paths" writes
            the variables by path, in Keras layout.
        dtype: of the file, "float32" or "float16"; by default each variable's own.
        overwrite: whether a file at `path` is replaced.
    Returns: the receipt; its tensors read from the variable to the key.
    Raises:
        ConversionError: no family (or not the one given) has a network like the model, another suffix, no torch for
            `.pth`, or a file that cannot be written.
    """
    path = pathlib.Path(path)
    if path.suffix not in (".safetensors", ".pth", ".pt", ".caffemodel"):
        raise ConversionError(f"{path}: foreign weights are written as .safetensors, .pth, .pt or .caffemodel.")
    shapes = variable_shapes(model)
    name, network, table = _table(model, shapes, family, caffe=path.suffix == ".caffemodel")
    arrays = _Exported(model, shapes, table, dtype)
    if path.suffix == ".safetensors":
        facts = {"format": "keras" if name == OWN else "pt", "tfseg_family": name}
        with conversion_errors(path):
            write_safetensors(path, arrays, facts, overwrite=overwrite)
    elif path.suffix == ".caffemodel":
        write_caffemodel(path, arrays, arrays.kinds, model.name, overwrite=overwrite)
    else:
        _write_torch(path, arrays, overwrite)
    receipt = Receipt(model.name, path.name, name, network, dtype=dtype or "the same")
    receipt.tensors = arrays.account()
    receipt.ignored = {pattern: f"not written: {why}" for pattern, why in (table.ignored if table else ())}
    receipt.preprocessing = metadata(model)["preprocessing"]
    return receipt


class _Exported(Mapping):
    """Key -> array in the foreign layout, made when asked for."""

    def __init__(self, model, shapes, table, dtype):
        self._variables = {variable.path: variable for variable in model.weights}
        self._dtype = dtype
        self._made, self.kinds = {}, {}
        for path in shapes:
            key, rule = table.backward(path) if table else (path, None)
            self.kinds[key] = rule and rule.kind
            self._made[key] = path, rule and rule.layout(len(shapes[path])).inverse()

    def __getitem__(self, key):
        path, layout = self._made[key]
        value = view(self._variables[path])
        value = value if layout is None else layout.apply(value)
        return np.ascontiguousarray(value, self._dtype or value.dtype)

    def __iter__(self):
        return iter(self._made)

    def __len__(self):
        return len(self._made)

    def account(self):
        return [
            {
                "key": key,
                "shape": list(self._variables[path].shape),
                "dtype": self._variables[path].dtype,
                "path": path,
                "layout": str(layout or "as it is"),
            }
            for key, (path, layout) in self._made.items()
        ]


def _table(model, shapes, family, caffe=False):
    """`(family, network, table)` of the first network with a tensor for every variable, and nothing less."""
    if family == OWN and not caffe:
        return OWN, model.name, None
    if family is not None and family not in FAMILIES:
        raise ConversionError(f"The families known here are {', '.join([*FAMILIES, OWN])}. Received: family={family!r}")
    reasons, layers = [], {layer.name for layer in model.layers}
    candidates = [FAMILIES[family]] if family else FAMILIES.values()
    candidates = [candidate for candidate in candidates if not caffe or "Caffe" in candidate.formats]
    if not candidates:
        raise ConversionError(
            f"The files of {family} are no .caffemodel, but {', '.join(FAMILIES[family].formats)}. "
            f"Received: {model.name!r} to be written as .caffemodel"
        )
    for candidate in candidates:
        for network in sorted(candidate.networks, key=lambda network: network.layer not in layers):
            found = {path: network.table.backward(path) for path in shapes}
            strange = [path for path, one in found.items() if one is None]
            if strange:
                reasons.append((len(strange), f"{network.name} has no place for {some(strange)}"))
                continue
            keys = {
                key: rule.layout(len(shapes[path])).inverse().target_shape(shapes[path])
                for path, (key, rule) in found.items()
            }
            differences = network.differences(keys)
            if not differences:
                return candidate.name, network.name, network.table
            reasons.append((0, f"{network.name}: the model {'; '.join(differences)}"))
    raise ConversionError(
        f"No network of {family or 'the families known here'} is like the model {model.name!r}. "
        f"Nearest: {min(reasons)[1]}. "
        f'To write the variables by their own paths, pass family="{OWN}".'
    )


def _write_torch(path, arrays, overwrite):
    try:
        import torch
    except ImportError as error:
        raise ConversionError(
            f'{path}: writing .pth needs torch: pip install "tfseg[torch]", or write .safetensors, which does not.'
        ) from error
    with atomic(path, overwrite=overwrite) as temporary:
        # Copies: what Keras hands out may be read-only, and torch warns of that.
        torch.save({key: torch.from_numpy(np.array(arrays[key])) for key in arrays}, temporary)
