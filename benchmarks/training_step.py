"""A training step of ResNet-50 at output stride 8 with an FCN head, 256x256, batch 2: tfseg beside PyTorch.

All run in one process and take turns, a step each, so that noise affects all equally. Printed are medians of the times
and of their ratios to PyTorch in the same precision. PyTorch runs torchvision's network in channels_last, its faster
layout here, and in bfloat16 by autocast. tfseg runs its own training step, and Keras's `fit` with unchanged layers,
whose steps are timed one by one.

    python benchmarks/training_step.py [rounds]
"""

import pathlib
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))

SIZE, BATCH, CLASSES = 256, 2, 21
Step = Callable[[np.ndarray, np.ndarray], float]  # from images and masks to the loss


def torch_step(*, autocast: bool = False) -> Step:
    """PyTorch's step, in float32 or in bfloat16 by autocast."""
    from helpers.torchvision_cpu import import_torchvision

    segmentation = import_torchvision().models.segmentation
    module = segmentation.fcn_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES)
    module = module.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.001, momentum=0.9, weight_decay=1e-4)
    function = torch.nn.CrossEntropyLoss(ignore_index=255)

    def step(images: np.ndarray, masks: np.ndarray) -> float:
        batch = torch.from_numpy(images.transpose(0, 3, 1, 2)).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = function(module(batch)["out"], torch.from_numpy(masks).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def tfseg_step(dtype: str) -> Step:
    """The step of tfseg.training."""
    import tfseg
    from tfseg import training
    from tfseg.training.precision import with_dtype
    from tfseg.training.step import make_step

    model = tfseg.FCN(tfseg.ResNet(50, output_stride=8), CLASSES)
    model = model if dtype == "float32" else with_dtype(model, dtype)
    recipe = training.Recipe(learning_rate=0.001, power=0.0, batch_size=BATCH)
    training.compile_model(model, recipe)
    run = make_step(model, recipe)

    def step(images: np.ndarray, masks: np.ndarray) -> float:
        return float(run((images, masks), np.int64(0)))

    return step


def fit_seconds(images: np.ndarray, masks: np.ndarray, rounds: int, between: Callable[[], None]) -> list[float]:
    """The seconds of each step of `fit` without the first, which compiles; `between` is called after each step."""
    import keras
    import tensorflow as tf

    import tfseg
    from tfseg import training

    class Clock(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
            self.begin = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
            if batch:
                seconds.append(time.perf_counter() - self.begin)
            between()

    seconds: list[float] = []
    model = tfseg.FCN(tfseg.ResNet(50, output_stride=8), CLASSES)
    training.compile_model(model, training.Recipe(learning_rate=0.001, power=0.0, batch_size=BATCH))
    batches = tf.data.Dataset.from_tensors((images, masks)).repeat(1 + rounds)
    model.fit(batches, verbose=0, shuffle=False, callbacks=[Clock()])
    return seconds


def main(rounds: int) -> None:
    """Measures and prints all steps."""
    random = np.random.default_rng(0)
    images = random.normal(size=(BATCH, SIZE, SIZE, 3)).astype("float32")
    masks = random.integers(0, CLASSES, (BATCH, SIZE, SIZE)).astype("int32")
    steps = {
        "torch": torch_step(),
        "float32": tfseg_step("float32"),
        "torch, autocast": torch_step(autocast=True),
        "bfloat16": tfseg_step("mixed_bfloat16"),
    }
    measured: dict[str, list[float]] = {name: [] for name in steps}

    def time_each_step() -> None:
        for name, step in steps.items():
            begin = time.perf_counter()
            step(images, masks)
            measured[name].append(time.perf_counter() - begin)

    fit = fit_seconds(images, masks, rounds, time_each_step)
    measured = {name: times[1:] for name, times in measured.items()} | {"fit": fit}  # the first step allocates memory
    print(f"{rounds} rounds, {torch.get_num_threads()} threads\n{'':16}{'seconds':>9}{'min .. max':>16}{'/ torch':>9}")
    for name, times in measured.items():
        peer = "torch, autocast" if name == "bfloat16" else "torch"
        ratio = statistics.median(time / other for time, other in zip(times, measured[peer], strict=True))
        span = f"{min(times):.2f} .. {max(times):.2f}"
        print(f"{name:16}{statistics.median(times):9.2f}{span:>16}{ratio:9.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
