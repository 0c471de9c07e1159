"""Runs one artifact in a fresh process, with the runtime of its users. This script imports nothing from this package.

    python -P reopening.py RUNTIME ARTIFACT EXAMPLES.npz RESULTS.npz OUTPUT

The examples are `pixels_N`, (batch, height, width, channels), uint8 for photographs, and `images_N`, the same images
preprocessed. An artifact whose OUTPUT are no logits takes the pixels. The results are `logits_N`, other outputs of the
artifact, and the `version` of the runtime. Keras alone
needs more: the layers of tfseg, found two directories up, and for weights the architecture, a file beside the examples.
"""

import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

Results = Iterator[tuple[str, Any]]


def tensorflow(artifact: pathlib.Path, examples: Any) -> Results:
    """Yields the results of a SavedModel, for all of its signatures.

    Args:
        artifact: path of the artifact.
        examples: opened file of examples.
    """
    import tensorflow as tf

    yield "version", tf.__version__
    model = tf.saved_model.load(str(artifact))
    for index, images in _images(examples):
        pixels = examples[f"pixels_{index}"]
        inputs: dict[str, Any] = {"logits": {"images": images}, "classes": {"images": pixels}}
        inputs["probabilities"] = inputs["classes"]
        if "classes_from_bytes" in model.signatures:
            inputs["classes_from_bytes"] = {"image_bytes": [tf.io.encode_png(image).numpy() for image in pixels]}
        for name, arguments in inputs.items():
            result = model.signatures[name](**{key: tf.constant(value) for key, value in arguments.items()})
            yield f"{name}_{index}", result[name.partition("_")[0]].numpy()


def litert(artifact: pathlib.Path, examples: Any) -> Results:
    """Yields the results of a `.tflite` file.

    Args:
        artifact: path of the artifact.
        examples: opened file of examples.
    """
    import ai_edge_litert
    from ai_edge_litert.interpreter import Interpreter

    yield "version", ai_edge_litert.__version__
    interpreter = Interpreter(str(artifact))
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    for index, images in _images(examples):
        interpreter.resize_tensor_input(taken["index"], images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(taken["index"], images)
        interpreter.invoke()
        yield f"{_output()}_{index}", interpreter.get_tensor(given["index"])


def onnxruntime(artifact: pathlib.Path, examples: Any) -> Results:
    """Yields the results of an `.onnx` file.

    Args:
        artifact: path of the artifact.
        examples: opened file of examples.
    """
    import onnxruntime

    yield "version", onnxruntime.__version__
    session = onnxruntime.InferenceSession(artifact, providers=["CPUExecutionProvider"])
    for index, images in _images(examples):
        yield f"{_output()}_{index}", session.run([_output()], {"images": images})[0]


def openvino(artifact: pathlib.Path, examples: Any) -> Results:
    """Yields the results of a directory with `model.xml`.

    Args:
        artifact: path of the artifact.
        examples: opened file of examples.
    """
    import openvino

    yield "version", openvino.__version__.partition("-")[0]
    # By default, processors with bfloat16 compute in it. The deployment chooses that; it says nothing about the file.
    model = openvino.Core().compile_model(artifact / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for index, images in _images(examples):
        yield f"{_output()}_{index}", model(images)[0]


def keras(artifact: pathlib.Path, examples: Any) -> Results:
    """Yields the results of a `.keras` file, or of weights in the architecture that lies beside the examples.

    Args:
        artifact: path of the artifact.
        examples: opened file of examples.
    """
    sys.path.append(str(pathlib.Path(__file__).parents[2]))
    import keras

    import tfseg.outputs  # and its layers

    yield "version", keras.__version__
    if artifact.suffix == ".keras":
        model = keras.saving.load_model(artifact, compile=False)
    else:
        architecture = pathlib.Path(examples.fid.name).with_name("architecture.json")
        model = keras.models.model_from_json(architecture.read_text())
        _load_weights(model, artifact)
    for index, images in _images(examples):
        logits = tfseg.outputs.logits_of(model(images, training=False))
        yield f"logits_{index}", keras.ops.convert_to_numpy(logits)


def _load_weights(model: Any, artifact: pathlib.Path) -> None:
    if artifact.suffix == ".h5":
        model.load_weights(artifact)
        return
    from safetensors.numpy import load_file

    arrays = load_file(artifact)
    for variable in model.weights:
        variable.assign(arrays.pop(variable.path))
    if arrays:
        raise ValueError(f"the file has tensors without a variable: {', '.join(arrays)}")


def _images(examples: Any) -> Iterator[tuple[int, np.ndarray]]:
    kind = "images" if _output() == "logits" else "pixels"
    return ((index, examples[f"{kind}_{index}"]) for index in range(len(examples.files) // 2))


def _output() -> str:
    return sys.argv[5]


RUNTIMES = {function.__name__: function for function in (tensorflow, litert, onnxruntime, openvino, keras)}

if __name__ == "__main__":
    runtime_name, artifact_path, examples_path, results_path = sys.argv[1:5]
    if runtime_name != "keras":
        sys.modules |= dict.fromkeys(["tfseg", "keras"])  # type: ignore[arg-type]  # with None, their import fails
    with np.load(examples_path) as examples_file:
        np.savez(results_path, **dict(RUNTIMES[runtime_name](pathlib.Path(artifact_path), examples_file)))
