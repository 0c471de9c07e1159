"""TensorFlow 1's networks in its own functions, narrow and random, and the checkpoints that its Saver writes."""

import numpy as np
import tensorflow as tf

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def write(path, arrays, *, version=2, sharded=False, pieces=None):
    """Saves arrays by name as variables; returns what TensorFlow calls the checkpoint.

    version: 1 is a single table, 2 an index and data. pieces: {name: how many parts it is saved in}.
    """
    v1 = tf.compat.v1
    processors = 2 if sharded else 1  # a shard each
    with tf.Graph().as_default(), v1.Session(config=v1.ConfigProto(device_count={"CPU": processors})) as session:
        for index, (name, value) in enumerate(arrays.items()):
            parts = (pieces or {}).get(name)
            scope = v1.variable_scope("", partitioner=parts and v1.fixed_size_partitioner(parts))
            with tf.device(f"/cpu:{index % processors}"), scope:
                tensor = tf.convert_to_tensor(value)
                v1.get_variable(name, tensor.shape, tensor.dtype, _initializer(tensor), use_resource=False)
        session.run(v1.global_variables_initializer())
        saver = v1.train.Saver(write_version=version, sharded=sharded)
        return saver.save(session, str(path), write_meta_graph=False)


def save(path, arrays, *, version=2):
    """Saves the same files by the operations that the Saver uses: quicker for many arrays."""
    names, values = list(arrays), [tf.convert_to_tensor(value) for value in arrays.values()]
    if version == 1:
        tf.raw_ops.Save(filename=str(path), tensor_names=names, data=values)
    else:
        tf.raw_ops.SaveV2(prefix=str(path), tensor_names=names, shape_and_slices=[""] * len(names), tensors=values)
    return path


def _initializer(tensor):
    def part(shape, partition_info=None, **_):
        return tf.slice(tensor, partition_info.var_offset, shape) if partition_info else tensor

    return part


class Tf1Net:
    """Layers as functions; each draws its variables when it is first called, under the names of its family."""

    def __init__(self, epsilon, seed=0):
        self.random = np.random.default_rng(seed)
        self.epsilon = epsilon
        self.variables = {}

    def variable(self, name, *shape, low=None, scale=1.0):
        if name not in self.variables:
            value = self.random.normal(0, scale, shape) if low is None else self.random.uniform(low, low + scale, shape)
            self.variables[name] = value.astype("float32")
        return self.variables[name]

    def conv(self, x, filters, kernel_size, name, *, stride=1, rate=1, padding="SAME", bias=False):
        channels = x.shape[-1]
        scale = (channels * kernel_size**2) ** -0.5
        kernel = self.variable(f"{name}/weights", kernel_size, kernel_size, channels, filters, scale=scale)
        x = tf.nn.conv2d(x, kernel, stride, padding, dilations=rate)
        return x + self.variable(f"{name}/biases", filters, scale=0.1) if bias else x

    def norm(self, x, name, activation=True):
        count = x.shape[-1]
        scale, shift = self.variable(f"{name}/gamma", count, low=0.5), self.variable(f"{name}/beta", count, scale=0.2)
        mean = self.variable(f"{name}/moving_mean", count, scale=0.3)
        variance = self.variable(f"{name}/moving_variance", count, low=0.5, scale=1.5)
        x = tf.nn.batch_normalization(x, mean, variance, shift, scale, self.epsilon)
        return tf.nn.relu(x) if activation else x


class Slim(Tf1Net):
    """tf-slim's resnet_v1: the last unit of a stage strides, in its 3x3, padded equally on both sides."""

    def __init__(self, depth, width=1 / 8, classes=7):
        super().__init__(1e-5)
        self.scope, self.blocks, self.width, self.classes = f"resnet_v1_{depth}", BLOCKS[depth], width, classes
        self.residuals = {}  # unit -> its result before the sum, which DeepLab's decoder reads

    def layer(self, x, filters, kernel_size, name, *, stride=1, rate=1, activation=True):
        name, padding = f"{self.scope}/{name}", "SAME"
        if stride > 1:
            before = (kernel_size - 1) // 2
            pad = (before, kernel_size - 1 - before)
            x, padding = tf.pad(x, ((0, 0), pad, pad, (0, 0))), "VALID"
        x = self.conv(x, filters, kernel_size, name, stride=stride, rate=rate, padding=padding)
        return self.norm(x, f"{name}/BatchNorm", activation)

    def unit(self, x, filters, name, stride, rate):
        unit, name = name, f"{name}/bottleneck_v1"
        if x.shape[-1] == 4 * filters:
            shortcut = x[:, ::stride, ::stride]
        else:
            shortcut = self.layer(x, 4 * filters, 1, f"{name}/shortcut", stride=stride, activation=False)
        x = self.layer(x, filters, 1, f"{name}/conv1")
        x = self.layer(x, filters, 3, f"{name}/conv2", stride=stride, rate=rate)
        self.residuals[unit] = self.layer(x, 4 * filters, 1, f"{name}/conv3", activation=False)
        return tf.nn.relu(shortcut + self.residuals[unit])

    def begin(self, image):
        return self.layer(image, int(64 * self.width), 7, "conv1", stride=2)

    def features(self, image, output_stride=32):
        x = tf.nn.max_pool2d(self.begin(image), 3, 2, "SAME")
        reached, rate = 4, 1
        for block, count in enumerate(self.blocks, 1):
            filters = int(64 * 2 ** (block - 1) * self.width)
            for unit in range(1, count + 1):
                nominal = 2 if block < 4 and unit == count else 1
                stride = nominal if reached < output_stride else 1
                x = self.unit(x, filters, f"block{block}/unit_{unit}", stride, rate)
                reached, rate = reached * stride, rate * nominal // stride
        return x

    def __call__(self, image):
        x = tf.reduce_mean(self.features(image), (1, 2), keepdims=True)
        return self.conv(x, self.classes, 1, f"{self.scope}/logits", bias=True)[:, 0, 0]


