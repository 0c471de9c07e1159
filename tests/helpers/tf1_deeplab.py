"""DeepLab's networks in TensorFlow's own functions, narrow and random, under the names of their checkpoints."""

import tensorflow as tf
from helpers.tf1_nets import Slim, Tf1Net

# Blocks of the entry flow, filters and stride; units of the middle flow.
XCEPTIONS = {
    41: (((128, 2), (256, 2), (728, 2)), 8),
    65: (((128, 2), (256, 2), (728, 2)), 16),
    71: (((128, 2), (256, 1), (256, 2), (728, 1), (728, 2)), 16),
}
# Expansion, filters, repetitions and stride of MobileNetV2.
MOBILENET = (
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)


RATES = {16: (6, 12, 18), 8: (12, 24, 36)}


class DeepLabNet(Tf1Net):
    """The layers that these networks share, and their heads."""

    def __init__(self, classes, output_stride):
        super().__init__(1e-3)
        self.classes, self.output_stride = classes, output_stride
        self.pools_by_size = False  # as a graph for images of one size does

    def layer(self, x, filters, kernel_size, name, *, stride=1, activation=True, explicit=True):
        padding = "SAME"
        if stride > 1 and kernel_size > 1 and explicit:
            x, padding = tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), "VALID"
        x = self.conv(x, filters, kernel_size, name, stride=stride, padding=padding)
        return self.norm(x, f"{name}/BatchNorm", activation)

    def depthwise(self, x, name, *, stride=1, rate=1, activation=True, explicit=True):
        channels, padding = x.shape[-1], "SAME"
        if stride > 1 and explicit:
            x, padding = tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), "VALID"
        kernel = self.variable(f"{name}/depthwise_weights", 3, 3, channels, 1, scale=1 / 3)
        x = tf.nn.depthwise_conv2d(x, kernel, (1, stride, stride, 1), padding, dilations=(rate, rate))
        return self.norm(x, f"{name}/BatchNorm", activation)

    def separable(self, x, filters, name, **options):
        x = self.depthwise(x, f"{name}_depthwise", **options)
        return self.layer(x, filters, 1, f"{name}_pointwise", activation=options.get("activation", True))

    def logits(self, x):
        return self.conv(x, self.classes, 1, "logits/semantic", bias=True)

    def averaged(self, x):
        if self.pools_by_size:
            return tf.nn.avg_pool2d(x, x.shape[1:3], x.shape[1:3], "VALID")
        return tf.reduce_mean(x, (1, 2), keepdims=True)

    def pyramid(self, x, rates):
        trunk, self.epsilon = self.epsilon, 1e-5
        mean = self.layer(self.averaged(x), 256, 1, "image_pooling")
        branches = [tf.compat.v1.image.resize_bilinear(mean, x.shape[1:3], align_corners=True)]
        branches.append(self.layer(x, 256, 1, "aspp0"))
        branches += [self.separable(x, 256, f"aspp{index}", rate=rate) for index, rate in enumerate(rates, 1)]
        x = self.layer(tf.concat(branches, 3), 256, 1, "concat_projection")
        self.epsilon = trunk
        return x

    def decoder(self, x, low):
        trunk, self.epsilon = self.epsilon, 1e-5
        low = self.layer(low, 48, 1, "decoder/feature_projection0")
        x = tf.concat([self.enlarged(x, low.shape[1:3]), low], 3)
        for index in range(2):
            x = self.separable(x, 256, f"decoder/decoder_conv{index}")
        self.epsilon = trunk
        return x

    def enlarged(self, x, size):
        return tf.compat.v1.image.resize_bilinear(x, size, align_corners=True)


class Xception(DeepLabNet):
    """Xception with DeepLabV3+, or as a classifier."""

    def __init__(self, depth, *, width=1 / 16, classes=7, output_stride=16, rates=()):
        super().__init__(classes, output_stride)
        self.depth, self.width, self.rates = depth, width, rates

    def channels(self, filters):
        return max(1, round(filters * self.width))

    def module(self, x, filters, name, shortcut, stride, rate):
        """The module's result, and its second convolution, which the decoder reads."""
        before, inside, name = x, None, f"xception_{self.depth}/{name}/xception_module"
        for index, count in enumerate(filters, 1):
            options = {"stride": stride if index == 3 else 1, "rate": rate, "activation": shortcut == "none"}
            x = x if shortcut == "none" else tf.nn.relu(x)
            x = self.separable(x, self.channels(count), f"{name}/separable_conv{index}", **options)
            inside = x if index == 2 else inside
        if shortcut == "conv":
            before = self.layer(before, x.shape[-1], 1, f"{name}/shortcut", stride=stride, activation=False)
        return (x if shortcut == "none" else x + before), inside

    def features(self, image, output_stride):
        """The last map, and that of stride 4 for the decoder."""
        entry, middle = XCEPTIONS[self.depth]
        prefix = f"xception_{self.depth}/entry_flow"
        x = self.layer(image, self.channels(32), 3, f"{prefix}/conv1_1", stride=2)
        x = self.layer(x, self.channels(64), 3, f"{prefix}/conv1_2")
        modules = [
            ((count,) * 3, f"entry_flow/block{index}/unit_1", "conv", stride)
            for index, (count, stride) in enumerate(entry, 1)
        ]
        modules += [((728,) * 3, f"middle_flow/block1/unit_{unit}", "sum", 1) for unit in range(1, middle + 1)]
        modules.append(((728, 1024, 1024), "exit_flow/block1/unit_1", "conv", 2))
        modules.append(((1536, 1536, 2048), "exit_flow/block2/unit_1", "none", 1))
        reached, rate, low = 2, 1, None
        for filters, name, shortcut, stride in modules:
            kept = stride if reached < output_stride else 1
            first = low is None and reached == 4 and stride == 2
            x, inside = self.module(x, filters, name, shortcut, kept, rate)
            low = inside if first else low
            reached, rate = reached * kept, rate * stride // kept
        return x, low

    def __call__(self, image):
        x, low = self.features(image, self.output_stride)
        x = self.logits(self.decoder(self.pyramid(x, self.rates or RATES[self.output_stride]), low))
        return x, self.enlarged(x, image.shape[1:3])

    def classify(self, image):
        x = tf.reduce_mean(self.features(image, 32)[0], (1, 2), keepdims=True)
        return self.conv(x, self.classes, 1, f"xception_{self.depth}/logits", bias=True)[:, 0, 0]


