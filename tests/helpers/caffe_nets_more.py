"""Further Caffe networks of the public structures: SENet's, open_nsfw's, and the DeepLabs on VGG16."""

from helpers import caffe_nets

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def senet(depth, height, width, slim=1 / 8, classes=10, groups=1, squeeze=16):
    """SE-ResNet; SE-ResNeXt for `groups` of 4 channels, which strides in its 3x3; without `squeeze` a plain ResNet."""
    net = caffe_nets.Net(height, width)

    def normalised(bottom, filters, kernel_size, name, **options):
        return net.normalised(bottom, filters, kernel_size, name, (f"{name}/bn", f"{name}/bn/scale"), **options)

    x = net.relu(normalised("data", int(64 * slim), 7, "conv1/7x7_s2", stride=2, pad=3))
    x = net.pool(x, "pool1/3x3_s2", 3)
    for stage, count in enumerate(BLOCKS[depth], 2):
        planes = int(64 * 2 ** (stage - 2) * slim)
        inside = max(1, planes // 16) * groups if groups > 1 else planes
        for block in range(1, count + 1):
            name, stride, shortcut = f"conv{stage}_{block}", 2 if stage > 2 and block == 1 else 1, x
            before, within = (1, stride) if groups > 1 else (stride, 1)
            y = net.relu(normalised(x, inside, 1, f"{name}_1x1_reduce", stride=before))
            y = normalised(y, inside, 3, f"{name}_3x3", stride=within, pad=1, groups=groups)
            y = normalised(net.relu(y), 4 * planes, 1, f"{name}_1x1_increase")
            if block == 1:
                shortcut = normalised(x, 4 * planes, 1, f"{name}_1x1_proj", stride=stride)
            if squeeze:
                z = net.add("Pooling", f"{name}_global_pool", y, pooling_param={"pool": "AVE", "global_pooling": True})
                z = net.relu(net.conv(z, max(8, 4 * planes // squeeze), 1, f"{name}_1x1_down"))
                z = net.add("Sigmoid", f"{name}_prob", net.conv(z, 4 * planes, 1, f"{name}_1x1_up"))
                # Their layer Axpy is this product and the sum behind it.
                y = net.add("Scale", f"{name}_product", y, z, scale_param={"axis": 0})
            x = net.relu(net.add("Eltwise", name, y, shortcut))
    return _classifier(net, x, classes, "classifier")


def open_nsfw(height, width, slim=1 / 4, classes=2):
    net = caffe_nets.Net(height, width)
    x = net.normalised("data", int(64 * slim), 7, "conv_1", "_1", stride=2, pad=3, bias=True)
    x = net.pool(net.relu(x), "pool1", 3)
    for stage, count in enumerate(BLOCKS[50]):
        planes = int(32 * 2**stage * slim)
        for block in range(count):
            name, stride, shortcut = f"_stage{stage}_block{block}", 2 if stage and not block else 1, x

            def normalised(bottom, filters, kernel_size, part, name=name, **options):
                return net.normalised(
                    bottom, filters, kernel_size, f"conv{name}_{part}", f"{name}_{part}", bias=True, **options
                )

            if not block:
                shortcut = normalised(x, 4 * planes, 1, "proj_shortcut", stride=stride)
            y = net.relu(normalised(x, planes, 1, "branch2a", stride=stride))
            y = net.relu(normalised(y, planes, 3, "branch2b", pad=1))
            y = normalised(y, 4 * planes, 1, "branch2c")
            x = net.relu(net.add("Eltwise", f"eltwise{name}", shortcut, y))
    return _classifier(net, x, classes, "fc_nsfw")


def _classifier(net, x, classes, name):
    x = net.add("Pooling", "pool5", x, pooling_param={"pool": "AVE", "global_pooling": True})
    return net, net.dense(x, classes, net.channels[x], name)


def deeplab_vgg(height, width, slim=1 / 8, classes=5, rates=(12,), score="fc8_voc12", enlarge=False):
    """LargeFOV for one rate, with its average; DeepLabV2 for several, whose scores are summed."""
    net = caffe_nets.Net(height, width)
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
