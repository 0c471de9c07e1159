"""A folder that `tfseg.export` made, run by TensorFlow alone: neither Keras nor the network's code is needed."""

import json
import pathlib

import numpy as np

from tfseg import drawing
from tfseg.serving.errors import Refused


class Exported:
    """The SavedModel of an exported folder, and what its metadata say.

    Args:
        folder: directory with `metadata.json` and the SavedModel in `1/`; of several numbers the highest counts.
        name: under which it is served; by default the one in the metadata.
    Attributes:
        name, version: strings.
        classes: list of a name a class.
        colors: list of `[red, green, blue]`, 0..255, a class.
        signatures: signature name -> input name -> `tf.TensorSpec`.
        signature_def: signature name -> what the SavedModel says of it, as plain JSON.
    Raises:
        ValueError: a folder that is not there, lacks something, or does not load and run.
    """

    def __init__(self, folder, name=None):
        folder = pathlib.Path(folder)
        if not folder.is_dir():
            raise ValueError(f"There is no exported model {str(folder)!r}: tfseg-export makes one of a .keras file.")
        self.name, self.classes, self.colors = _metadata(folder)
        self.name = name or self.name
        self.version = _highest_version(folder)
        path = folder / self.version
        try:
            self._load(path)
            trial = np.zeros([side or 64 for side in self._image_shape()[1:3]] + [3], "uint8")
            found = self.segment(trial)  # the first run takes longer: no client should wait for it
        except Exception as error:  # a damaged file: TensorFlow raises nearly anything
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise ValueError(f"The exported model {str(path)!r} does not load and run: {reason}") from error
        if found.shape != trial.shape[:2]:
            raise ValueError(
                f"The signature 'classes' of {str(path)!r} maps uint8 images (batch, height, width, 3) to classes "
                f"(batch, height, width). Received: {found.shape} of an image of {trial.shape}"
            )

    def _load(self, path):
        import tensorflow as tf
        from google.protobuf.json_format import MessageToDict
        from tensorflow.core.protobuf import saved_model_pb2

        written = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
        self.signature_def = {
            name: MessageToDict(one, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
            for name, one in written.meta_graphs[0].signature_def.items()
        }
        self._loaded = tf.saved_model.load(str(path))  # its signatures hold no reference to its variables
        self.signatures = {
            name: function.structured_input_signature[1] for name, function in self._loaded.signatures.items()
        }

    def run(self, signature, inputs):
        """Output name -> array, of input name -> array.

        Raises:
            Refused: what TensorFlow cannot compute from these inputs.
        """
        import tensorflow as tf

        function = self._loaded.signatures[signature]
        for name, value in inputs.items():
            shape = self.signatures[signature][name].shape
            if not shape.is_compatible_with(value.shape):
                raise Refused(400, f"{name} has the shape {shape}, as TensorFlow writes it. Received: {value.shape}")
        try:
            outputs = function(**{name: tf.constant(value) for name, value in inputs.items()})
        except tf.errors.InvalidArgumentError as error:
            reason = error.message.partition("\n\t [[")[0].splitlines()[-1]  # between where it happened, twice
            raise Refused(400, f"The model does not take this input: {reason}") from error
        return {name: value.numpy() for name, value in outputs.items()}

    def segment(self, pixels):
        """Classes `(height, width)` of an image uint8 `(height, width, 3)`, RGB."""
        (name,) = self.signatures["classes"]
        (classes,) = self.run("classes", {name: pixels[None]}).values()
        return classes[0]

    def _image_shape(self):
        if "classes" not in self.signatures:
            raise ValueError("it has no signature 'classes': export a model that carries its preprocessing")
        (spec,) = self.signatures["classes"].values()
        return spec.shape


def _metadata(folder):
    """(name, class names, colours) of metadata.json, a name and a colour a class."""
    path = folder / "metadata.json"
    if not path.is_file():
        raise ValueError(f"{str(folder)!r} has no metadata.json, so it is no folder that tfseg.export made.")
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        count, named = facts["num_classes"], facts["classes"] or []
        classes = [*named[:count], *(f"class {index}" for index in range(len(named), count))]
        return facts["name"], classes, drawing.color_table(facts["colors"], count)[:count].tolist()
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{str(path)!r} is not what tfseg.export writes: {error!r}. Export the model anew.") from error


def _highest_version(folder):
    versions = [path.name for path in folder.iterdir() if path.name.isdigit() and path.is_dir()]
    if not versions:
        there = ", ".join(sorted(path.name for path in folder.iterdir()))
        raise ValueError(
            f"{str(folder)!r} has no SavedModel in a directory 1: export with the format saved_model. Received: {there}"
        )
    return max(versions, key=int)
