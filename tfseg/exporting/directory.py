"""An exported folder: written beside its target, compared with the model, and renamed when all is well."""

import json
import os
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfseg.exporting.comparison import ArtifactComparison
from tfseg.exporting.exported_folder import METADATA
from tfseg.exporting.formats import FORMATS, Format, check_formats
from tfseg.exporting.job import ExportJob, Photographs
from tfseg.exporting.photograph_network import Outputs
from tfseg.exporting.saved_model import quiet_writing
from tfseg.progress import ProgressOption, track
from tfseg.rewrites.winograd import WinogradConv2D
from tfseg.types import Path, Preprocessing, Size
from tfseg.writing import atomic, check_target

_REPORT = "export.json"


def export(
    model: keras.Model,
    path: Path,
    formats: Sequence[str] = ("saved_model",),
    *,
    preprocessing: Preprocessing | None = None,
    calibration: Photographs | None = None,
    size: Size | None = None,
    receipt: object = None,
    outputs: Outputs = "logits",
    progress: ProgressOption = False,
) -> pathlib.Path:
    """Writes a folder for deployment: one artifact per format, each run and compared with the model.

    Every artifact runs in a fresh process, in the runtime of its users, on images of several sizes. That process has
    neither this package nor the model. If one artifact does not compute what the model computes, nothing is exported.

    Beside the artifacts are two files. metadata.json has name, classes, colors, preprocessing, num_classes, outputs,
    receipt and versions. export.json has an entry per format: artifact, runtime, sizes compared, largest difference of
    the logits in units of the largest logit, share of pixels with the same class, and bytes.

    Args:
        model: segmentation model of RGB images under the TensorFlow backend; its first output are the logits.
        path: folder to create.
        formats: some of
            "saved_model" (directory `1`, as TensorFlow Serving expects it; signatures `logits`, `probabilities`,
            `classes` and `classes_from_bytes`, see `tfseg.exporting.saved_model`),
            "litert_float32", "litert_float16", "litert_dynamic_int8", "litert_int8" (model_float32.tflite, ...),
            "onnx" (model.onnx), "onnx_int8", "openvino" (openvino/model.xml), "openvino_int8",
            "keras", "weights_h5", "safetensors" (model.keras, model.weights.h5, model.safetensors).
        preprocessing: preprocessing as in `tfseg.predict`; by default the one that the model carries.
        calibration: photographs for integers of 8 bits: a directory, a pattern, or a list of uint8
            `(height, width, 3)`. At most a hundred are used. The images of the comparison are taken from them, too.
        size: height and width of the images that the artifacts take, in pixels; by default any size that the model
            takes. With a fixed size, LiteRT is faster, and its integers are more precise.
        receipt: receipt of the conversion; its text is kept in metadata.json.
        outputs: what ONNX, OpenVINO and LiteRT give. "logits": of preprocessed images, float32. "classes" or
            "probabilities": of photographs, uint8 RGB; preprocessing and argmax or softmax are inside. A SavedModel has
            a signature for each, whatever is asked for here.
        progress: True shows on stderr how many formats are written and compared. A function is called with the formats
            done and in all.
    Returns: the path of the folder.
    Raises:
        ValueError: the path exists, or its parent does not; a format is unknown, its extra is not installed, or it
            cannot represent a model that was optimized with `fixed_size`; the model is no segmenter or does not take
            the size; preprocessing or calibration are missing; an artifact cannot be written, does not run, or does not
            compute the same.
        OSError: the disk is full, or writing is not allowed.

    Example:
        >>> model = tfseg.load("street.pth")
        >>> folder = tfseg.export(model, "street", ["keras"])
        >>> sorted(path.name for path in folder.iterdir())
        ['export.json', 'metadata.json', 'model.keras']
        >>> tfseg.predict(tfseg.load(folder), "street.png").shape
        (360, 480)
    """
    path = pathlib.Path(path)
    if os.path.lexists(path):
        raise ValueError(f"The export target {str(path)!r} exists: remove it, or choose another one.")
    check_target(path)
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"Exports come from the TensorFlow backend of Keras. Received: KERAS_BACKEND={keras.backend.backend()}"
        )
    check_formats(formats)
    job = ExportJob(
        model, preprocessing=preprocessing, calibration=calibration, size=size, receipt=receipt, outputs=outputs
    )
    _check_needs(job, formats)
    _check_runtimes(model, formats)
    with atomic(path) as partial:
        partial.mkdir()
        report = {}
        with tempfile.TemporaryDirectory(dir=partial) as scratch:
            comparison = ArtifactComparison(job, pathlib.Path(scratch))
            for name in track(formats, progress, unit="formats", brief=True):
                format = FORMATS[name]
                artifact = partial / format.artifact
                _write(format, job, artifact)
                report[name] = {"artifact": format.artifact} | comparison.compare(artifact, format)
        for file, content in ((METADATA, job.metadata), (_REPORT, report)):
            (partial / file).write_text(json.dumps(content, indent=2) + "\n")
    return path


