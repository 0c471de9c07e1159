"""The whole of `tfseg convert`: a VGG16 checkpoint (553 MB) to `.weights.h5`, with all imports.

    python benchmarks/convert_command.py [--rounds=5] [--earlier=CHECKOUT] [--output=.weights.h5]

* now: `python -m converters`, which loads no TensorFlow for this.
* earlier: the same command of an earlier checkout of this repository.
* usual: what people write: `torch.load(mmap=True, weights_only=True)`, a NumPy transpose for each tensor,
  `layer.set_weights` into the VGG16 of `keras.applications`, `save_weights`.

Each round runs each of them once, so that noise affects all equally. Printed are medians, of ratios too. The bytes of
`now` and `earlier` are compared.
"""

import argparse
import filecmp
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from import_vgg16 import write

from tfseg.engines import machine

ROOT = pathlib.Path(__file__).parents[1]
Figures = dict[str, float]


def usual(checkpoint: str, output: str) -> None:
    import keras
    import torch

    state = torch.load(checkpoint, mmap=True, weights_only=True)
    model = keras.applications.VGG16(weights=None)
    names = [layer.name for layer in model.layers if layer.weights]
    for name, key in zip(names, [key for key in state if key.endswith("weight")], strict=True):
        kernel, bias = state[key].numpy(), state[key.removesuffix("weight") + "bias"].numpy()
        if kernel.ndim == 4:
            kernel = kernel.transpose(2, 3, 1, 0)
        elif name == "fc1":
            kernel = kernel.reshape(4096, 512, 7, 7).transpose(2, 3, 1, 0).reshape(-1, 4096)
        else:
            kernel = kernel.T
        model.get_layer(name).set_weights([kernel, bias])
    model.save_weights(output)


def measured(words: list[str], checkout: pathlib.Path) -> Figures:
    """Seconds and processor seconds of a command.

    Args:
        words: the command.
        checkout: repository whose packages it imports.
    """
    environment = os.environ | {"PYTHONPATH": str(checkout), "TF_CPP_MIN_LOG_LEVEL": "3"}
    os.sync()  # pending writes of an earlier run must not slow this one down
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, env=environment, check=True, capture_output=True, cwd=checkout)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": time.perf_counter() - begin, "processor": processor}


def main(rounds: int, earlier: pathlib.Path | None, suffix: str) -> None:
    """Runs and prints all rounds."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # otherwise every run compiles the modules again
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        checkpoint = folder / "vgg16.pth"
        print("writing a VGG16 checkpoint of random weights ...", flush=True)
        write(str(checkpoint), caffe=False)
        commands = {"now": ROOT, "usual": ROOT} | ({"earlier": earlier.resolve()} if earlier else {})
        results: dict[str, list[Figures]] = {name: [] for name in commands}
        outputs = {name: folder / f"{name}{suffix}" for name in commands}
        load = os.getloadavg()[0]
        for _ in range(rounds):
            for name, checkout in commands.items():
                outputs[name].unlink(missing_ok=True)
                command = ["-m", "converters", f"--checkpoint={checkpoint}", f"--output={outputs[name]}"]
                words = [__file__, "--usual", str(checkpoint), str(outputs[name])] if name == "usual" else command
                results[name].append(measured([sys.executable, *words], checkout))
        print(f"{machine.processor()}, {machine.cores()} cores, load {load:.1f} to {os.getloadavg()[0]:.1f}")
        print(f"{rounds} rounds, medians\n{'':10}{'seconds':>10}{'processor':>11}{'now / it':>10}")
        for name, runs in results.items():
            ratio = statistics.median(
                now["seconds"] / run["seconds"] for now, run in zip(results["now"], runs, strict=True)
            )
            seconds, processor = (statistics.median(run[key] for run in runs) for key in ("seconds", "processor"))
            print(f"{name:10}{seconds:10.1f}{processor:11.1f}{ratio:10.2f}")
        if earlier and suffix != ".keras":
            print("the same bytes:", filecmp.cmp(outputs["now"], outputs["earlier"], shallow=False))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--usual"]:
        usual(*sys.argv[2:])
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("--rounds", type=int, default=5)
        parser.add_argument("--earlier", type=pathlib.Path)
        parser.add_argument("--output", default=".weights.h5", choices=(".weights.h5", ".safetensors", ".keras"))
        options = parser.parse_args()
        main(options.rounds, options.earlier, options.output)
