"""One photograph through FCN-32s, ResNet-50 and a U-Net: tfseg, plain and optimized, beside other engines on a CPU.

Batch 1, 2 threads, float32 unless a name says another precision. Every engine is a separate process with the same
weights, which waits while the others run. The weights are random.
Each round asks each of them once, so that noise affects all equally. Printed are medians of the times and of their
ratios to plain PyTorch. Engines that are not installed are left out, with a line that says so.

    python benchmarks/inference.py [rounds [engines [cases]]]

`engines` and `cases` are patterns, such as "OpenVINO|fixed" and "U-Net": only what they match is run, beside PyTorch.
All engines of FCN-32s together need 30 GB.

The columns:

* start: seconds from the start of the process until the network is built.
* first: seconds of the first call, which compiles, and with `fixed_size` measures the layers before that.
* GB: largest resident memory of the process (Linux).
* peak: speed relative to a large matrix product, if all multiplications of the network were made. Algorithms that make
  fewer can exceed 100%.
* difference: largest difference from PyTorch's logits, relative to their largest value.
* classes: share of pixels with PyTorch's class.
"""

import importlib.util
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras
    import torch

sys.path[:0] = [str(pathlib.Path(__file__).parents[1] / "tests"), str(pathlib.Path(__file__).parents[1])]

THREADS, CLASSES = 2, 21
SETTLING = 15  # seconds before an engine is measured
SIZES = [(281 + 12 * (7 * index % 20), 500 - 9 * (3 * index % 20)) for index in range(20)]
# name, network, sizes that are run one after the other, engines left out, billions of multiplications
CASES = [
    ("FCN-32s, 375x500", "fcn32s", [(375, 500)], (), 146.6),
    ("ResNet-50 at output stride 8 with an FCN head, 513x513", "fcn_resnet50", [(513, 513)], (), 142.6),
    ("segmentation_models.pytorch's U-Net on ResNet-34, 512x512", "unet_resnet34", [(512, 512)], (), None),
    ("the ResNet-50, 512x1024", "fcn_resnet50", [(512, 1024)], ("torch.compile", "torch channels_last"), None),
    (
        "20 sizes through FCN-32s, one after the other",
        "fcn32s",
        SIZES,
        (
            "torch.compile",
            "torch channels_last",
            "OpenCV",
            "tfseg, fixed_size",
            "the same, fixed size",
            "the same, int8",
        ),
        None,
    ),
]