def summary(path: Path) -> str:
    """A line for each artifact of an exported folder: size, runtime, and how much it differs from the model.

    Args:
        path: path of the folder.

    Example:
        >>> folder = tfseg.export(tfseg.FCN32s(3, width=1/16), "net", ["keras"], preprocessing="caffe")
        >>> print(tfseg.exporting.summary(folder))
        net/model.keras: ... MB, keras 3..., logits differ by ... of the pixels equal, at 64x96, 65x83, 97x128
    """
    path = pathlib.Path(path)
    report = json.loads((path / _REPORT).read_text())
    return "\n".join(
        f"{path / entry['artifact']}: {entry['bytes'] / 1e6:.1f} MB, {entry['runtime']}, {_difference(entry)}"
        f"{entry['equal_pixels']:.2%} of the pixels equal, at "
        + ", ".join(f"{height}x{width}" for height, width in entry["sizes"])
        for entry in report.values()
    )


def _difference(entry: Mapping[str, Any]) -> str:
    difference = entry["max_relative_difference"]
    return "" if difference is None else f"logits differ by {difference:.1e} of the largest, "


def _check_needs(job: ExportJob, formats: Sequence[str]) -> None:
    needs = {need for name in formats for need in FORMATS[name].needs}
    if "preprocessing" in needs:
        job.preprocessing  # noqa: B018  (it refuses a model that does not say its preprocessing)
    if "calibration" in needs and not job.has_photographs:
        name = next(name for name in formats if "calibration" in FORMATS[name].needs)
        raise ValueError(
            f"The format {name!r} takes the ranges of its integers from photographs: pass calibration=, a "
            "directory with photographs like those that the network will see."
        )


def _check_runtimes(model: keras.Model, formats: Sequence[str]) -> None:
    """XLA compiles Winograd's layers, and only TensorFlow has it; elsewhere they are thousands of operations."""
    layer_name = next((layer.name for layer in model.layers if isinstance(layer, WinogradConv2D)), None)
    others = [name for name in formats if FORMATS[name].runtime.name not in ("tensorflow", "keras")]
    if layer_name and others:
        raise ValueError(
            f"The model {model.name!r} was optimized with fixed_size= for TensorFlow (see its layer {layer_name!r}). "
            f"For other runtimes export tfseg.optimize(model), with size=. Received: formats={others}"
        )


def _write(format: Format, job: ExportJob, artifact: pathlib.Path) -> None:
    try:
        with quiet_writing(artifact.name):
            format.write(job.rewritten(format.rewrites), artifact)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a converter that does not know an operation raises nearly anything
        reason = (str(error) or type(error).__name__).splitlines()[0][:400]
        free = artifact.suffix == ".tflite" and None in job.shape[1:]
        advice = ". LiteRT computes more for images of one size: size= (--size)" if free else ""
        raise ValueError(
            f"The model {job.model.name!r} cannot be written as {artifact.name}: {reason}{advice}"
        ) from error
