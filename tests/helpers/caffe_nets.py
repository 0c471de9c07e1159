"""Caffe networks of the public structures, narrow and random: a prototxt and its weights, for OpenCV and for us."""

import numpy as np
from helpers import caffe_files

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


class CaffeNet:
    """Layers added one after the other; each is named, and returns its name as the top for the next."""

    def __init__(self, height, width, seed=0, channels=3):
        self.random = np.random.default_rng(seed)
        self.text = ['input: "data"', *(f"input_dim: {size}" for size in (1, channels, height, width))]
        self.layers = []
        self.channels = {"data": channels}

    def add(self, kind, name, *bottoms, blobs=(), channels=None, **parameters):
        """Parameters: one keyword for each message, `convolution_param=dict(num_output=8)`."""
        self.layers.append((name, kind, list(blobs)))
        self.channels[name] = channels or self.channels[bottoms[0]]
        lines = [f'bottom: "{bottom}"' for bottom in bottoms]
        for message, fields in parameters.items():
            lines.append(f"{message} {{ {' '.join(f'{key}: {_plain(value)}' for key, value in fields.items())} }}")
        self.text.append(f'layer {{ name: "{name}" type: "{kind}" top: "{name}" {" ".join(lines)} }}')
        return name

    def numbers(self, *shape, scale=1.0, around=0.0):
        return (around + scale * self.random.normal(size=shape)).astype("float32")

    def conv(self, bottom, filters, kernel_size, name, *, stride=1, pad=0, dilation=1, groups=1, bias=True):
        channels = self.channels[bottom] // groups
        blobs = [self.numbers(filters, channels, kernel_size, kernel_size, scale=(channels * kernel_size**2) ** -0.5)]
        blobs += [self.numbers(filters, scale=0.1)] if bias else []
        parameters = {"num_output": filters, "kernel_size": kernel_size, "stride": stride, "pad": pad}
        parameters |= {"dilation": dilation, "group": groups, "bias_term": bias}
        return self.add("Convolution", name, bottom, blobs=blobs, channels=filters, convolution_param=parameters)

    def upconv(self, bottom, channels, kernel_size, stride, name):
        blobs = [self.numbers(channels, channels, kernel_size, kernel_size, scale=1 / kernel_size)]
        parameters = {"num_output": channels, "kernel_size": kernel_size, "stride": stride, "bias_term": False}
        return self.add("Deconvolution", name, bottom, blobs=blobs, channels=channels, convolution_param=parameters)

    def dense(self, bottom, units, inputs, name):
        blobs = [self.numbers(units, inputs, scale=inputs**-0.5), self.numbers(units, scale=0.1)]
        parameters = {"num_output": units}
        return self.add("InnerProduct", name, bottom, blobs=blobs, channels=units, inner_product_param=parameters)

    def relu(self, bottom):
        return self.add("ReLU", f"{bottom}_relu", bottom)

    def pool(self, bottom, name, kernel_size=2, pad=0):
        parameters = {"pool": "MAX", "kernel_size": kernel_size, "stride": 2, "pad": pad}
        return self.add("Pooling", name, bottom, pooling_param=parameters)

    def normalized(self, bottom, filters, kernel_size, name, norm, **options):
        """Convolution, BatchNorm with a factor that is not 1, Scale; `norm` ends the names of both, or is both."""
        norm_name, scale_name = norm if isinstance(norm, tuple) else (f"bn{norm}", f"scale{norm}")
        x = self.conv(bottom, filters, kernel_size, name, **{"bias": False} | options)
        factor = 999.98236
        mean, variance = self.numbers(filters, scale=0.2), np.abs(self.numbers(filters, scale=0.2, around=1))
        blobs = [mean * factor, variance * factor, np.array([factor], "float32")]
        x = self.add("BatchNorm", norm_name, x, blobs=blobs, batch_norm_param={"use_global_stats": True})
        blobs = [self.numbers(filters, scale=0.2, around=1), self.numbers(filters, scale=0.2)]
        return self.add("Scale", scale_name, x, blobs=blobs, scale_param={"bias_term": True})

    def crop(self, bottom, reference, offset, name):
        return self.add("Crop", name, bottom, reference, crop_param={"axis": 2, "offset": offset})

    def write(self, directory, **form):
        """The paths of `net.prototxt` and `net.caffemodel`."""
        prototxt = directory / "net.prototxt"
        prototxt.write_text("\n".join(self.text))
        return prototxt, caffe_files.write(directory / "net.caffemodel", caffe_files.network(self.layers, **form))


