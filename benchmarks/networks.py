"""Every network of tfseg on one image: the times of the page `docs/networks.md`.

float32, batch 1, 512x512 pixels, 2 threads: the median of three calls after the first. Parameters and multiplications
are counted, too. The page names the processor.

    python benchmarks/networks.py docs/networks.md [PATTERN ...]
"""

import datetime
import pathlib
import re
import sys

import numpy as np
import tensorflow as tf

sys.path[:0] = [str(pathlib.Path(__file__).parents[1] / "tests"), str(pathlib.Path(__file__).parents[1])]

THREADS = 2


def main(page: str, *patterns: str) -> None:
    """Measures the networks whose names match a pattern, or all, and writes the page."""
    from helpers import model_table

    from tfseg.rewrites.timing import median_seconds

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    name = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    processor = name[1] if name else "unknown processor"
    side = model_table.SIDE
    image = np.random.default_rng(0).normal(size=(1, side, side, 3)).astype("float32")
    times = f"{processor}, {THREADS} threads, {datetime.date.today()}"
    print(times)
    model_table.main(page, *patterns, milliseconds=lambda model: 1e3 * median_seconds(model, image), times=times)


if __name__ == "__main__":
    main(*sys.argv[1:])