def make_image(height: int, width: int) -> np.ndarray:
    """Patches of 20 pixels with noise, with about the values that the networks expect."""
    random = np.random.default_rng(height * width)
    patches = random.normal(size=(height // 20 + 1, width // 20 + 1, 3)).repeat(20, axis=0).repeat(20, axis=1)
    return (patches[:height, :width] + random.normal(size=(height, width, 3)) / 2)[None].astype("float32")


def channels_first(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image.transpose(0, 3, 1, 2))


# ------------------------------------------------------------------------------- engines: functions of an NHWC image


Run = Callable[[np.ndarray], np.ndarray]


def torch_module(network: str) -> "torch.nn.Module":
    """The network in PyTorch, with random weights."""
    import torch

    torch.manual_seed(0)
    if network == "fcn32s":
        from helpers.references import torchfcn_models, torchfcn_net

        module = torchfcn_net("FCN32s").eval()  # random weights
        # Every published FCN upsamples bilinearly.
        bilinear = torchfcn_models().fcn32s.get_upsampling_weight(CLASSES, CLASSES, 64)
        module.upscore.weight.data.copy_(bilinear)
        return module
    from helpers.torchvision_cpu import import_torchvision

    torchvision = import_torchvision()
    if network == "unet_resnet34":
        import segmentation_models_pytorch

        return segmentation_models_pytorch.Unet("resnet34", encoder_weights=None, classes=CLASSES).eval()
    segmentation = torchvision.models.segmentation
    return segmentation.fcn_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES).eval()


def torch_logits(result: Any) -> "torch.Tensor":
    """The logits of what a network gives; torchvision's give a dictionary."""
    return result["out"] if isinstance(result, dict) else result


def _torch(directory: pathlib.Path, network: str, *, layout: str = "contiguous_format", compiled: bool = False) -> Run:
    import torch

    torch.set_num_threads(THREADS)
    memory_format = getattr(torch, layout)
    module = torch_module(network)
    module.load_state_dict(torch.load(directory / f"{network}.pth", mmap=True))
    module = module.to(memory_format=memory_format)
    function = torch.compile(module) if compiled else module

    @torch.inference_mode()
    def run(image: np.ndarray) -> np.ndarray:
        result = function(torch.from_numpy(channels_first(image)).contiguous(memory_format=memory_format))
        return torch_logits(result).numpy().transpose(0, 2, 3, 1)

    return run


def _tfseg(
    directory: pathlib.Path, network: str, *, optimized: bool = True, fixed: bool = False, dtype: str = "float32"
) -> Run:
    import torch  # noqa: F401, I001  (after tensorflow, its import can crash)
    import tensorflow as tf

    import converters
    import tfseg
    from tfseg.prediction.model import logits_function
    from tfseg.training import preparation

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    model, _ = converters.convert(directory / f"{network}.pth", network=network)
    if dtype != "float32":
        model = preparation.with_dtype(model, dtype)
    if not fixed:
        return logits_function(tfseg.optimize(model) if optimized else model)
    optimized_models: dict[tuple[int, int], keras.Model] = {}

    def run(image: np.ndarray) -> np.ndarray:
        size = image.shape[1:3]
        if size not in optimized_models:
            optimized_models[size] = tfseg.optimize(model, fixed_size=size)
        return logits_function(optimized_models[size])(image)

    return run


def _tfseg_engine(
    directory: pathlib.Path, network: str, *, engine: str, dtype: str = "float32", fixed: bool = False
) -> Run:
    import torch  # noqa: F401, I001  (after tensorflow, its import can crash)
    import tensorflow as tf

    import converters
    from tfseg.engines.runner import EngineRunner

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    model, _ = converters.convert(directory / f"{network}.pth", network=network)
    runners: dict[tuple[int, ...] | None, EngineRunner] = {}

    def run(image: np.ndarray) -> np.ndarray:
        size = image.shape[1:3] if fixed else None
        if size not in runners:
            runners[size] = EngineRunner(model, engine, dtype=dtype, size=size)
            if (engine, dtype, fixed) == ("openvino", "float32", False):
                begin = time.perf_counter()  # sizes that come often get a network of their own after some time
                while time.perf_counter() - begin < SETTLING:
                    runners[size](image)
        result = runners[size](image)
        assert runners[size].engine_for(image.shape) == engine  # and not the model as it is
        return result

    return run


def _tfseg_int8(directory: pathlib.Path, network: str) -> Run:
    """The integers of 8 bits of `tfseg.export`. The weights are random: noise calibrates, and only the time counts."""
    import torch  # noqa: F401  (after tensorflow, its import can crash)

    import converters
    from tfseg.engines import openvino
    from tfseg.exporting import integers
    from tfseg.exporting.job import ExportJob
    from tfseg.rewrites.optimize import FEWER_OPERATIONS

    model, _ = converters.convert(directory / f"{network}.pth", network=network)
    runs: dict[tuple[int, ...], Run] = {}

    def run(image: np.ndarray) -> np.ndarray:
        size = image.shape[1:3]
        if size not in runs:
            pixels = np.random.default_rng(0).integers(0, 256, (4, *size, 3), "uint8")
            job = ExportJob(model, calibration=list(pixels), size=size)
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / "network"
                # Without the comparison, which random weights may not pass.
                integers.openvino_int8(job.rewritten(FEWER_OPERATIONS), path)
                runs[size] = openvino.opened(path, THREADS)("bfloat16")  # what is left of float32
        return runs[size](image)

    return run


def _onnxruntime(directory: pathlib.Path, network: str) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(directory / f"{network}.onnx", options, ["CPUExecutionProvider"])
    return lambda image: session.run(None, {"image": channels_first(image)})[0].transpose(0, 2, 3, 1)


def _openvino(directory: pathlib.Path, network: str, *, hint: str = "f32") -> Run:
    import openvino

    options = {"INFERENCE_NUM_THREADS": THREADS, "INFERENCE_PRECISION_HINT": hint}
    model = openvino.Core().compile_model(str(directory / f"{network}.onnx"), "CPU", options)
    return lambda image: model(channels_first(image))[0].transpose(0, 2, 3, 1)


def _opencv(directory: pathlib.Path, network: str) -> Run:
    import cv2

    cv2.setNumThreads(THREADS)
    nets = {}

    def run(image: np.ndarray) -> np.ndarray:
        if image.shape not in nets:  # it needs a network of a fixed size
            file = directory / f"{network}_{image.shape[1]}x{image.shape[2]}.onnx"
            nets[image.shape] = cv2.dnn.readNetFromONNX(str(file))
        nets[image.shape].setInput(channels_first(image))
        return nets[image.shape].forward().transpose(0, 2, 3, 1)

    return run


def _matrix_product(_directory: pathlib.Path, _network: str) -> Run:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    matrix = tf.random.normal((MATRIX_SIZE, MATRIX_SIZE))
    return lambda _: tf.matmul(matrix, matrix).numpy()[None, :1, :1]


MATRIX_SIZE = 4096
ENGINES = {  # name: (function, options, module that must be installed)
    "torch": (_torch, {}, "torch"),
    "torch channels_last": (_torch, {"layout": "channels_last"}, "torch"),
    "torch.compile": (_torch, {"compiled": True}, "torch"),
    "tfseg, plain": (_tfseg, {"optimized": False}, "tensorflow"),
    "tfseg, optimized": (_tfseg, {}, "tensorflow"),
    "tfseg, fixed_size": (_tfseg, {"fixed": True}, "tensorflow"),
    "tfseg, bfloat16": (_tfseg, {"dtype": "mixed_bfloat16"}, "tensorflow"),
    "ONNX Runtime": (_onnxruntime, {}, "onnxruntime"),
    "OpenVINO": (_openvino, {}, "openvino"),
    "OpenVINO, bfloat16": (_openvino, {"hint": "bf16"}, "openvino"),
    "tfseg by ONNX Runtime": (_tfseg_engine, {"engine": "onnxruntime"}, "onnxruntime"),
    "tfseg by OpenVINO": (_tfseg_engine, {"engine": "openvino"}, "openvino"),
    "the same, fixed size": (_tfseg_engine, {"engine": "openvino", "fixed": True}, "openvino"),
    "the same, bfloat16": (_tfseg_engine, {"engine": "openvino", "dtype": "bfloat16"}, "openvino"),
    "the same, int8": (_tfseg_int8, {}, "openvino"),
    "OpenCV": (_opencv, {}, "cv2"),
    "matrix product": (_matrix_product, {}, "tensorflow"),
}


# ------------------------------------------------------------------------------------------- a process for each engine


def serve(name: str, network: str, directory: str) -> None:
    """Answers every line `[[height, width], ...], file` of stdin with the seconds that these images take."""
    function, options, _ = ENGINES[name]
    run = function(pathlib.Path(directory), network, **options)
    print("answer", json.dumps("ready"), flush=True)
    for line in sys.stdin:
        sizes, file = json.loads(line)
        images, results = [make_image(*size) for size in sizes], []
        begin = time.perf_counter()
        for image in images:
            results = run(image)
        seconds = time.perf_counter() - begin
        if file:
            np.save(file, results)
        memory = int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1e6
        print("answer", json.dumps([seconds, memory]), flush=True)


class EngineProcess:
    """A process that runs an engine and waits for work."""

    def __init__(self, name: str, network: str, directory: pathlib.Path) -> None:
        begin = time.perf_counter()
        self.log = (directory / f"{name}.log").open("w+")
        command = [sys.executable, __file__, "serve", name, network, str(directory)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        self._answer()
        self.start = time.perf_counter() - begin
        self.first = 0.0
        self.memory = 0.0
        self.times: list[float] = []
        self.result: np.ndarray | None = None

    def run(self, sizes: Sequence[Sequence[int]], file: pathlib.Path | str = "") -> float:
        """The seconds of images of these sizes; the last result is saved to `file`."""
        print(json.dumps([sizes, str(file)]), file=self.process.stdin, flush=True)
        seconds, self.memory = self._answer()
        return seconds

    def _answer(self) -> Any:
        for line in self.process.stdout:
            if line.startswith("answer "):
                return json.loads(line.removeprefix("answer "))
        self.log.seek(0)
        raise RuntimeError((self.log.read().strip().splitlines() or ["it ended without a message"])[-1])

    def end(self) -> None:
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait()


def prepare(network: str, directory: str) -> None:
    """Writes the weights for tfseg and PyTorch, and the ONNX files for the others, of one random network."""
    import torch

    module = torch_module(network)
    if network != "fcn32s":  # no BatchNorm, and its upsampling is not random
        from helpers.references import randomized_state

        for name, value in randomized_state(module).state_dict().items():
            if re.search(r"layer\d.*bn[23]\.weight", name):
                value.mul_(0.5)  # as in trained networks, a block changes its map by little: rounding does not grow
    torch.save(module.state_dict(), pathlib.Path(directory) / f"{network}.pth")

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch_logits(self.module(image))

    def export(name: str, size: tuple[int, int], **options: Any) -> None:
        torch.onnx.export(
            Logits(),
            (torch.zeros(1, 3, *size),),
            pathlib.Path(directory) / f"{name}.onnx",
            input_names=["image"],
            dynamo=False,
            **options,
        )

    export(network, (160, 192), dynamic_axes={"image": {2: "height", 3: "width"}})
    for _, case_network, sizes, left_out, _ in CASES:
        if case_network == network and "OpenCV" not in left_out:
            export("{}_{}x{}".format(network, *sizes[0]), sizes[0])


# -------------------------------------------------------------------------------------------------------- measurements


def measure(
    title: str,
    network: str,
    sizes: Sequence[tuple[int, int]],
    left_out: Collection[str],
    multiplications: float | None,
    rounds: int,
    directory: pathlib.Path,
    pattern: str,
) -> None:
    """Runs and prints all engines for one case; `multiplications` are billions."""
    print(f"\n{title}, {rounds} rounds", flush=True)
    engines: dict[str, EngineProcess] = {}
    for name, (_, _, module) in ENGINES.items():
        wanted = name in ("torch", "matrix product") or re.search(pattern, name)
        if name in left_out or not wanted or importlib.util.find_spec(module) is None:
            print(f"  {name}: {'not in this row' if name in left_out or not wanted else f'needs {module}'}")
            continue
        try:
            engine = EngineProcess(name, network, directory)
            engine.first = engine.run([[300, 340]] if len(sizes) > 1 else sizes, directory / f"{name}.npy")
            if len(sizes) == 1:
                engine.result = np.load(directory / f"{name}.npy")
        except RuntimeError as error:
            print(f"  {name} fails: {str(error)[:200]}", flush=True)
            continue
        engines[name] = engine
    for _ in range(rounds):
        for engine in engines.values():
            engine.times.append(engine.run(sizes))
    product = engines.pop("matrix product")
    speed = MATRIX_SIZE**3 / (statistics.median(product.times) / len(sizes))
    heads = ("seconds", "/ torch", "start", "first", "GB", "peak", "difference", "classes")
    print(f"  matrix product: {speed / 1e9:.0f} billion multiplications per second", end="; ")
    print(f"the network: {multiplications or '-'} billion")
    print(" " * 24 + "".join(head.rjust(11) for head in heads))
    for name, engine in engines.items():
        seconds = statistics.median(engine.times)
        ratio = statistics.median(
            time / other for time, other in zip(engine.times, engines["torch"].times, strict=True)
        )
        cells = [f"{seconds:.2f}", f"{ratio:.2f}", f"{engine.start:.1f}", f"{engine.first:.1f}", f"{engine.memory:.1f}"]
        cells.append(f"{multiplications * 1e9 / speed / seconds:.0%}" if multiplications else "-")
        if len(sizes) == 1:
            logits, reference = engine.result.astype("float32"), engines["torch"].result
            cells.append(f"{np.abs(logits - reference).max() / np.abs(reference).max():.1e}")
            cells.append(f"{np.mean(logits.argmax(-1) == reference.argmax(-1)):.3%}")
        print(f"  {name:22}" + "".join(cell.rjust(11) for cell in cells), flush=True)
    for engine in [*engines.values(), product]:
        engine.end()


def main(rounds: int, pattern: str = "", case: str = "") -> None:
    """Measures and prints the cases and the engines whose names match the patterns."""
    from tfseg.engines import machine

    print(f"{machine.processor()}, {machine.cores()} cores, {THREADS} threads: {machine.instructions()}")
    with tempfile.TemporaryDirectory() as root:
        cases = [row for row in CASES if re.search(case, row[0])]
        for network in dict.fromkeys(network for _, network, *_ in cases):
            subprocess.run([sys.executable, __file__, "prepare", network, root], check=True, capture_output=True)
        for title, network, sizes, left_out, multiplications in cases:
            # Each size of a case is a round.
            turns = max(1, rounds // len(sizes))
            measure(title, network, sizes, left_out, multiplications, turns, pathlib.Path(root), pattern)


if __name__ == "__main__":
    command, *arguments = sys.argv[1:] or ["5"]
    if command == "serve":
        serve(*arguments)
    elif command == "prepare":
        prepare(*arguments)
    else:
        main(int(command), *arguments)
