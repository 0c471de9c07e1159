"""The embedded sample network in lower precisions: time per photograph, share of equal classes, mean IoU.

    python benchmarks/precisions.py [--data=CamVid] [--rounds=10]

Keras in float32 and bfloat16, optimized; and LiteRT, ONNX Runtime and OpenVINO in float32 and below, for one size; 2
threads, batch 1, without preprocessing. All run in one process and take turns, a photograph each, so that noise affects
all equally. Printed are medians of the times and of their ratios to Keras in float32, with which the classes are
compared.

With `--data`, a directory of CamVid, each photograph of its val split is measured once, and the masks give the mean
IoU. Full integer quantization is calibrated with 50 photographs of its train split. Without it, the only photograph is
the sample's, for both, and there is no mean IoU.
"""

import argparse
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

import torch  # noqa: F401  (after tensorflow, its import can crash)

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import keras
import numpy as np
import tensorflow as tf

import converters
import tfseg
from tfseg import data
from tfseg.data.loader import load
from tfseg.engines import onnxruntime, openvino
from tfseg.exporting import FORMATS
from tfseg.metrics import ConfusionMatrix, scores
from tfseg.prediction.model import logits_function
from tfseg.training.precision import with_dtype
from tfseg.types import Preprocessing

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
THREADS, CALIBRATION = 2, 50
LITERT = ("litert_float32", "litert_float16", "litert_dynamic_int8", "litert_int8")
ONNX = ("onnx", "onnx_int8")
OPENVINO = ("openvino", "openvino_int8")


Run = Callable[[np.ndarray], np.ndarray]  # from a preprocessed batch to logits


def keras_engine(model: keras.Model, dtype: str = "float32") -> Run:
    """A model, optimized, in a dtype."""
    return logits_function(tfseg.optimize(model if dtype == "float32" else with_dtype(model, dtype)))


def litert_engine(path: pathlib.Path) -> Run:
    """A LiteRT file."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=THREADS)
    interpreter.allocate_tensors()
    (image_tensor,), (logits_tensor,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(images: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(image_tensor["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(logits_tensor["index"])

    return run


def onnx_engine(path: pathlib.Path) -> Run:
    """An ONNX file in ONNX Runtime."""
    return onnxruntime.opened(path, THREADS)("float32")  # of an int8 file, what lies between the integers


def openvino_engine(path: pathlib.Path) -> Run:
    """A directory of OpenVINO."""
    return openvino.opened(path, THREADS)("float32")


def measure(
    engines: dict[str, Run],
    photographs: list[tuple[np.ndarray, np.ndarray | None]],
    preprocessing: Preprocessing,
    num_classes: int,
) -> dict[str, tuple[list[float], float, float]]:
    """For each engine: seconds of each photograph, share of pixels with the first engine's class, mean IoU."""
    times, equal = ({name: [] for name in engines} for _ in range(2))
    counts = {name: ConfusionMatrix(num_classes) for name in engines}
    for photograph, mask in photographs:
        images, reference = tfseg.preprocess(photograph, preprocessing)[None], None
        for name, run in engines.items():
            begin = time.perf_counter()
            logits = run(images)
            times[name].append(time.perf_counter() - begin)
            classes = logits[0].argmax(axis=-1)
            reference = classes if reference is None else reference
            equal[name].append(np.mean(classes == reference))
            if mask is not None:
                counts[name].update_classes(mask, classes)
    return {name: (times[name], np.mean(equal[name]), scores(counts[name].matrix())["mean_iou"]) for name in engines}


def main(root: str | None, rounds: int) -> None:
    """Measures and prints all engines."""
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    model, _ = converters.convert(EXAMPLES / "fcn_resnet18_w50_os8_camvid.pth")
    street = tfseg.read_image(EXAMPLES / "street.png")
    if root:
        train, val = (data.camvid(root, split) for split in ("train", "val"))
        photographs = [load(pair, val.labels) for pair in val.pairs]
        calibration = [tfseg.read_image(pair.image) for pair in train.pairs[:: max(1, len(train.pairs) // CALIBRATION)]]
    else:
        print("Without --data=CamVid there is no mean IoU: the sample's photograph has no mask in the project.")
        photographs, calibration = [(street, None)] * rounds, [street]
    engines = {"Keras, float32": keras_engine(model), "Keras, bfloat16": keras_engine(model, "mixed_bfloat16")}
    with tempfile.TemporaryDirectory() as directory:
        folder = tfseg.export(
            model,
            pathlib.Path(directory) / "sample",
            LITERT + ONNX + OPENVINO,
            calibration=calibration,
            size=street.shape[:2],
        )
        for title, names, opened in (
            ("LiteRT", LITERT, litert_engine),
            ("ONNX", ONNX, onnx_engine),
            ("OpenVINO", OPENVINO, openvino_engine),
        ):
            for name in names:
                precision = name.partition("_")[2].replace("_", " ") or "float32"
                engines[f"{title}, {precision}"] = opened(folder / FORMATS[name].artifact)
        arguments = tfseg.metadata(model)["preprocessing"], model.output_shape[-1]
        measure(engines, [(street, None)], *arguments)  # the first call compiles
        results = measure(engines, photographs, *arguments)
    (reference, _, reference_iou), height, width = results["Keras, float32"], *street.shape[:2]
    print(f"{len(photographs)} photographs of {height}x{width}, {len(calibration)} to calibrate with")
    print(" " * 22 + "".join(head.rjust(11) for head in ("seconds", "/ float32", "same class", "mean IoU", "change")))
    for name, (seconds, equal, iou) in results.items():
        ratio = statistics.median(time / other for time, other in zip(seconds, reference, strict=True))
        scored = (f"{iou:.2%}", f"{100 * (iou - reference_iou):+.2f}") if root else ("-", "-")
        cells = (f"{statistics.median(seconds):.3f}", f"{ratio:.2f}", f"{equal:.2%}", *scored)
        print(f"  {name:20}" + "".join(cell.rjust(11) for cell in cells))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", help="directory of CamVid")
    parser.add_argument(
        "--rounds", type=int, default=10, help="measurements of the sample's photograph, without --data"
    )
    options = parser.parse_args()
    main(options.data, options.rounds)
