"""The time of `import tfseg` and `import converters`, beside `import keras`: fresh processes, interleaved, medians.

python benchmarks/import_time.py [rounds]
"""

import statistics
import subprocess
import sys
import time

STATEMENTS = ("pass", "import converters", "import keras", "import tfseg")


def seconds(statement: str) -> float:
    """The time of a fresh process that runs a statement."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, capture_output=True)
    return time.perf_counter() - begin


def main(rounds: int) -> None:
    """Measures and prints all statements."""
    measured: dict[str, list[float]] = {statement: [] for statement in STATEMENTS}
    for _ in range(rounds):
        for statement, times in measured.items():
            times.append(seconds(statement))
    print(f"{rounds} rounds\n{'':20}{'seconds':>8}{'min .. max':>16}{'/ import keras':>16}")
    for statement, times in measured.items():
        ratio = statistics.median(a / b for a, b in zip(times, measured["import keras"], strict=True))
        span = f"{min(times):.2f} .. {max(times):.2f}"
        print(f"{statement:20}{statistics.median(times):8.2f}{span:>16}{ratio:16.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
