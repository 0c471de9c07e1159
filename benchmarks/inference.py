"""One photograph through FCN-32s and ResNet-50: ours plain and optimized, and what else runs such networks on a CPU.

float32, batch 1, 2 threads. Every engine is a process of its own with the same weights, which waits while the others
run; each round asks each of them once, so that a noisy machine hits all alike. Medians of the rounds, and of their
ratios to PyTorch as people run it. What is not installed is left out, with a line that says so.

    python benchmarks/inference.py [rounds]

The columns: start is from the beginning of the process until the network stands; first is its first call (which
compiles, and with `fixed_size` measures the layers before that); GB the largest resident memory of the process (Linux);
peak the share of the speed of a large matrix product if all of the network's multiplications were made (fewer of them
can be more than all of it); difference the largest from PyTorch's logits, relative to their largest; classes how many
pixels have the same class.
"""

import importlib.util
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

sys.path[:0] = [str(pathlib.Path(__file__).parents[1] / "tests"), str(pathlib.Path(__file__).parents[1])]

THREADS, CLASSES = 2, 21
SIZES = [(281 + 12 * (7 * index % 20), 500 - 9 * (3 * index % 20)) for index in range(20)]
# name, network, sizes that are run one after the other, engines that are left out, billions of multiplications
CASES = [
    ("FCN-32s, 375x500", "fcn32s", [(375, 500)], (), 146.6),
    ("ResNet-50 at output stride 8 with an FCN head, 513x513", "fcn_resnet50", [(513, 513)], (), 142.6),
    ("the same, 512x1024", "fcn_resnet50", [(512, 1024)], ("torch.compile", "torch channels_last"), None),
    (
        "20 sizes through FCN-32s, after one other",
        "fcn32s",
        SIZES,
        ("torch.compile", "torch channels_last", "OpenCV", "ours, fixed_size"),
        None,
    ),
]


