"""Files for Keras, and for readers of weights."""

import pathlib
from collections.abc import Iterator, Mapping

import keras

from tfseg.exporting import safetensors
from tfseg.exporting.job import ExportJob
from tfseg.exporting.keras_file import save_keras
from tfseg.types import Array


def write_keras(job: ExportJob, path: pathlib.Path) -> None:
    """Writes the whole model. `keras.saving.load_model` reads it once tfseg is imported.

    Args:
        job: model to write.
        path: path of the `.keras` file.
    """
    save_keras(job.model, path)


def write_h5(job: ExportJob, path: pathlib.Path) -> None:
    """Writes the weights as Keras does. `load_weights` of the same network reads them.

    Args:
        job: model to write.
        path: path of the `.weights.h5` file.
    """
    job.model.save_weights(path)


def write_safetensors(job: ExportJob, path: pathlib.Path) -> None:
    """Writes the variables, named by `variable.path`, in the layouts of Keras.

    The header has the content of metadata.json under the key "tfseg".

    Args:
        job: model to write.
        path: path of the `.safetensors` file.
    Reference: https://huggingface.co/docs/safetensors
    """
    facts = {"format": "keras", "tfseg_family": "tfseg/paths", "tfseg": job.metadata_text}
    safetensors.write_safetensors(path, _Weights(job.model), facts)


class _Weights(Mapping[str, Array]):
    """Path of a variable -> its values, copied from the variable on access."""

    def __init__(self, model: keras.Model) -> None:
        self._variables = {variable.path: variable for variable in model.weights}

    def __getitem__(self, path: str) -> Array:
        return keras.ops.convert_to_numpy(self._variables[path])

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)