class MobileNet(DeepLabNet):
    """MobileNetV2 with DeepLabV3's head without rates, or as a classifier; TensorFlow's own padding."""

    def __init__(self, *, width=1.0, classes=7, output_stride=16, decodes=False):
        super().__init__(classes, output_stride)
        self.width, self.decodes = width, decodes

    def channels(self, filters):
        rounded = max(8, int(filters * self.width + 4) // 8 * 8)
        return rounded if rounded >= 0.9 * filters * self.width else rounded + 8

    def norm(self, x, name, activation=True):
        x = super().norm(x, name, activation)
        return tf.minimum(x, 6.0) if activation and name.startswith("Mobilenet") else x

    def features(self, image, output_stride):
        x = self.layer(image, self.channels(32), 3, "MobilenetV2/Conv", stride=2, explicit=False)
        number, reached, rate, self.low = 0, 2, 1, None
        for expansion, filters, repetitions, first in MOBILENET:
            for index in range(repetitions):
                stride = first if index == 0 else 1
                kept = stride if reached < output_stride else 1
                name, before = "MobilenetV2/expanded_conv" + (f"_{number}" if number else ""), x
                if expansion > 1:
                    x = self.layer(x, expansion * x.shape[-1], 1, f"{name}/expand")
                x = self.depthwise(x, f"{name}/depthwise", stride=kept, rate=rate, explicit=False)
                self.low = x if number == 2 else self.low
                x = self.layer(x, self.channels(filters), 1, f"{name}/project", activation=False)
                x = x + before if stride == 1 and x.shape[-1] == before.shape[-1] else x
                number, reached, rate = number + 1, reached * kept, rate * stride // kept
        return x

    def __call__(self, image):
        x = self.pyramid(self.features(image, self.output_stride), ())
        x = self.logits(self.decoder(x, self.low) if self.decodes else x)
        return x, self.enlarged(x, image.shape[1:3])

    def classify(self, image):
        x = self.layer(self.features(image, 32), 1280, 1, "MobilenetV2/Conv_1")
        x = tf.reduce_mean(x, (1, 2), keepdims=True)
        return self.conv(x, self.classes, 1, "MobilenetV2/Logits/Conv2d_1c_1x1", bias=True)[:, 0, 0]


class Beta(Slim):
    """tf-slim's ResNet with three convolutions in place of the first one."""

    def begin(self, image):
        x = image
        for index, filters in enumerate((64, 64, 128), 1):
            x = self.layer(x, int(filters * self.width), 3, f"conv1_{index}", stride=2 if index == 1 else 1)
        return x


class BetaPlus(DeepLabNet):
    """DeepLabV3+ on that ResNet."""

    def __init__(self, depth, *, classes=7, output_stride=16, aspp=True):
        super().__init__(classes, output_stride)
        self.epsilon, self.aspp = 1e-5, aspp
        self.trunk = Beta(depth)
        self.trunk.variables = self.variables
        self.trunk.variable = lambda *name, **scale: self.variable(*name, **scale)

    def __call__(self, image):
        x = self.trunk.features(image, self.output_stride)
        x = self.decoder(
            self.pyramid(x, RATES[self.output_stride] if self.aspp else ()), self.trunk.residuals["block1/unit_2"]
        )
        x = self.logits(x)
        return x, self.enlarged(x, image.shape[1:3])


class Vgg(Tf1Net):
    """tf-slim's VGG, whose fully connected layers are convolutions, for images of 224 x 224 pixels."""

    def __init__(self, depth, width=1 / 16, classes=7):
        super().__init__(1e-3)
        self.depth, self.width, self.classes = depth, width, classes

    def __call__(self, image):
        x, scope = image, f"vgg_{self.depth}"
        for stage in range(1, 6):
            filters = int(min(512, 32 * 2**stage) * self.width)
            for index in range(1, {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}[self.depth][stage - 1] + 1):
                name = f"{scope}/conv{stage}/conv{stage}_{index}"
                x = tf.nn.relu(self.conv(x, filters, 3, name, bias=True))
            x = tf.nn.max_pool2d(x, 2, 2, "VALID")
        units = int(4096 * self.width)
        x = tf.nn.relu(self.conv(x, units, 7, f"{scope}/fc6", padding="VALID", bias=True))
        x = tf.nn.relu(self.conv(x, units, 1, f"{scope}/fc7", bias=True))
        return self.conv(x, self.classes, 1, f"{scope}/fc8", bias=True)[:, 0, 0]
