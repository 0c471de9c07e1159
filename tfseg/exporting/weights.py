"""Files for Keras and for whoever wants the weights alone."""

from collections.abc import Mapping

import keras

from tfseg.exporting.safetensors import write_safetensors


def keras_file(job, path):
    """The whole model, as `keras.saving.load_model` reads it once tfseg is imported."""
    job.model.save(path)


def h5(job, path):
    """Keras's weights, for `load_weights` of the same network."""
    job.model.save_weights(path)


def safetensors(job, path):
    """Variables named by `variable.path`, in Keras's layouts; the facts of metadata.json are in the header, as "tfseg".

    Reference: https://huggingface.co/docs/safetensors
    """

    facts = {"format": "keras", "tfseg_family": "tfseg/paths", "tfseg": job.metadata_text}
    write_safetensors(path, _Weights(job.model), facts)


class _Weights(Mapping):
    """Variable path -> array, copied from the variable when asked for."""

    def __init__(self, model):
        self._variables = {variable.path: variable for variable in model.weights}

    def __getitem__(self, path):
        return keras.ops.convert_to_numpy(self._variables[path])

    def __iter__(self):
        return iter(self._variables)

    def __len__(self):
        return len(self._variables)