def _plain(value):
    return {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else value


def vgg_convolutions(net, width, *, pad=1, convolutions=(2, 2, 3, 3, 3), first="conv1_1"):
    """The five stages; the tops of all poolings."""
    x, pools = "data", []
    for stage, count in enumerate(convolutions, 1):
        for index in range(1, count + 1):
            filters = int(min(64 * 2 ** (stage - 1), 512) * width)
            begins = (stage, index) == (1, 1)
            x = net.conv(x, filters, 3, first if begins else f"conv{stage}_{index}", pad=pad if begins else 1)
            x = net.relu(x)
        x = net.pool(x, f"pool{stage}")
        pools.append(x)
    return pools


def vgg16(size=224, width=1 / 16, classes=10, convolutions=(2, 2, 3, 3, 3)):
    net = CaffeNet(size, size)
    x = vgg_convolutions(net, width, convolutions=convolutions)[-1]
    inputs = net.channels[x] * 49
    for index in (6, 7):
        x = net.relu(net.dense(x, int(4096 * width), inputs, f"fc{index}"))
        inputs = int(4096 * width)
    return net, net.dense(x, classes, inputs, "fc8")


def fcn(network, height, width, slim=1 / 16, classes=5, channels=3, first="conv1_1"):
    """One output; or for `classes={"_sem": 5, "_geo": 3}` a list, a head each."""
    net = CaffeNet(height, width, channels=channels)
    *_, pool3, pool4, x = vgg_convolutions(net, slim, pad=100, first=first)
    for index, kernel_size in ((6, 7), (7, 1)):
        x = net.relu(net.conv(x, int(4096 * slim), kernel_size, f"fc{index}"))
    if network == "fcn8s_atonce":
        pool4, pool3 = _scale(net, pool4, 0.01), _scale(net, pool3, 0.0001)
    if not isinstance(classes, dict):
        return net, _fcn_head(net, network, x, pool4, pool3, classes, "")
    return net, [_fcn_head(net, network, x, pool4, pool3, count, head) for head, count in classes.items()]


def _fcn_head(net, network, x, pool4, pool3, classes, head):
    x = net.conv(x, classes, 1, f"score_fr{head}")
    if network == "fcn32s":
        return net.crop(net.upconv(x, classes, 64, 32, f"upscore{head}"), "data", 19, f"score{head}")
    x = net.upconv(x, classes, 4, 2, f"upscore2{head}")
    x = _skip(net, x, pool4, "pool4", classes, 5, head)
    if network == "fcn16s":
        return net.crop(net.upconv(x, classes, 32, 16, f"upscore16{head}"), "data", 27, f"score{head}")
    x = net.upconv(x, classes, 4, 2, f"upscore_pool4{head}")
    x = _skip(net, x, pool3, "pool3", classes, 9, head)
    return net.crop(net.upconv(x, classes, 16, 8, f"upscore8{head}"), "data", 31, f"score{head}")


def _scale(net, pool, factor):
    """A factor a channel; each of its own here, so that none can pass for another."""
    factors = factor * net.numbers(net.channels[pool], scale=0.2, around=1)
    return net.add("Scale", f"scale_{pool}", pool, blobs=[factors], scale_param={"bias_term": False})


def _skip(net, x, pool, name, classes, offset, head):
    score = net.crop(net.conv(pool, classes, 1, f"score_{name}{head}"), x, offset, f"score_{name}{head}c")
    return net.add("Eltwise", f"fuse_{name}{head}", x, score)


def resnet(depth, height, width, slim=1 / 8, classes=10, dilations=(1, 1, 1, 1), top=True, pool_pad=0):
    """The authors' layout: strides in the first 1x1, pool1 rounding up without padding; dilated stages do not stride."""
    net = CaffeNet(height, width)
    x = net.normalized("data", int(64 * slim), 7, "conv1", "_conv1", stride=2, pad=3, bias=depth == 50)
    x = net.pool(net.relu(x), "pool1", 3, pad=pool_pad)
    for stage, (count, dilation) in enumerate(zip(BLOCKS[depth], dilations, strict=True), 2):
        planes = int(64 * 2 ** (stage - 2) * slim)
        for block in range(count):
            letter = "abcdef"[block] if depth == 50 or count <= 3 else f"b{block}" if block else "a"
            name = f"{stage}{letter}_branch"
            stride = 2 if block == 0 and stage > 2 and dilation == 1 else 1
            shortcut = x
            if block == 0:
                shortcut = net.normalized(x, 4 * planes, 1, f"res{name}1", f"{name}1", stride=stride)
            y = net.relu(net.normalized(x, planes, 1, f"res{name}2a", f"{name}2a", stride=stride))
            y = net.normalized(y, planes, 3, f"res{name}2b", f"{name}2b", pad=dilation, dilation=dilation)
            y = net.normalized(net.relu(y), 4 * planes, 1, f"res{name}2c", f"{name}2c")
            x = net.relu(net.add("Eltwise", f"res{stage}{letter}", shortcut, y))
    if not top:
        return net, x
    x = net.add("Pooling", "pool5", x, pooling_param={"pool": "AVE", "global_pooling": True})
    return net, net.dense(x, classes, net.channels[x], "fc1000")


def deeplabv2(height, width, slim=1 / 8, classes=5):
    """One size of the image; the weights of the others stand in the file under names of their own."""
    net, x = resnet(101, height, width, slim, dilations=(1, 1, 2, 4), top=False, pool_pad=1)
    rates = enumerate((6, 12, 18, 24))
    branches = [net.conv(x, classes, 3, f"fc1_voc12_c{index}", pad=rate, dilation=rate) for index, rate in rates]
    output = net.add("Eltwise", "fc1_voc12", *branches)
    for suffix in ("_res075", "_res05"):
        weighted = [(name, kind, blobs) for name, kind, blobs in net.layers if blobs and "_res0" not in name]
        for name, kind, blobs in weighted:
            copy = name.replace("voc12", f"voc12{suffix}") if "voc12" in name else name + suffix
            net.layers.append((copy, kind, blobs))
    return net, output


def pspnet(size, slim=1 / 8, classes=5, fork=False, depth=50):
    """PSPNet up to its logits. Its fork normalizes in one layer, which OpenCV knows as two.

    The published networks of depth 50 stride in a 1x1, those of depth 101 in the 3x3.
    """
    net = CaffeNet(size, size)

    def normalized(bottom, filters, kernel_size, name, **options):
        x = net.conv(bottom, filters, kernel_size, name, bias=False, **options)
        gamma, variance = (np.abs(net.numbers(filters, scale=0.2, around=1)) for _ in range(2))
        beta, mean = (net.numbers(filters, scale=0.2) for _ in range(2))
        if fork:
            wide = [part.reshape(1, filters, 1, 1) for part in (gamma, beta, mean, variance)]
            return net.add("BN", f"{name}/bn", x, blobs=wide)
        blobs = [mean, variance, np.ones(1, "float32")]
        x = net.add("BatchNorm", f"{name}/bn", x, blobs=blobs, batch_norm_param={"use_global_stats": True})
        return net.add("Scale", f"{name}/scale", x, blobs=[gamma, beta], scale_param={"bias_term": True})

    x = "data"
    for index, (filters, stride) in enumerate(((64, 2), (64, 1), (128, 1)), 1):
        name = f"conv1_{index}_3x3" + "_s2" * (stride == 2)
        x = net.relu(normalized(x, int(filters * slim), 3, name, stride=stride, pad=1))
    x = net.pool(x, "pool1_3x3_s2", 3, pad=1)
    for stage, (count, dilation) in enumerate(zip(BLOCKS[depth], (1, 1, 2, 4), strict=True), 2):
        planes = int(64 * 2 ** (stage - 2) * slim)
        for block in range(1, count + 1):
            name, stride, shortcut = f"conv{stage}_{block}", 2 if (stage, block) == (3, 1) else 1, x
            in_1x1, in_3x3 = (stride, 1) if depth == 50 else (1, stride)
            if block == 1:
                shortcut = normalized(x, 4 * planes, 1, f"{name}_1x1_proj", stride=stride)
            y = net.relu(normalized(x, planes, 1, f"{name}_1x1_reduce", stride=in_1x1))
            y = net.relu(normalized(y, planes, 3, f"{name}_3x3", stride=in_3x3, pad=dilation, dilation=dilation))
            x = net.relu(net.add("Eltwise", name, shortcut, normalized(y, 4 * planes, 1, f"{name}_1x1_increase")))
    side, pooled = (size - 1) // 8 + 1, []
    for bins in (1, 2, 3, 6):
        kernel = side // bins
        y = net.add("Pooling", f"pool{bins}", x, pooling_param={"pool": "AVE", "kernel_size": kernel, "stride": kernel})
        y = net.relu(normalized(y, net.channels[x] // 4, 1, f"conv5_3_pool{bins}_conv"))
        pooled.append(net.add("Interp", f"interp{bins}", y, interp_param={"height": side, "width": side}))
    channels = net.channels[x] + sum(net.channels[top] for top in pooled)
    x = net.add("Concat", "concat", x, *reversed(pooled), channels=channels)
    x = net.relu(normalized(x, 512, 3, "conv5_4", pad=1))
    return net, net.conv(x, classes, 1, "conv6")


def senet(depth, height, width, slim=1 / 8, classes=10, groups=1, squeeze=16):
    """SE-ResNet; SE-ResNeXt for `groups` of 4 channels, which strides in its 3x3; without `squeeze` a plain ResNet."""
    net = CaffeNet(height, width)

    def normalized(bottom, filters, kernel_size, name, **options):
        return net.normalized(bottom, filters, kernel_size, name, (f"{name}/bn", f"{name}/bn/scale"), **options)

    x = net.relu(normalized("data", int(64 * slim), 7, "conv1/7x7_s2", stride=2, pad=3))
    x = net.pool(x, "pool1/3x3_s2", 3)
    for stage, count in enumerate(BLOCKS[depth], 2):
        planes = int(64 * 2 ** (stage - 2) * slim)
        inside = max(1, planes // 16) * groups if groups > 1 else planes
        for block in range(1, count + 1):
            name, stride, shortcut = f"conv{stage}_{block}", 2 if stage > 2 and block == 1 else 1, x
            before, within = (1, stride) if groups > 1 else (stride, 1)
            y = net.relu(normalized(x, inside, 1, f"{name}_1x1_reduce", stride=before))
            y = normalized(y, inside, 3, f"{name}_3x3", stride=within, pad=1, groups=groups)
            y = normalized(net.relu(y), 4 * planes, 1, f"{name}_1x1_increase")
            if block == 1:
                shortcut = normalized(x, 4 * planes, 1, f"{name}_1x1_proj", stride=stride)
            if squeeze:
                z = net.add("Pooling", f"{name}_global_pool", y, pooling_param={"pool": "AVE", "global_pooling": True})
                z = net.relu(net.conv(z, max(8, 4 * planes // squeeze), 1, f"{name}_1x1_down"))
                z = net.add("Sigmoid", f"{name}_prob", net.conv(z, 4 * planes, 1, f"{name}_1x1_up"))
                # SENet's layer Axpy is this product and the sum after it.
                y = net.add("Scale", f"{name}_product", y, z, scale_param={"axis": 0})
            x = net.relu(net.add("Eltwise", name, y, shortcut))
    return _classifier(net, x, classes, "classifier")


def open_nsfw(height, width, slim=1 / 4, classes=2):
    net = CaffeNet(height, width)
    x = net.normalized("data", int(64 * slim), 7, "conv_1", "_1", stride=2, pad=3, bias=True)
    x = net.pool(net.relu(x), "pool1", 3)
    for stage, count in enumerate(BLOCKS[50]):
        planes = int(32 * 2**stage * slim)
        for block in range(count):
            name, stride, shortcut = f"_stage{stage}_block{block}", 2 if stage and not block else 1, x

            def normalized(bottom, filters, kernel_size, part, name=name, **options):
                return net.normalized(
                    bottom, filters, kernel_size, f"conv{name}_{part}", f"{name}_{part}", bias=True, **options
                )

            if not block:
                shortcut = normalized(x, 4 * planes, 1, "proj_shortcut", stride=stride)
            y = net.relu(normalized(x, planes, 1, "branch2a", stride=stride))
            y = net.relu(normalized(y, planes, 3, "branch2b", pad=1))
            y = normalized(y, 4 * planes, 1, "branch2c")
            x = net.relu(net.add("Eltwise", f"eltwise{name}", shortcut, y))
    return _classifier(net, x, classes, "fc_nsfw")


def _classifier(net, x, classes, name):
    x = net.add("Pooling", "pool5", x, pooling_param={"pool": "AVE", "global_pooling": True})
    return net, net.dense(x, classes, net.channels[x], name)


def deeplab_vgg(height, width, slim=1 / 8, classes=5, rates=(12,), score="fc8_voc12", enlarge=False):
    """LargeFOV for one rate, with its average; DeepLabV2 for several, whose scores are summed."""
    net = CaffeNet(height, width)
    x = "data"
    for stage, count in enumerate((2, 2, 3, 3, 3), 1):
        rate = 2 if stage == 5 else 1
        for index in range(1, count + 1):
            filters = int(min(64 * 2 ** (stage - 1), 512) * slim)
            x = net.relu(net.conv(x, filters, 3, f"conv{stage}_{index}", pad=rate, dilation=rate))
        x = _pool(net, x, f"pool{stage}", "MAX", 2 if stage <= 3 else 1)
    if len(rates) == 1:
        x = _pool(net, x, "pool5a", "AVE", 1)
    scores = []
    for suffix, rate in [("", rates[0])] if len(rates) == 1 else [(f"_{i}", rate) for i, rate in enumerate(rates, 1)]:
        y = net.relu(net.conv(x, int(1024 * slim), 3, f"fc6{suffix}", pad=rate, dilation=rate))
        y = net.relu(net.conv(y, int(1024 * slim), 1, f"fc7{suffix}"))
        scores.append(net.conv(y, classes, 1, f"{score}{suffix}"))
    x = net.add("Eltwise", score, *scores) if len(scores) > 1 else scores[0]
    if enlarge:  # eight times less one, as their layer Interp with its zoom_factor of 8 has it
        x = net.add("Interp", "fc8_interp", x, interp_param={"height": height, "width": width})
    return net, x


def _pool(net, bottom, name, how, stride):
    parameters = {"pool": how, "kernel_size": 3, "stride": stride, "pad": 1}
    return net.add("Pooling", name, bottom, pooling_param=parameters)