class SlimV2(Slim):
    """tf-slim's resnet_v2: norms before the convolutions, biases on those that no norm follows."""

    def __init__(self, depth, width=1 / 8, classes=7):
        super().__init__(depth, width, classes)
        self.scope = f"resnet_v2_{depth}"

    def begin(self, image):
        x = tf.pad(image, ((0, 0), (3, 3), (3, 3), (0, 0)))
        filters = int(64 * self.width)
        return self.conv(x, filters, 7, f"{self.scope}/conv1", stride=2, padding="VALID", bias=True)

    def unit(self, x, filters, name, stride, rate):
        name = f"{name}/bottleneck_v2"
        inside = self.norm(x, f"{self.scope}/{name}/preact")
        if x.shape[-1] == 4 * filters:
            shortcut = x[:, ::stride, ::stride]
        else:
            shortcut = self.conv(inside, 4 * filters, 1, f"{self.scope}/{name}/shortcut", stride=stride, bias=True)
        inside = self.layer(inside, filters, 1, f"{name}/conv1")
        inside = self.layer(inside, filters, 3, f"{name}/conv2", stride=stride, rate=rate)
        return shortcut + self.conv(inside, 4 * filters, 1, f"{self.scope}/{name}/conv3", bias=True)

    def features(self, image, output_stride=32):
        return self.norm(super().features(image, output_stride), f"{self.scope}/postnorm")


class DrSleep(Tf1Net):
    """DeepLabV2 as kaffe converted it: SAME everywhere, the stride in the first 1x1 and the projection."""

    def __init__(self, width=1 / 8, classes=21):
        super().__init__(1e-3)
        self.width, self.classes = width, classes

    def layer(self, x, filters, kernel_size, conv, norm, *, stride=1, rate=1, activation=True):
        x = self.conv(x, int(filters * self.width), kernel_size, conv, stride=stride, rate=rate)
        return self.norm(x, norm, activation)

    def block(self, x, filters, name, stride, rate):
        shortcut = x
        if x.shape[-1] != int(4 * filters * self.width):
            shortcut = self.branch(x, 4 * filters, 1, name, "1", stride=stride, activation=False)
        x = self.branch(x, filters, 1, name, "2a", stride=stride)
        x = self.branch(x, filters, 3, name, "2b", rate=rate)
        return tf.nn.relu(shortcut + self.branch(x, 4 * filters, 1, name, "2c", activation=False))

    def branch(self, x, filters, kernel_size, name, branch, **options):
        return self.layer(x, filters, kernel_size, f"res{name}_branch{branch}", f"bn{name}_branch{branch}", **options)

    def __call__(self, image):
        """The map, and the same at the size of the image."""
        x = self.layer(image, 64, 7, "conv1", "bn_conv1", stride=2)
        x = tf.nn.max_pool2d(x, 3, 2, "SAME")
        for stage, (count, stride, rate) in enumerate(zip(BLOCKS[101], (1, 2, 1, 1), (1, 1, 2, 4), strict=True), 2):
            letters = "abc" if count == 3 else ["a", *(f"b{index}" for index in range(1, count))]
            for letter in letters:
                x = self.block(x, 32 * 2 ** (stage - 1), f"{stage}{letter}", stride if letter == "a" else 1, rate)
        names = [(f"fc1_voc12_c{index}", rate) for index, rate in enumerate((6, 12, 18, 24))]
        x = tf.add_n([self.conv(x, self.classes, 3, name, rate=rate, bias=True) for name, rate in names])
        return x, tf.compat.v1.image.resize_bilinear(x, image.shape[1:3])
