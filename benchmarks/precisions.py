"""The embedded sample network in fewer bits: a photograph's time, the pixels that keep their class, the mean IoU.

    python benchmarks/precisions.py [--data=CamVid] [--rounds=10]

Keras in float32 and bfloat16, optimized, and LiteRT in float32, float16 and integers, for one size; 2 threads, batch
1, preprocessing not counted. All in one process, a photograph each in turn, so that a noisy machine hits all alike;
medians of the times, and of their ratios to Keras in float32, whose classes the others are compared with.

With `--data`, a directory of CamVid, the photographs are those of its val split, each once, whose masks give the mean
IoU; the ranges of the full integers come from 50 of its train split. Without it there is but the sample's own
photograph, for both, and no mean IoU.
"""

import argparse
import pathlib
import statistics
import sys
import tempfile
import time

import torch  # noqa: F401  (behind tensorflow its import can crash)

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import numpy as np
import tensorflow as tf

import converters
import tfseg
from tfseg import data
from tfseg.data.loader import load
from tfseg.exporting import FORMATS
from tfseg.metrics import ConfusionMatrix, scores
from tfseg.prediction.model import logits_function
from tfseg.training.preparation import with_dtype

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
THREADS, CALIBRATION = 2, 50
LITERT = ("litert_float32", "litert_float16", "litert_dynamic_int8", "litert_int8")


def keras_engine(model, dtype="float32"):
    """A function of a preprocessed batch, array to array."""
    return logits_function(tfseg.optimize(model if dtype == "float32" else with_dtype(model, dtype)))


def litert_engine(path):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=THREADS)
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(images):
        interpreter.set_tensor(taken["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(given["index"])

    return run


def measure(engines, photographs, preprocessing, num_classes):
    """Name -> (seconds of each photograph, share of pixels with the first engine's class, mean IoU)."""
    times, equal = ({name: [] for name in engines} for _ in range(2))
    counts = {name: ConfusionMatrix(num_classes) for name in engines}
    for pixels, mask in photographs:
        images, reference = tfseg.preprocess(pixels, preprocessing)[None], None
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


def main(root, rounds):
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    model, _ = converters.convert(EXAMPLES / "fcn_resnet18_w50_os8_camvid.pth")
    street = tfseg.read_image(EXAMPLES / "street.png")
    if root:
        train, val = (data.camvid(root, split) for split in ("train", "val"))
        photographs = [load(pair, val.labels) for pair in val.pairs]
        calibration = [tfseg.read_image(pair.image) for pair in train.pairs[:: max(1, len(train.pairs) // CALIBRATION)]]
    else:
        print("Without --data=CamVid no mean IoU is told: the sample's photograph has no mask in the project.")
        photographs, calibration = [(street, None)] * rounds, [street]
    engines = {"Keras, float32": keras_engine(model), "Keras, bfloat16": keras_engine(model, "mixed_bfloat16")}
    with tempfile.TemporaryDirectory() as directory:
        folder = tfseg.export(
            model, pathlib.Path(directory) / "sample", LITERT, calibration=calibration, size=street.shape[:2]
        )
        for name in LITERT:
            title = f"LiteRT, {name.removeprefix('litert_').replace('_', ' ')}"
            engines[title] = litert_engine(folder / FORMATS[name].artifact)
        facts = tfseg.metadata(model)["preprocessing"], model.output_shape[-1]
        measure(engines, [(street, None)], *facts)  # first calls compile
        found = measure(engines, photographs, *facts)
    (reference, _, whole), height, width = found["Keras, float32"], *street.shape[:2]
    print(f"{len(photographs)} photographs of {height}x{width}, {len(calibration)} to calibrate with")
    print(" " * 22 + "".join(head.rjust(11) for head in ("seconds", "/ float32", "same class", "mean IoU", "change")))
    for name, (seconds, equal, iou) in found.items():
        ratio = statistics.median(one / other for one, other in zip(seconds, reference, strict=True))
        scored = (f"{iou:.2%}", f"{100 * (iou - whole):+.2f}") if root else ("-", "-")
        cells = (f"{statistics.median(seconds):.3f}", f"{ratio:.2f}", f"{equal:.2%}", *scored)
        print(f"  {name:20}" + "".join(cell.rjust(11) for cell in cells))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", help="directory of CamVid")
    parser.add_argument("--rounds", type=int, default=10, help="of the sample's photograph, without --data")
    options = parser.parse_args()
    main(options.data, options.rounds)
