"""Importing a VGG16 checkpoint (528 MB) into FCN32s, saved as `.weights.h5`: time and memory.

* convert: `converters.convert`.
* usual: what people write today, at its best: `torch.load(mmap=True, weights_only=True)`, a NumPy transpose for each
  tensor, `layer.set_weights`, into the same network.
* copy: a plain copy of the file.
* convert_caffe: `converters.convert` of the same weights in a `.caffemodel`.
* protobuf: reading the `.caffemodel` into NumPy arrays, with which any other way begins.

Each round runs each of them once in a fresh process, so that noise affects all equally. Printed are medians. The time
starts when keras is imported. The memory is the largest anonymous resident memory above that of a process that has only
imported keras (Linux).

    python benchmarks/import_vgg16.py [rounds]
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

MB = 1e6
MODEL = 134.3e6 * 4  # bytes of FCN32s in float32
LARGEST = 4096 * 512 * 49 * 4  # bytes of fc6


def anonymous_memory() -> int:
    """Anonymous resident memory of this process, in bytes."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024


def convert(checkpoint: pathlib.Path, output: str) -> None:
    import converters
    from converters.conversion.save import save

    model, _ = converters.convert(checkpoint, network="fcn32s")
    save(model, output)


def usual(checkpoint: pathlib.Path, output: str) -> None:
    import torch

    from tfseg import FCN32s

    state = torch.load(checkpoint, mmap=True, weights_only=True)
    model = FCN32s()
    names = [layer.name for layer in model.layers if layer.name.startswith("conv") and layer.weights]
    keys = [key.removesuffix(".weight") for key in state if key.startswith("features") and key.endswith("weight")]
    for name, key in [*zip(names, keys, strict=True), ("fc6", "classifier.0"), ("fc7", "classifier.3")]:
        kernel, bias = state[f"{key}.weight"].numpy(), state[f"{key}.bias"].numpy()
        height, width, inputs, outputs = model.get_layer(name).kernel.shape
        kernel = kernel.reshape(outputs, inputs, height, width).transpose(2, 3, 1, 0)
        model.get_layer(name).set_weights([kernel, bias])
    model.save_weights(output)


def convert_caffe(checkpoint: pathlib.Path, output: str) -> None:
    convert(checkpoint.with_suffix(".caffemodel"), output)


def protobuf(checkpoint: pathlib.Path, output: str) -> None:
    import numpy as np

    sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))
    from helpers import caffe_files

    net = caffe_files.net_class().FromString(checkpoint.with_suffix(".caffemodel").read_bytes())
    arrays = [np.array(blob.data, "float32").reshape(blob.shape.dim) for layer in net.layer for blob in layer.blobs]
    assert len(arrays) == 32


def copy(checkpoint: pathlib.Path, output: str) -> None:
    import shutil

    shutil.copyfile(checkpoint, output)


def measure(name: str, checkpoint: str, output: str) -> None:
    """Measures one of the functions above in this process and prints the result as JSON."""
    begin = time.perf_counter()
    import keras  # noqa: F401

    imported = time.perf_counter()
    before, peak, done = anonymous_memory(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], anonymous_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    globals()[name](pathlib.Path(checkpoint), output)
    seconds = time.perf_counter() - imported
    done.set()
    watcher.join()
    print(json.dumps({"keras": imported - begin, "seconds": seconds, "memory": peak[0] - before}))


def main(rounds: int) -> None:
    """Runs and prints all rounds."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # otherwise every run compiles the modules again
    results: dict[str, list[dict[str, float]]] = {
        name: [] for name in ("convert", "usual", "copy", "convert_caffe", "protobuf")
    }
    with tempfile.TemporaryDirectory() as directory:
        checkpoint = pathlib.Path(directory) / "vgg16.pth"
        print("writing a VGG16 checkpoint of random weights ...", flush=True)
        subprocess.run([sys.executable, __file__, "write", checkpoint], check=True)
        for _ in range(rounds):
            for name, measured in results.items():
                output = pathlib.Path(directory) / f"{name}.weights.h5"
                command = [sys.executable, __file__, name, checkpoint, output]
                os.sync()  # pending writes of an earlier run must not slow this one down
                process = subprocess.run(command, check=True, capture_output=True, text=True)
                measured.append(json.loads(process.stdout.splitlines()[-1]))
                output.unlink(missing_ok=True)
    keras = statistics.median(run["keras"] for measured in results.values() for run in measured)
    print(f"{rounds} rounds, medians; importing keras itself takes {keras:.1f} s")
    bound = (MODEL + LARGEST) / MB + 300
    print(f"model {MODEL / MB:.0f} MB, largest tensor {LARGEST / MB:.0f} MB; both and 300 MB: {bound:.0f} MB")
    print(f"{'':14}{'seconds':>10}{'min .. max':>16}{'/ convert':>11}{'anonymous MB':>14}")
    for name, measured in results.items():
        seconds = [run["seconds"] for run in measured]
        ratio = statistics.median(
            run["seconds"] / first["seconds"] for run, first in zip(measured, results["convert"], strict=True)
        )
        memory = statistics.median(run["memory"] for run in measured) / MB
        span = f"{min(seconds):.2f} .. {max(seconds):.2f}"
        print(f"{name:14}{statistics.median(seconds):10.2f}{span:>16}{ratio:11.2f}{memory:14.0f}")


def write(checkpoint: str, *, caffe: bool = True) -> None:
    """Writes the checkpoint, and its weights as a `.caffemodel` where wanted."""
    import torch

    from tfseg import specs

    shapes, index, channels = {}, 0, 3
    for filters, count in zip(specs.VGG_FILTERS, specs.VGG_CONVS[16], strict=True):
        for _ in range(count):
            shapes[f"features.{index}"] = (filters, channels, 3, 3)
            index, channels = index + 2, filters
        index += 1
    shapes |= {"classifier.0": (4096, 512 * 49), "classifier.3": (4096, 4096), "classifier.6": (1000, 4096)}
    state = {}
    for module, shape in shapes.items():
        state |= {f"{module}.weight": torch.randn(shape) * 0.01, f"{module}.bias": torch.randn(shape[0])}
    torch.save(state, checkpoint)
    if not caffe:
        return

    import converters

    model, _ = converters.convert(checkpoint)
    converters.export_weights(model, pathlib.Path(checkpoint).with_suffix(".caffemodel"), family="oxford/vgg")


if __name__ == "__main__":
    if len(sys.argv) == 4:
        measure(*sys.argv[1:])
    elif len(sys.argv) == 3:
        write(sys.argv[2])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
