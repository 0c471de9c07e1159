"""Memory of a validation on a large photograph, above that of the model.

    python benchmarks/validation_memory.py [--network=fcn_resnet50] [--megapixels=24]

A process of its own builds the network with 21 classes and random weights, validates a small photograph, notes the
memory, and validates the large one as a training does: through windows. Printed are both peaks of resident memory.
"""

import argparse
import pathlib
import resource
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[1]
CLASSES = 21
SIDES = (3, 2)  # width to height, as cameras have them


def peak() -> float:
    """The largest resident memory of this process so far, in gigabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def measure(network: str, megapixels: float) -> None:
    """Prints both peaks."""
    import numpy as np
    from PIL import Image

    import tfseg
    from tfseg import data
    from tfseg.training.validation import validate

    model = tfseg.build(network, num_classes=CLASSES)
    random = np.random.default_rng(0)
    Image.MAX_IMAGE_PIXELS = None
    for pixels in (0.5e6, megapixels * 1e6):
        unit = (pixels / (SIDES[0] * SIDES[1])) ** 0.5
        width, height = (round(unit * side) for side in SIDES)
        with tempfile.TemporaryDirectory() as folder:
            for name, shape in (("image", (height, width, 3)), ("mask", (height, width))):
                values = random.integers(0, CLASSES, shape, dtype=np.uint8)
                Image.fromarray(values).save(pathlib.Path(folder) / f"{name}.png", compress_level=1)
            pair = data.Pair(pathlib.Path(folder) / "image.png", pathlib.Path(folder) / "mask.png")
            before = peak()
            validate(model, data.Dataset("large", (pair,), data.Labels(CLASSES)))
        print(f"{network}, {width}x{height}: {before:.2f} GB before, {peak():.2f} GB at most")


def main() -> None:
    """Runs the measurement in a fresh process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="fcn_resnet50")
    parser.add_argument("--megapixels", type=float, default=24)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        sys.path.insert(0, str(ROOT))
        measure(args.network, args.megapixels)
        return
    words = [f"--network={args.network}", f"--megapixels={args.megapixels}", "--inside"]
    sys.exit(subprocess.run([sys.executable, __file__, *words]).returncode)


if __name__ == "__main__":
    main()
