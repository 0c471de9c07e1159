"""Runs one artifact in a process of its own, by the runtime that its users have: a script that imports nothing of ours.

    python -P reopening.py RUNTIME ARTIFACT EXAMPLES.npz RESULTS.npz

The examples are `pixels_N`, uint8 (batch, height, width, 3), and `images_N`, the same preprocessed; the results
`logits_N`, whatever else the artifact computes, and the `version` of the runtime. Keras alone needs more: our layers,
found two directories up, and for weights the architecture, which lies beside the examples.
"""

import pathlib
import sys

import numpy as np


def tensorflow(artifact, examples):
    import tensorflow as tf

    yield "version", tf.__version__
    model = tf.saved_model.load(str(artifact))
    for index, images in _images(examples):
        pixels = examples[f"pixels_{index}"]
        asked = {
            "logits": {"images": images},
            "classes": {"images": pixels},
            "classes_from_bytes": {"image_bytes": [tf.io.encode_png(one).numpy() for one in pixels]},
        }
        for name, arguments in asked.items():
            result = model.signatures[name](**{key: tf.constant(value) for key, value in arguments.items()})
            yield f"{name}_{index}", result[name.partition("_")[0]].numpy()


def litert(artifact, examples):
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
        yield f"logits_{index}", interpreter.get_tensor(given["index"])


def onnxruntime(artifact, examples):
    import onnxruntime

    yield "version", onnxruntime.__version__
    session = onnxruntime.InferenceSession(artifact, providers=["CPUExecutionProvider"])
    for index, images in _images(examples):
        yield f"logits_{index}", session.run(["logits"], {"images": images})[0]


def openvino(artifact, examples):
    import openvino

    yield "version", openvino.__version__.partition("-")[0]
    # Processors with bfloat16 would compute in it: the choice of whoever deploys, and no fault of the file.
    model = openvino.Core().compile_model(artifact / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for index, images in _images(examples):
        yield f"logits_{index}", model(images)[0]


def keras(artifact, examples):
    sys.path.append(str(pathlib.Path(__file__).parents[2]))
    import keras

    import tfseg  # noqa: F401  (its layers)

    yield "version", keras.__version__
    if artifact.suffix == ".keras":
        model = keras.saving.load_model(artifact, compile=False)
    else:
        architecture = pathlib.Path(examples.fid.name).with_name("architecture.json")
        model = keras.models.model_from_json(architecture.read_text())
        _load_weights(model, artifact)
    for index, images in _images(examples):
        output = model(images, training=False)
        output = output[0] if isinstance(output, list | tuple) else output
        yield f"logits_{index}", keras.ops.convert_to_numpy(output)


def _load_weights(model, artifact):
    if artifact.suffix == ".h5":
        model.load_weights(artifact)
        return
    from safetensors.numpy import load_file

    arrays = load_file(artifact)
    for variable in model.weights:
        variable.assign(arrays.pop(variable.path))
    if arrays:
        raise ValueError(f"tensors of no variable: {', '.join(arrays)}")


def _images(examples):
    return ((index, examples[f"images_{index}"]) for index in range(len(examples.files) // 2))


if __name__ == "__main__":
    runtime, artifact, examples, results = sys.argv[1:]
    if runtime != "keras":
        sys.modules |= dict.fromkeys(["tfseg", "keras"])  # None: whoever imports them fails
    with np.load(examples) as found:
        np.savez(results, **dict(globals()[runtime](pathlib.Path(artifact), found)))
