"""A folder of `tfseg.export`, run by TensorFlow or another engine; the code of the network is not needed."""

import pathlib
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfseg import drawing
from tfseg.engines.job import EngineError
from tfseg.exporting.exported_folder import ExportedFolder, read_exported_folder
from tfseg.missing_data import missing_pixels
from tfseg.prediction.probabilities import void_of
from tfseg.preprocessing import channels_of, is_stored, preprocess
from tfseg.serving.engine import BY_LOGITS, ServedEngine, inputs_of, served_engine
from tfseg.serving.errors import Refused
from tfseg.types import Path

_TRIAL_SIDE = 64  # pixels
_IMAGE_RANK = 4


class ExportedModel:
    """The SavedModel of an exported folder, and what its metadata says.

    Args:
        folder: directory with `metadata.json` and the SavedModel in `1/`; of several numbers, the highest is used.
        name: name under which the model is served; by default the name in the metadata.
        engine: what computes: None or "tensorflow", the SavedModel; "openvino", "onnxruntime" or "litert", an artifact
            that lies beside it in the folder; "auto", the fastest of them here.
    Attributes:
        name: name under which the model is served.
        engine: name of the engine that computes.
        version: name of the SavedModel's directory, a number as text.
        classes: name of each class.
        colors: `[red, green, blue]` of each class, 0 to 255.
        signatures: signature name -> input name -> `tf.TensorSpec`.
        types: signature name -> input name -> dtype of numpy, or "string" for files.
        signature_def: signature name -> its description in the SavedModel, as JSON values.
        channels: number of channels of images that come as their files store them; None: it takes photographs.
    Raises:
        ValueError: the folder does not exist, lacks a file, or does not load and run; or the engine is not installed.
    """

    def __init__(self, folder: Path, name: str | None = None, engine: str | None = None) -> None:
        folder = pathlib.Path(folder)
        if not folder.is_dir():
            raise ValueError(f"There is no exported model {str(folder)!r}: `tfseg export` writes one.")
        exported = read_exported_folder(folder)
        self.name = name or exported.name
        prepared = exported.preprocessing
        self.channels = channels_of(prepared) if prepared and is_stored(prepared) else None
        self._changes_values = self.channels is None and _changes_values(prepared)
        self.classes = _class_names(exported)
        self.colors = drawing.color_table(exported.colors, exported.num_classes)[: exported.num_classes].tolist()
        self._least_side = exported.least_side
        path = exported.saved_model
        self.version = path.name
        self.engine = "tensorflow"
        self._artifact: ServedEngine | None = None
        try:
            self._load(path)
            *size, channels = self._image_spec().shape[1:]
            side = max(_TRIAL_SIDE, self._least_side)
            trial = np.zeros([*(fixed or side for fixed in size), channels], self._image_spec().dtype.as_numpy_dtype)
            classes = self.segment(trial)  # the first run takes longer: no client should wait for it
        except Exception as error:  # for a damaged file TensorFlow raises nearly anything
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise ValueError(f"The exported model {str(path)!r} does not load and run: {reason}") from error
        if classes.shape != trial.shape[:2]:
            raise ValueError(
                f"The signature 'classes' of {str(path)!r} maps images (batch, height, width, channels) to classes "
                f"(batch, height, width). Received: {classes.shape} for an image of {trial.shape}"
            )

        if engine is not None:
            artifact = served_engine(exported, engine, self._logits, (1, *self._image_spec().shape[1:]))
            if artifact:
                self.engine, self._artifact = artifact

    def _logits(self, images: np.ndarray) -> np.ndarray:
        return self._run_saved_model("logits", {"images": images})["logits"]

    def _load(self, path: pathlib.Path) -> None:
        import tensorflow as tf
        from google.protobuf.json_format import MessageToDict
        from tensorflow.core.protobuf import saved_model_pb2

        message = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
        self.signature_def: dict[str, dict[str, Any]] = {
            name: MessageToDict(signature, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
            for name, signature in message.meta_graphs[0].signature_def.items()
        }
        self._loaded = tf.saved_model.load(str(path))  # its signatures hold no reference to its variables
        self.signatures: dict[str, dict[str, Any]] = {
            name: function.structured_input_signature[1] for name, function in self._loaded.signatures.items()
        }
        self.types = {
            signature: {name: spec.dtype.name for name, spec in specs.items()}
            for signature, specs in self.signatures.items()
        }

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs of a signature: name -> array.

        Args:
            signature: name of the signature.
            inputs: input name -> array.
        Raises:
            Refused: TensorFlow cannot compute the outputs from these inputs.
        """
        self.check(signature, inputs)
        if self._artifact and signature in BY_LOGITS:
            try:
                return self._artifact.outputs(signature, inputs_of(inputs))
            except EngineError as error:
                warnings.warn(f"{self.name} is served by TensorFlow, not {self.engine}: {error}", stacklevel=2)
                self.engine, self._artifact = "tensorflow", None
        return self._run_saved_model(signature, inputs)

    def _run_saved_model(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        import tensorflow as tf

        function = self._loaded.signatures[signature]
        try:
            outputs = function(**{name: tf.constant(value) for name, value in inputs.items()})
        except tf.errors.InvalidArgumentError as error:
            reason = error.message.partition("\n\t [[")[0].splitlines()[-1]  # between two lines that say where
            raise Refused(400, f"The model does not take this input: {reason}") from error
        except (tf.errors.ResourceExhaustedError, MemoryError) as error:
            raise Refused(413, "The memory does not suffice to compute this: shrink the image.") from error
        return {name: value.numpy() for name, value in outputs.items()}

    def check(self, signature: str, inputs: Mapping[str, np.ndarray]) -> None:
        """Refuses inputs that the signature does not take.

        Args:
            signature: name of the signature.
            inputs: input name -> array.
        Raises:
            Refused: a shape is another one, or photographs go to a signature that takes prepared images.
        """
        for name, value in inputs.items():
            shape = self.signatures[signature][name].shape
            if not shape.is_compatible_with(value.shape):
                raise Refused(400, f"{name} has the shape {shape}, as TensorFlow writes it. Received: {value.shape}")
            if value.ndim == _IMAGE_RANK and min(value.shape[1:3]) < self._least_side:
                raise Refused(
                    400,
                    f"The model takes images of at least {self._least_side} x {self._least_side} pixels, because of "
                    f"smaller ones a map inside it has none left. Received: {value.shape[1]} x {value.shape[2]}",
                )
            if signature in ("serving_default", "logits") and self._changes_values and _is_photograph(value):
                raise Refused(
                    400,
                    f"The signature {signature} takes images that are preprocessed already. Received: whole numbers "
                    f'from {value.min():g} to {value.max():g}. For photographs give "signature_name": "classes"',
                )

    def segment(self, image: np.ndarray) -> np.ndarray:
        """The class of every pixel, `(height, width)`; void, 255 or 65535, where there is no data.

        Args:
            image: uint8 `(height, width, 3)`, RGB; or float32 of the model's channels, with NaN for missing data.
        Raises:
            Refused: the model does not take images of this size.
        """
        return self.classes_of(image, self.run("classes", self.inputs_of(image)))

    def inputs_of(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """The inputs of the signature `classes` for one image.

        Args:
            image: see `segment`.
        """
        (name,) = self.signatures["classes"]
        return {name: image[None]}

    def classes_of(self, image: np.ndarray, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The result of `segment` from the outputs of the signature `classes`.

        Args:
            image: see `segment`.
            outputs: result of `run` for the inputs of this image.
        """
        (classes,) = outputs.values()
        missing = missing_pixels(image)
        if missing is None:
            return classes[0]
        void = void_of(len(self.classes))
        return np.where(missing, void, classes[0]).astype("uint8" if void <= 255 else "int32")

    def _image_spec(self) -> Any:
        if "classes" not in self.signatures:
            raise ValueError("it has no signature 'classes': export a model that carries its preprocessing")
        (spec,) = self.signatures["classes"].values()
        return spec


def _changes_values(preprocessing: Mapping[str, Any] | None) -> bool:
    """Whether photographs are changed before a network takes them; it is assumed where nothing is known."""
    if not preprocessing:
        return True
    colors = np.arange(channels_of(preprocessing), dtype="float32") + 100
    return not np.array_equal(preprocess(colors, preprocessing), colors)


def _is_photograph(values: np.ndarray) -> bool:
    """Whether an array has nothing but whole numbers from 0 to 255, and not only 0 and 1."""
    return bool(values.dtype.kind == "f" and values.min() >= 0 and 1 < values.max() <= 255 and not np.any(values % 1))


def _class_names(folder: ExportedFolder) -> list[str]:
    """A name for each class; those that have none are called by their number."""
    names = (folder.classes or [])[: folder.num_classes]
    return [*names, *(f"class {index}" for index in range(len(names), folder.num_classes))]
