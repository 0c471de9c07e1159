"""A training step of ResNet-50 at output stride 8 with an FCN head, 256x256, batch 2: ours beside PyTorch.

All in one process, a step each in turn, so that a noisy machine hits all alike; medians of the rounds and of their
ratios. PyTorch runs torchvision's network in channels_last, its faster layout here; ours by `tfseg.training`'s step,
with and without bfloat16, and by Keras's `fit`, whose steps are timed one by one, in its layers as they are.

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
    from tfseg.training import loop, preparation

    model = tfseg.FCN(tfseg.ResNet(50, output_stride=8), CLASSES)
    model = model if dtype == "float32" else preparation.with_dtype(model, dtype)
    recipe = training.Recipe(learning_rate=0.001, power=0.0, batch_size=BATCH)
    training.compile_model(model, recipe)
    run = loop._step(model, recipe, None, 0, False)

    def step(images, masks):
        return float(run((images, masks), np.int64(0)))

    return step


def by_keras(images, masks, rounds, between):
    """`fit`, which calls `between` behind each step: the seconds of its steps but the first, which compiles."""
    import keras
    import tensorflow as tf

    import tfseg
    from tfseg import training

    class Clock(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.begin = time.perf_counter()

        def on_train_batch_end(self, batch, logs=None):
            if batch:
                seconds.append(time.perf_counter() - self.begin)
            between()

    seconds = []
    model = tfseg.FCN(tfseg.ResNet(50, output_stride=8), CLASSES)
    training.compile_model(model, training.Recipe(learning_rate=0.001, power=0.0, batch_size=BATCH))
    batches = tf.data.Dataset.from_tensors((images, masks)).repeat(1 + rounds)
    model.fit(batches, verbose=0, shuffle=False, callbacks=[Clock()])
    return seconds


def main(rounds):
    random = np.random.default_rng(0)
    images = random.normal(size=(BATCH, SIZE, SIZE, 3)).astype("float32")
    masks = random.integers(0, CLASSES, (BATCH, SIZE, SIZE)).astype("int32")
    steps = {"torch": theirs(), "float32": ours("float32"), "bfloat16": ours("mixed_bfloat16")}
    measured = {name: [] for name in steps}

    def one_each():
        for name, step in steps.items():
            begin = time.perf_counter()
            step(images, masks)
            measured[name].append(time.perf_counter() - begin)

    fit = by_keras(images, masks, rounds, one_each)
    measured = {name: times[1:] for name, times in measured.items()} | {"fit": fit}  # the first touches all memory
    print(f"{rounds} rounds, {torch.get_num_threads()} threads\n{'':10}{'seconds':>9}{'min .. max':>16}{'/ torch':>9}")
    for name, times in measured.items():
        ratio = statistics.median(one / two for one, two in zip(times, measured["torch"], strict=True))
        span = f"{min(times):.2f} .. {max(times):.2f}"
        print(f"{name:10}{statistics.median(times):9.2f}{span:>16}{ratio:9.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
