"""An exported directory: written beside its place, compared, and moved there whole."""

import json
import pathlib
import tempfile

import keras

from tfseg.exporting.comparison import Comparison
from tfseg.exporting.formats import FORMATS, check_formats
from tfseg.exporting.job import Job
from tfseg.exporting.saved_model import writing
from tfseg.rewrites.winograd import WinogradConv2D
from tfseg.writing import atomic


def export(model, path, formats=("saved_model",), *, preprocessing=None, calibration=None, size=None, receipt=None):
    """Writes a directory that deploys a segmenter: an artifact a format, each re-opened and compared with the model.

    Every artifact is run in a fresh process by the runtime of its users, which has neither this package nor the model,
    on pictures of several sizes. One that does not compute what the model computes is not exported, nor are the others.
    Beside the artifacts lie metadata.json (name, classes, colors, preprocessing, num_classes, receipt, versions) and
    export.json (an entry a format: artifact, runtime, the sizes compared, the largest difference of logits in units of
    the largest logit, the share of pixels of equal class, bytes).

    Args:
        model: segmentation model of RGB images under the TensorFlow backend; its first output counts.
        path: the directory to make.
        formats: some of
            "saved_model" (directory `1`, as TensorFlow Serving wants it; signatures `logits`, `classes` and
            `classes_from_bytes`, see `tfseg.exporting.saved_model`),
            "litert_float32", "litert_float16", "litert_dynamic_int8", "litert_int8" (model_float32.tflite, ...),
            "onnx" (model.onnx), "openvino" (openvino/model.xml),
            "keras", "weights_h5", "safetensors" (model.keras, model.weights.h5, model.safetensors).
        preprocessing: as in `tfseg.predict`; by default what the model carries.
        calibration: photographs for "litert_int8": a directory, a pattern, or a list of uint8 `(height, width, 3)`. At
            most a hundred are used, and pictures to compare on are taken from them.
        size: height and width that the artifacts take, or any where the model does. LiteRT computes with known sizes
            faster, and in integers more precisely.
        receipt: of the conversion, kept as text in metadata.json.
    Returns: the path.
    Raises:
        ValueError: the path exists, or its parent does not; an unknown format, or one whose extra is not installed, or
            other than TensorFlow's and Keras's for a model that was optimized with `fixed_size`; a
            model that is no segmenter, or does not say its preprocessing; no calibration; a size that it does not take;
            an artifact that cannot be written, does not run, or does not compute the same.
        OSError: the disk is full, or writing is not allowed.
    """
    path = pathlib.Path(path)
    if path.exists() or not path.parent.is_dir():
        why = "exists: remove it or choose another" if path.exists() else "lies in a directory that does not exist"
        raise ValueError(f"The export target {str(path)!r} {why}.")
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"Exports come from the TensorFlow backend of Keras. Received: KERAS_BACKEND={keras.backend.backend()}"
        )
    check_formats(formats)
    job = Job(model, preprocessing=preprocessing, calibration=calibration, size=size, receipt=receipt)
    if any("preprocessing" in FORMATS[name].needs for name in formats):
        job.preprocessing  # noqa: B018  (refuses a model that does not say it)
    if any("calibration" in FORMATS[name].needs for name in formats) and not job.has_photographs:
        raise ValueError(
            "The format 'litert_int8' takes the ranges of its integers from photographs: pass calibration=, a "
            "directory of some like those that the network will see."
        )
    _check_runtimes(model, formats)
    with atomic(path) as made, tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as aside:
        made.mkdir()
        comparison = Comparison(job, pathlib.Path(aside))
        report = {}
        for name in formats:
            form = FORMATS[name]
            _write(form, job, made / form.artifact)
            report[name] = {"artifact": form.artifact} | comparison.of(made / form.artifact, form)
        for file, content in (("metadata.json", job.metadata), ("export.json", report)):
            (made / file).write_text(json.dumps(content, indent=2) + "\n")
    return path


def _check_runtimes(model, formats):
    """Winograd's layers are compiled by XLA, which TensorFlow alone has; elsewhere they are thousands of operations."""
    found = next((layer.name for layer in model.layers if isinstance(layer, WinogradConv2D)), None)
    others = [name for name in formats if FORMATS[name].runtime.name not in ("tensorflow", "keras")]
    if found and others:
        raise ValueError(
            f"The model {model.name!r} was optimized with fixed_size= for TensorFlow (as its layer {found!r}). For "
            f"other runtimes export tfseg.optimize(model), with size=. Received: formats={others}"
        )


def _write(form, job, artifact):
    try:
        with writing(artifact.name):
            form.write(job, artifact)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a converter that does not know an operation raises nearly anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"The model {job.model.name!r} cannot be written as {artifact.name}: {reason}") from error


def summary(path):
    """A line for each artifact of an exported directory: what was compared, and how far it lies from the model."""
    report = json.loads((pathlib.Path(path) / "export.json").read_text())
    return "\n".join(
        f"{pathlib.Path(path) / one['artifact']}: {one['bytes'] / 1e6:.1f} MB, {one['runtime']}, logits differ by "
        f"{one['max_relative_difference']:.1e} of the largest, {one['equal_pixels']:.2%} of the pixels equal, at "
        + ", ".join(f"{height}x{width}" for height, width in one["sizes"])
        for one in report.values()
    )
