"""A training step of ResNet-50 at output stride 8 with an FCN head, 256x256, batch 2: ours beside PyTorch.

Both in one process, a step each in turn, so that a noisy machine hits both alike; medians of the rounds and of their
ratios. PyTorch runs torchvision's network in channels_last, its faster layout here; ours by `tfseg.training`'s step,
with and without bfloat16, and by Keras's `fit`, four steps a round, which counts its metric and its own beginning, and
by its `train_on_batch`, which is one such step without that beginning.

    python benchmarks/training_step.py [rounds]
"""

import pathlib
import statistics
import sys
import time

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))

SIZE, BATCH, CLASSES = 256, 2, 21


def theirs():
    from torchvision_cpu import import_torchvision

    segmentation = import_torchvision().models.segmentation
    module = segmentation.fcn_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES)
    module = module.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.001, momentum=0.9, weight_decay=1e-4)
    function = torch.nn.CrossEntropyLoss(ignore_index=255)

    def step(images, masks):
        pixels = torch.from_numpy(images.transpose(0, 3, 1, 2)).contiguous(memory_format=torch.channels_last)
        loss = function(module(pixels)["out"], torch.from_numpy(masks).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def ours(dtype):
    import tfseg
    from tfseg import training
    from tfseg.training import loop, preparing

    model = tfseg.FCN(tfseg.ResNet(50, output_stride=8), CLASSES)
    model = model if dtype == "float32" else preparing.with_dtype(model, dtype)
    recipe = training.Recipe(learning_rate=0.001, power=0.0, batch_size=BATCH)
    training.compile_model(model, recipe)
    run = loop._step(model, recipe, None, 0, False)

    def step(images, masks):
        return float(run((images, masks), np.int64(0)))

    return step


def by_keras(steps=4):
    """`fit` and `train_on_batch` of one model, and how many steps the former makes."""
    import tensorflow as tf

    import tfseg
    from tfseg import training

    model = tfseg.FCN(tfseg.ResNet(50, output_stride=8), CLASSES)
    training.compile_model(model, training.Recipe(learning_rate=0.001, power=0.0, batch_size=BATCH))

    def fit(images, masks):
        batches = tf.data.Dataset.from_tensors((images, masks)).repeat(steps)
        model.fit(batches, verbose=0, shuffle=False)

    return fit, model.train_on_batch, steps


def main(rounds):
    random = np.random.default_rng(0)
    images = random.normal(size=(BATCH, SIZE, SIZE, 3)).astype("float32")
    masks = random.integers(0, CLASSES, (BATCH, SIZE, SIZE)).astype("int32")
    steps = {"torch": theirs(), "float32": ours("float32"), "bfloat16": ours("mixed_bfloat16")}
    steps["fit"], steps["train_on_batch"], count = by_keras()
    measured = {name: [] for name in steps}
    for step in steps.values():
        step(images, masks)  # compiles, and touches all memory
    for _ in range(rounds):
        for name, step in steps.items():
            begin = time.perf_counter()
            step(images, masks)
            measured[name].append((time.perf_counter() - begin) / (count if name == "fit" else 1))
    print(f"{rounds} rounds, {torch.get_num_threads()} threads\n{'':15}{'seconds':>9}{'min .. max':>16}{'/ torch':>9}")
    for name, times in measured.items():
        ratio = statistics.median(one / two for one, two in zip(times, measured["torch"], strict=True))
        span = f"{min(times):.2f} .. {max(times):.2f}"
        print(f"{name:15}{statistics.median(times):9.2f}{span:>16}{ratio:9.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
