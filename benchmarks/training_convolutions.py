"""Where the convolutions of `tfseg/trained_convolutions.py` pay: each beside TensorFlow's own, with both gradients.

The two take turns in one process. Printed is the median of the ratios of their times.

    python benchmarks/training_convolutions.py [rounds]
"""

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfseg.trained_convolutions import Convolve, along_rows, with_products

BATCH = 2
# Side of the maps, side of the kernel, channels, filters, rate.
CASES = (
    (32, 3, 2048, 512, 1),
    (32, 3, 512, 512, 4),
    (32, 3, 512, 512, 2),
    (32, 3, 256, 256, 2),
    (32, 3, 256, 256, 1),
    (32, 3, 128, 128, 1),
    (64, 3, 64, 64, 1),
    (16, 3, 512, 512, 1),
    (32, 1, 1024, 2048, 1),
    (32, 1, 2048, 512, 1),
    (32, 1, 256, 1024, 1),
    (64, 1, 64, 256, 1),
)


def step(convolve: Convolve) -> Callable[..., tuple[tf.Tensor, ...]]:
    """A graph of the convolution and its gradients."""

    @tf.function(autograph=False)
    def run(maps: tf.Tensor, kernel: tf.Tensor, outer: tf.Tensor) -> tuple[tf.Tensor, ...]:
        with tf.GradientTape() as tape:
            tape.watch((maps, kernel))
            results = convolve(maps, kernel)
        return results, *tape.gradient(results, (maps, kernel), outer)

    return run


def main(rounds: int) -> None:
    """Measures and prints all cases."""
    random = np.random.default_rng(0)
    for dtype in ("float32", "bfloat16"):
        for size, side, channels, filters, rate in CASES:
            ways = {
                "own": lambda maps, kernel, rate=rate: tf.nn.conv2d(maps, kernel, 1, "SAME", dilations=rate),
                "products": with_products("same", (rate, rate)),
            }
            if side == 3 and dtype == "float32":
                ways["along rows"] = along_rows("same", (rate, rate))
            shapes = (BATCH, size, size, channels), (side, side, channels, filters), (BATCH, size, size, filters)
            values = [tf.cast(random.normal(size=shape), dtype) for shape in shapes]
            steps = {name: step(way) for name, way in ways.items()}
            times: dict[str, list[float]] = {name: [] for name in steps}
            for number in range(rounds + 2):
                for name, run in steps.items():
                    begin = time.perf_counter()
                    run(*values)
                    if number > 1:
                        times[name].append(time.perf_counter() - begin)
            ratios = " ".join(
                f"{name} {statistics.median(a / b for a, b in zip(times[name], times['own'], strict=True)):.2f}"
                for name in list(times)[1:]
            )
            case = f"{dtype} {size}x{size} {side}x{side} {channels} to {filters}, rate {rate}"
            print(f"{case}: {1e3 * statistics.median(times['own']):.1f} ms; {ratios}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
