"""The weights of a model that was built from a program, under the keys and in the layouts of its source."""

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from converters.errors import ConversionError
from converters.identification.listing import some
from converters.names.layouts import parse
from converters.names.tables import Table
from converters.weights.built_record import TRANSPOSED, BuiltRecord, CaffeLayer, Place, digest
from tfseg.variable_views import view

_AGAIN = 'To write the variables by their own paths, pass family="tfseg/paths".'


class BuiltWeights(Mapping[str, np.ndarray]):
    """Key -> array in the source's layout and type, made when asked for.

    Args:
        model: a model that was built from a program, with its layers.
        record: what it remembers of its source.
        dtype: type of the arrays of real numbers; None: the source's.
    Raises:
        ConversionError: a model with variables that the source lacks, without variables that it has, or with changed
            ones that cannot be brought back.
    """

    table: Table | None = None
    kinds: Mapping[str, str] = {}

    def __init__(self, model: keras.Model, record: BuiltRecord, dtype: str | None = None) -> None:
        self.family, self.network = record.family, record.network
        self.left = dict(record.left)
        self._record, self._dtype = record, dtype
        self._variables = {variable.path: variable for variable in model.weights if _is_weight(variable)}
        _check(model.name, record, self._variables)
        for key in record.folded:
            if key not in record.tensors and key not in record.kept:
                self.left[key] = "the model holds what was computed from it; that is unchanged"
        self._keys = [
            key
            for key in (*record.tensors, *record.same, *record.kept)
            if key not in record.same or record.same[key] in record.tensors
        ]

    def __getitem__(self, key: str) -> np.ndarray:
        record = self._record
        key = record.same.get(key, key)
        if key in record.kept:
            return record.kept[key]
        tensor = record.tensors[key]
        value = _foreign(self._variables[tensor.places[0].path], tensor.places[0], tensor.shape)
        return np.ascontiguousarray(value, _type(self._dtype or tensor.dtype))

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def caffe_layers(self) -> Mapping[str, CaffeLayer]:
        """The layers of the `.caffemodel` that the model was built from.

        Raises:
            ConversionError: a weight that the model does not hold.
        """
        for layer, (_, parts) in self._record.caffe.items():
            for part in parts:
                key = f"{layer}.{part.removesuffix(TRANSPOSED)}"
                if part != "factor" and key not in self._keys:
                    raise ConversionError(
                        f"{self.network} has {key}, which the model does not hold: "
                        f"{self.left.get(key, 'no step reads it')}. Write .safetensors, which leaves it out."
                    )
        return self._record.caffe

    @property
    def account(self) -> list[dict[str, Any]]:
        """Rows of a receipt: each variable, and the tensor that it becomes."""
        return [
            {
                "key": key,
                "shape": list(self._variables[tensor.places[0].path].shape),
                "dtype": self._variables[tensor.places[0].path].dtype,
                "path": tensor.places[0].path,
                "layout": str(parse(tensor.places[0].layout).inverse()),
            }
            for key, tensor in self._record.tensors.items()
        ]


def _is_weight(variable: Any) -> bool:
    """Whether a variable is a weight and not the state of a generator of random numbers."""
    return "seed_generator" not in variable.path


def _type(name: str) -> Any:
    if name == "bfloat16":
        import ml_dtypes

        return ml_dtypes.bfloat16
    return np.dtype(name)


def _foreign(variable: Any, place: Place, shape: tuple[int, ...]) -> np.ndarray:
    return parse(place.layout).inverse().apply(view(variable), shape)


def _check(model: str, record: BuiltRecord, variables: Mapping[str, Any]) -> None:
    """Refuses a model whose weights are not the source's any more.

    Raises:
        ConversionError: naming them.
    """
    places = {place.path: key for key, tensor in record.tensors.items() for place in tensor.places}
    folded = {path: key for key, digests in record.folded.items() for path in digests}
    constants = dict.fromkeys(record.constants)
    if strange := [path for path in variables if path not in (places | folded | constants)]:
        raise ConversionError(
            f"{record.network}, from which {model!r} was built, has no tensor for {some(strange)}: the model was given "
            f"layers that its source lacks. {_AGAIN}"
        )
    if missing := [path for path in (*places, *folded) if path not in variables]:
        raise ConversionError(
            f"{model!r} lacks {some(missing)}, which {record.network} has: layers were cut off or folded into others "
            f"(tfseg.optimize). Export the whole model, before it is optimized. {_AGAIN}"
        )
    for key, tensor in record.tensors.items():
        for place in tensor.places:
            if parse(place.layout).solve(tensor.shape, tuple(variables[place.path].shape)) is None:
                raise ConversionError(
                    f"{place.path} of {model!r} is {tuple(variables[place.path].shape)}; the tensor {key} of "
                    f"{record.network} is {tensor.shape} ({place.layout}). The layer was changed since. {_AGAIN}"
                )
        first, *others = (_foreign(variables[place.path], place, tensor.shape) for place in tensor.places)
        if not all(np.array_equal(first, other) for other in others):
            raise ConversionError(
                f"{key} of {record.network} fills {some([place.path for place in tensor.places])}, which training made "
                f"different: one tensor cannot hold them. {_AGAIN}"
            )
    for key, digests in record.folded.items():
        for path, before in digests.items():
            if digest(view(variables[path])) != before:
                raise ConversionError(
                    f"{path} of {model!r} was computed from the tensor {key} of {record.network}, and has changed "
                    f"since (training): there is no way back to that tensor. {_AGAIN}"
                )