def image(height, width):
    """Patches of 20 pixels under noise, about as large as the networks expect."""
    random = np.random.default_rng(height * width)
    patches = random.normal(size=(height // 20 + 1, width // 20 + 1, 3)).repeat(20, axis=0).repeat(20, axis=1)
    return (patches[:height, :width] + random.normal(size=(height, width, 3)) / 2)[None].astype("float32")


def channels_first(pixels):
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


# ------------------------------------------------------------------------------- engines: a function of an NHWC image


def theirs(network):
    import torch

    torch.manual_seed(0)
    if network == "fcn32s":
        from references import torchfcn_models, torchfcn_net

        module = torchfcn_net("FCN32s").eval()  # its weights random, but for the upsampling, as every published one
        bilinear = torchfcn_models().fcn32s.get_upsampling_weight(CLASSES, CLASSES, 64)
        module.upscore.weight.data.copy_(bilinear)
        return module
    from torchvision_cpu import import_torchvision

    segmentation = import_torchvision().models.segmentation
    return segmentation.fcn_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES).eval()


def _torch(directory, network, *, layout="contiguous_format", compiled=False):
    import torch

    torch.set_num_threads(THREADS)
    layout = getattr(torch, layout)
    module = theirs(network)
    module.load_state_dict(torch.load(directory / f"{network}.pth", mmap=True))
    module = module.to(memory_format=layout)
    function = torch.compile(module) if compiled else module

    @torch.inference_mode()
    def run(pixels):
        result = function(torch.from_numpy(channels_first(pixels)).contiguous(memory_format=layout))
        return (result if network == "fcn32s" else result["out"]).numpy().transpose(0, 2, 3, 1)

    return run


def _ours(directory, network, *, optimized=True, fixed=False, dtype="float32"):
    import torch  # noqa: F401, I001  (behind tensorflow its import can crash)
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
    made = {}

    def run(pixels):
        size = pixels.shape[1:3]
        if size not in made:
            made[size] = tfseg.optimize(model, fixed_size=size)
        return logits_function(made[size])(pixels)

    return run


def _onnxruntime(directory, network):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(directory / f"{network}.onnx", options, ["CPUExecutionProvider"])
    return lambda pixels: session.run(None, {"image": channels_first(pixels)})[0].transpose(0, 2, 3, 1)


def _openvino(directory, network):
    import openvino

    options = {"INFERENCE_NUM_THREADS": THREADS, "INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(str(directory / f"{network}.onnx"), "CPU", options)
    return lambda pixels: model(channels_first(pixels))[0].transpose(0, 2, 3, 1)


def _opencv(directory, network):
    import cv2

    cv2.setNumThreads(THREADS)
    nets = {}

    def run(pixels):
        if pixels.shape not in nets:  # it takes no network of any size
            file = directory / f"{network}_{pixels.shape[1]}x{pixels.shape[2]}.onnx"
            nets[pixels.shape] = cv2.dnn.readNetFromONNX(str(file))
        nets[pixels.shape].setInput(channels_first(pixels))
        return nets[pixels.shape].forward().transpose(0, 2, 3, 1)

    return run


def _gemm(_directory, _network):
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    matrix = tf.random.normal((GEMM, GEMM))
    return lambda _: tf.matmul(matrix, matrix).numpy()[None, :1, :1]


GEMM = 4096
ENGINES = {  # name: (function, options, module that must be installed)
    "torch": (_torch, {}, "torch"),
    "torch channels_last": (_torch, {"layout": "channels_last"}, "torch"),
    "torch.compile": (_torch, {"compiled": True}, "torch"),
    "ours, plain": (_ours, {"optimized": False}, "tensorflow"),
    "ours, optimized": (_ours, {}, "tensorflow"),
    "ours, fixed_size": (_ours, {"fixed": True}, "tensorflow"),
    "ours, bfloat16": (_ours, {"dtype": "mixed_bfloat16"}, "tensorflow"),
    "ONNX Runtime": (_onnxruntime, {}, "onnxruntime"),
    "OpenVINO": (_openvino, {}, "openvino"),
    "OpenCV": (_opencv, {}, "cv2"),
    "matrix product": (_gemm, {}, "tensorflow"),
}


# ------------------------------------------------------------------------------------------- a process for each engine


def serve(name, network, directory):
    """Answers every line `[[height, width], ...], file` on its input with the seconds that these images took."""
    function, options, _ = ENGINES[name]
    run = function(pathlib.Path(directory), network, **options)
    print("answer", json.dumps("ready"), flush=True)
    for line in sys.stdin:
        sizes, file = json.loads(line)
        images, results = [image(*size) for size in sizes], []
        begin = time.perf_counter()
        for pixels in images:
            results = run(pixels)
        seconds = time.perf_counter() - begin
        if file:
            np.save(file, results)
        memory = int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1e6
        print("answer", json.dumps([seconds, memory]), flush=True)


class Engine:
    def __init__(self, name, network, directory):
        begin = time.perf_counter()
        self.log = (directory / f"{name}.log").open("w+")
        command = [sys.executable, __file__, "serve", name, network, str(directory)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        self._answer()
        self.start = time.perf_counter() - begin
        self.times, self.memory = [], 0.0

    def run(self, sizes, file=""):
        print(json.dumps([sizes, str(file)]), file=self.process.stdin, flush=True)
        seconds, self.memory = self._answer()
        return seconds

    def _answer(self):
        for line in self.process.stdout:
            if line.startswith("answer "):
                return json.loads(line.removeprefix("answer "))
        self.log.seek(0)
        raise RuntimeError((self.log.read().strip().splitlines() or ["it ended without a word"])[-1])

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def prepare(network, directory):
    """The weights for ours and for torch, and the ONNX files for the others, all of one random network."""
    import torch

    module = theirs(network)
    torch.save(module.state_dict(), pathlib.Path(directory) / f"{network}.pth")

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.module = module

        def forward(self, image):
            result = self.module(image)
            return result if network == "fcn32s" else result["out"]

    def export(name, size, **options):
        torch.onnx.export(
            Logits(),
            (torch.zeros(1, 3, *size),),
            pathlib.Path(directory) / f"{name}.onnx",
            input_names=["image"],
            dynamo=False,
            **options,
        )

    export(network, (160, 192), dynamic_axes={"image": {2: "height", 3: "width"}})
    for _, one, sizes, left_out, _ in CASES:
        if one == network and "OpenCV" not in left_out:
            export("{}_{}x{}".format(network, *sizes[0]), sizes[0])


# -------------------------------------------------------------------------------------------------------- measurements


def measure(title, network, sizes, left_out, needed, rounds, directory):
    print(f"\n{title}, {rounds} rounds", flush=True)
    engines = {}
    for name, (_, _, module) in ENGINES.items():
        if name in left_out or importlib.util.find_spec(module) is None:
            print(f"  {name}: {'not in this row' if name in left_out else f'needs {module}'}")
            continue
        try:
            engine = Engine(name, network, directory)
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
    speed = GEMM**3 / (statistics.median(product.times) / len(sizes))
    heads = ("seconds", "/ torch", "start", "first", "GB", "peak", "difference", "classes")
    print(f"  matrix product: {speed / 1e9:.0f} billion multiplications a second; the network: {needed or '-'} billion")
    print(" " * 22 + "".join(head.rjust(11) for head in heads))
    for name, engine in engines.items():
        seconds = statistics.median(engine.times)
        ratio = statistics.median(one / two for one, two in zip(engine.times, engines["torch"].times, strict=True))
        cells = [f"{seconds:.2f}", f"{ratio:.2f}", f"{engine.start:.1f}", f"{engine.first:.1f}", f"{engine.memory:.1f}"]
        cells.append(f"{needed * 1e9 / speed / seconds:.0%}" if needed else "-")
        if len(sizes) == 1:
            ours, reference = engine.result.astype("float32"), engines["torch"].result
            cells.append(f"{np.abs(ours - reference).max() / np.abs(reference).max():.1e}")
            cells.append(f"{np.mean(ours.argmax(-1) == reference.argmax(-1)):.3%}")
        print(f"  {name:20}" + "".join(cell.rjust(11) for cell in cells), flush=True)
    for engine in [*engines.values(), product]:
        engine.end()


def main(rounds):
    with tempfile.TemporaryDirectory() as root:
        for network in ("fcn32s", "fcn_resnet50"):
            subprocess.run([sys.executable, __file__, "prepare", network, root], check=True, capture_output=True)
        for title, network, sizes, left_out, needed in CASES:
            # The sizes in a row are rounds of their own.
            measure(title, network, sizes, left_out, needed, max(1, rounds // len(sizes)), pathlib.Path(root))


if __name__ == "__main__":
    command, *arguments = sys.argv[1:] or ["5"]
    if command == "serve":
        serve(*arguments)
    elif command == "prepare":
        prepare(*arguments)
    else:
        main(int(command))
