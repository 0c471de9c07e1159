"""Importing a U-Net's file beside a classifier's of its size: time and processor time of `converters.convert`.

The files are those of segmentation_models.pytorch's U-Net on ResNet-34 (24.4 million parameters) and of torchvision's
ResNet-50 (25.6 million), with random weights. Each round converts each file once in a fresh process; the time starts
when Keras is imported. Printed are medians and the ratio.

    python benchmarks/import_unet.py [rounds]
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

FILES = {
    "U-Net": ("unet_resnet34", {"num_classes": 21}, "qubvel/segmentation_models.pytorch"),
    "ResNet-50": ("resnet50", {"include_top": True, "num_classes": 1000}, "torchvision/resnet"),
}


def write(folder: str) -> None:
    """Writes the files."""
    import converters
    import tfseg

    for name, (network, options, family) in FILES.items():
        converters.export_weights(tfseg.build(network, **options), pathlib.Path(folder) / f"{name}.pth", family=family)


def measure(path: str) -> None:
    """Converts a file in this process, and prints what it took as JSON."""
    import keras  # noqa: F401

    import converters

    begin, worked = time.perf_counter(), time.process_time()
    converters.convert(path)
    print(json.dumps({"seconds": time.perf_counter() - begin, "processor": time.process_time() - worked}))


def main(rounds: int) -> None:
    """Runs and prints all rounds."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, __file__, "write", folder], check=True)
        results: dict[str, list[dict[str, float]]] = {name: [] for name in FILES}
        for _ in range(rounds):
            for name, runs in results.items():
                words = [sys.executable, __file__, "measure", str(pathlib.Path(folder) / f"{name}.pth")]
                process = subprocess.run(words, check=True, capture_output=True, text=True)
                runs.append(json.loads(process.stdout.splitlines()[-1]))
        for name in FILES:
            size = (pathlib.Path(folder) / f"{name}.pth").stat().st_size / 1e6
            medians = {what: statistics.median(run[what] for run in results[name]) for what in ("seconds", "processor")}
            print(f"{name}: {size:.0f} MB, {medians['seconds']:.2f} s, {medians['processor']:.2f} s of the processor")
    pairs = zip(*results.values(), strict=True)
    print(f"ratio: {statistics.median(unet['seconds'] / resnet['seconds'] for unet, resnet in pairs):.2f}")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        {"write": write, "measure": measure}[sys.argv[1]](sys.argv[2])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
