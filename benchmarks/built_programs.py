"""A U-Net that is built from its PyTorch program, beside the same network written by hand in Keras and PyTorch's own.

float32, batch 1, 2 threads, one process. Each round runs every network once, so that noise affects all equally.
Printed are medians of the times and of their ratios to the network that is written by hand. The second table is the
time of conversions, beyond the imports: from the live module to a model that was compared with it.

    python benchmarks/built_programs.py [rounds]

It needs torch, torchvision, timm and segmentation_models_pytorch.
"""

import copy
import pathlib
import re
import statistics
import sys
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
import torch
from keras import layers

sys.path[:0] = [str(pathlib.Path(__file__).parents[1] / "tests"), str(pathlib.Path(__file__).parents[1])]

THREADS, CLASSES, SIZE = 2, 21, 512


def unet_by_hand() -> keras.Model:
    """smp's U-Net on ResNet-34 as a Keras programmer writes it; layers have the names of the modules."""

    def convolution(x, name, norm, filters, kernel, stride=1, relu=True):
        if kernel > 1:
            x = layers.ZeroPadding2D(kernel // 2)(x)
        x = layers.Conv2D(filters, kernel, strides=stride, use_bias=False, name=name)(x)
        x = layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name=norm)(x)
        return layers.ReLU()(x) if relu else x

    image = keras.Input((None, None, 3))
    x = convolution(image, "encoder_conv1", "encoder_bn1", 64, 7, 2)
    skips = [x]
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))  # after a ReLU, zeros are as small as any
    for stage, (blocks, filters) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), 1):
        for block in range(blocks):
            base = f"encoder_layer{stage}_{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            y = convolution(x, f"{base}_conv1", f"{base}_bn1", filters, 3, stride)
            y = convolution(y, f"{base}_conv2", f"{base}_bn2", filters, 3, relu=False)
            if stride > 1:
                x = convolution(x, f"{base}_downsample_0", f"{base}_downsample_1", filters, 1, stride, relu=False)
            x = layers.ReLU()(layers.Add()([x, y]))
        skips.append(x)
    skips.pop()
    for block, filters in enumerate((256, 128, 64, 32, 16)):
        base = f"decoder_blocks_{block}"
        x = layers.UpSampling2D(2)(x)
        if skips:
            x = layers.Concatenate()([x, skips.pop()])
        for number in (1, 2):
            x = convolution(x, f"{base}_conv{number}_0", f"{base}_conv{number}_1", filters, 3)
    x = layers.Conv2D(CLASSES, 3, name="segmentation_head_0")(layers.ZeroPadding2D(1)(x))
    return keras.Model(image, x)


def smp_unet() -> "torch.nn.Module":
    """U-Net on ResNet-34 of segmentation_models_pytorch, with random weights."""
    from helpers.torchvision_cpu import import_torchvision

    import_torchvision()
    import segmentation_models_pytorch as smp

    return smp.Unet("resnet34", encoder_weights=None, classes=CLASSES)


def lively(module: "torch.nn.Module") -> "torch.nn.Module":
    """The module with statistics of BatchNorm that are far from the default."""
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(part.running_var, 0.5, 1.5)
    return module.eval()


def compare_speed(rounds: int) -> None:
    """Prints milliseconds of each network and its ratio to the one that is written by hand."""
    from converters.building.build import build_from_module  # `convert` knows this network by its names

    module = lively(smp_unet())
    built, _ = build_from_module(module)
    by_hand = unet_by_hand()
    for layer in by_hand.layers:
        if layer.weights:
            layer.set_weights(built.get_layer(layer.name).get_weights())
    image = np.random.default_rng(0).normal(size=(1, SIZE, SIZE, 3)).astype("float32")
    batch = torch.from_numpy(np.ascontiguousarray(image.transpose(0, 3, 1, 2)))
    last = torch.channels_last
    module_last = copy.deepcopy(module).to(memory_format=last)

    def in_keras(model: keras.Model) -> Callable[[], np.ndarray]:
        function = tf.function(lambda x: model(x, training=False))
        return lambda: function(image).numpy()

    def in_torch(network: "torch.nn.Module", value: "torch.Tensor") -> Callable[[], np.ndarray]:
        return lambda: network(value).numpy().transpose(0, 2, 3, 1)

    runs = {
        "written by hand": in_keras(by_hand),
        "built from the program": in_keras(built),
        "torch": in_torch(module, batch),
        "torch, channels_last": in_torch(module_last, batch.contiguous(memory_format=last)),
    }
    with torch.inference_mode():
        reference = runs["torch"]()
        for name, run in runs.items():
            difference = np.abs(run() - reference).max() / np.abs(reference).max()
            print(f"{name}: differs from torch by {difference:.1e} of the largest value")
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(rounds):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - start)
    for name, seconds in times.items():
        ratios = [second / base for second, base in zip(seconds, times["written by hand"], strict=True)]
        print(f"{name:26} {1e3 * statistics.median(seconds):7.0f} ms   ratio {statistics.median(ratios):.2f}")


def time_conversions() -> None:
    """Prints the seconds that a conversion takes beyond the imports."""
    import timm
    from helpers.torchvision_cpu import import_torchvision

    import converters

    models = import_torchvision().models
    makers = {
        "torchvision resnet50": lambda: models.resnet50(weights=None),
        "timm densenet121": lambda: timm.create_model("densenet121"),
        "torchvision mobilenet_v3_large": lambda: models.mobilenet_v3_large(weights=None),
        "smp Unet resnet34": smp_unet,
    }
    for name, make in makers.items():
        module = lively(make())
        start = time.perf_counter()
        _, receipt = converters.convert(module)
        print(f"{name:30} {time.perf_counter() - start:5.1f} s   ({receipt.family})")


def main() -> None:
    """Runs both tables."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    torch.set_num_threads(THREADS)
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    name = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    print(f"{name[1] if name else 'unknown processor'}; U-Net on ResNet-34, {SIZE}x{SIZE}, {rounds} rounds")
    compare_speed(rounds)
    time_conversions()


if __name__ == "__main__":
    main()
