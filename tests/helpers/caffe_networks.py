"""Public networks of Caffe as generator functions: their structure, with few channels and random weights."""

from helpers.caffe_programs import Net


def fcn_alexnet(size):
    """Long et al.: AlexNet with its grouped convolutions and response normalizations, padded by 100 pixels."""
    net = Net(data=(3, *size))
    x = net.relu(net.conv("data", 8, 11, stride=4, pad=100, name="conv1"))
    x = net.add("LRN", net.pool(x, 3, 2), local_size=5, alpha=0.5, beta=0.75, name="norm1")
    x = net.relu(net.conv(x, 16, 5, pad=2, group=2, name="conv2"))
    x = net.add("LRN", net.pool(x, 3, 2), local_size=5, alpha=0.5, beta=0.75, name="norm2")
    for index, (filters, group) in enumerate(((12, 1), (12, 2), (8, 2)), 3):
        x = net.relu(net.conv(x, filters, 3, group=group, name=f"conv{index}"))
    x = net.pool(x, 3, 2)
    for index, kernel in ((6, 6), (7, 1)):
        x = net.relu(net.conv(x, 32, kernel, pad=0, name=f"fc{index}"))
        x = net.add("Dropout", x, name=f"drop{index}", tops=x, dropout_ratio=0.5)
    x = net.deconv(net.conv(x, 5, 1, name="score_fr"), 5, 63, stride=32, name="upscore")
    net.add("Crop", x, "data", axis=2, offset=18, name="score")
    return net


def _inference_norm(net, x, filters):
    blobs = [net.numbers(1, filters, 1, 1, scale=0.3, around=1), net.numbers(1, filters, 1, 1, scale=0.3)]
    return net.add("BN", x, name=f"{x}_bn", tops=x, blobs=blobs, bn_mode="INFERENCE")


def segnet(size, stages=(2, 2, 3)):
    """Badrinarayanan et al.: sizes of the decoder's maps stand in the prototxt, and odd maps are rounded up."""
    net = Net(data=(3, *size))
    x, saved, rows, columns = "data", [], *size
    for stage, count in enumerate(stages, 1):
        for index in range(count):
            x = net.conv(x, 4 * stage, 3, name=f"conv{stage}_{index + 1}")
            x = net.relu(_inference_norm(net, x, 4 * stage))
        x, mask = net.pool(x, tops=(f"pool{stage}", f"pool{stage}_places"))
        saved.append((mask, rows, columns, 4 * stage))
        rows, columns = -(-rows // 2), -(-columns // 2)
    for stage, (mask, rows, columns, filters) in reversed(list(enumerate(saved, 1))):
        x = net.add("Upsample", x, mask, name=f"upsample{stage}", scale=2, upsample_w=columns, upsample_h=rows)
        for index in range(2):
            outputs = filters if index == 0 else max(filters - 4, 4)
            x = net.conv(x, outputs, 3, name=f"conv{stage}_{index + 1}_D")
            if (stage, index) != (1, 1):
                x = net.relu(_inference_norm(net, x, outputs))
    net.add("Softmax", net.conv(x, 6, 1, name="score"), name="prob")
    return net


def _prelu(net, x, filters):
    return net.add("PReLU", x, name=f"{x}_prelu", tops=x, blobs=[net.numbers(filters, scale=0.2, around=0.3)])


def _enet_unit(net, x, name, *, kernel=3, dilation=1, down=False):
    """A bottleneck: 1x1, 3x3 or 5x1 and 1x5, 1x1; the other branch is the map, or its maxima."""
    filters = net.channels[x]
    y = net.conv(x, 4, 2 if down else 1, pad=0, bias=False, name=f"{name}_reduce", **({"stride": 2} if down else {}))
    y = _prelu(net, _inference_norm(net, y, 4), 4)
    if kernel == 5:
        y = net.conv(y, 4, (5, 1), pad=(2, 0), bias=False, name=f"{name}_5x1")
        y = net.conv(y, 4, (1, 5), pad=(0, 2), name=f"{name}_1x5")
    else:
        y = net.conv(y, 4, 3, pad=dilation, dilation=dilation, name=f"{name}_3x3")
    y = _prelu(net, _inference_norm(net, y, 4), 4)
    y = _inference_norm(net, net.conv(y, filters, 1, bias=False, name=f"{name}_expand"), filters)
    y = net.add("Dropout", y, name=f"{name}_drop", tops=y, dropout_ratio=0.1)
    other, mask = net.pool(x, tops=(f"{name}_pool", f"{name}_places")) if down else (x, None)
    y = net.add("Eltwise", other, y, name=f"{name}_sum")
    return _prelu(net, y, filters), mask


def enet(size):
    """Paszke et al., in Saemann's Caffe: maxima with their places, and their inverse in the decoder."""
    net = Net(data=(3, *size))
    first = net.conv("data", 5, 3, stride=2, name="initial")
    x = net.add("Concat", first, net.pool("data"), name="concat0", channels=8)
    x = _prelu(net, _inference_norm(net, x, 8), 8)
    x, mask1 = _enet_unit(net, x, "unit1_0", down=True)
    x, _ = _enet_unit(net, x, "unit1_1")
    x, mask2 = _enet_unit(net, x, "unit2_0", down=True)
    for index, options in enumerate(({}, {"dilation": 2}, {"kernel": 5}, {"dilation": 4}), 1):
        x, _ = _enet_unit(net, x, f"unit2_{index}", **options)
    for name, mask in (("up4", mask2), ("up5", mask1)):
        other = _inference_norm(net, net.conv(x, 8, 1, bias=False, name=f"{name}_main"), 8)
        other = net.add("Upsample", other, mask, name=f"{name}_upsample", scale=2)
        y = _inference_norm(net, net.conv(x, 4, 1, bias=False, name=f"{name}_reduce"), 4)
        y = net.deconv(net.relu(y), 4, 2, stride=2, bias=True, name=f"{name}_deconv")
        y = net.conv(net.relu(_inference_norm(net, y, 4)), 8, 1, bias=False, name=f"{name}_expand")
        x = net.relu(net.add("Eltwise", other, y, name=f"{name}_sum"))
    net.deconv(x, 5, 2, stride=2, bias=True, name="deconv6_0_0")
    return net


def _bn(net, x):
    count = net.channels[x]
    blobs = [net.numbers(1, count, 1, 1, scale=0.3, around=mean) for mean in (1, 0, 0)]
    blobs.append(abs(net.numbers(1, count, 1, 1, scale=0.4, around=1.2)) + 0.2)
    return net.add("BN", x, name=f"{x}/bn", tops=x, blobs=blobs, frozen=True, momentum=0.95)


def _cbr(net, x, filters, kernel=3, *, relu=True, **options):
    x = _bn(net, net.conv(x, filters, kernel, bias=False, **options))
    return net.relu(x) if relu else x


def icnet(size):
    """Zhao et al.: three branches at three sizes of the image, fused with aligned corners."""
    net = Net(data=(3, *size))
    half = net.add("Interp", "data", name="data_sub2", shrink_factor=2)
    x = net.pool(_cbr(net, _cbr(net, half, 4, stride=2, name="conv1_1"), 8, name="conv1_2"), 3, 2, pad=1)
    middle = _cbr(net, x, 12, stride=2, name="conv3_1")
    low = net.add("Interp", middle, name="conv3_1_sub4", shrink_factor=2)
    low = _cbr(net, low, 12, pad=2, dilation=2, name="conv4_1")
    parts = [net.add("Interp", net.pool(low, 3, 2, "AVE"), name="pool_up", height=3, width=3)]
    low = net.add("Eltwise", low, net.conv(low, 12, 1, name="conv5"), name="conv5_sum")
    low = net.add("Interp", low, name="conv5_interp", zoom_factor=2)
    low = _cbr(net, low, 12, pad=2, dilation=2, relu=False, name="conv_sub4")
    middle = _cbr(net, middle, 12, 1, relu=False, name="conv3_1_sub2_proj")
    low = net.add("Crop", low, middle, axis=2, offset=0, name="cropped")
    x = net.relu(net.add("Eltwise", low, middle, name="sub24_sum"))
    net.add("Interp", net.conv(x, 5, 1, name="conv6_cls"), name="conv6_interp", zoom_factor=4)
    net.conv(parts[0], 3, 1, name="conv6_sub4")
    return net


def senet(size=(64, 96), axpy=True, blocks=(1, 2)):
    """Hu et al., SENet-154: three convolutions in the stem, groups, gates of channels, bottlenecks."""
    net = Net(data=(3, *size))
    x = "data"
    for index, (filters, stride) in enumerate(((8, 2), (8, 1), (16, 1)), 1):
        x = net.relu(net.norm(net.conv(x, filters, 3, stride=stride, bias=False, name=f"conv1_{index}")))
    x = net.pool(x, 3, 2)
    for stage, count in enumerate(blocks, 2):
        for block in range(count):
            name, filters, stride = f"conv{stage}_{block + 1}", 16 * stage, 2 if block == 0 and stage > 2 else 1
            y = net.relu(net.norm(net.conv(x, filters // 2, 1, bias=False, name=f"{name}_1x1_reduce")))
            y = net.conv(y, filters, 3, stride=stride, group=8, bias=False, name=f"{name}_3x3")
            y = net.relu(net.norm(y))
            y = net.norm(net.conv(y, filters, 1, bias=False, name=f"{name}_1x1_increase"))
            gate = net.add("Pooling", y, name=f"{name}_global_pool", pool="AVE", global_pooling=True)
            gate = net.relu(net.conv(gate, 4, 1, name=f"{name}_1x1_down"))
            gate = net.add("Sigmoid", net.conv(gate, filters, 1, name=f"{name}_1x1_up"), name=f"{name}_prob")
            short = x
            if net.channels[x] != filters or stride > 1:
                short = net.conv(x, filters, 3 if stride > 1 else 1, stride=stride, bias=False, name=f"{name}_proj")
                short = net.norm(short)
            if axpy:
                y = net.add("Axpy", gate, y, short, name=name, channels=filters)
            else:
                gate = net.add("Flatten", gate, name=f"{name}_flat")
                y = net.add("Eltwise", net.add("Scale", y, gate, axis=0, name=f"{name}_gated"), short, name=name)
            x = net.relu(y)
    x = net.add("Pooling", x, name="pool5", pool="AVE", global_pooling=True)
    x = net.add("Dropout", x, name="drop", tops=x, dropout_ratio=0.2)
    net.add("Softmax", net.dense(x, 10, net.channels[x], name="classifier"), name="prob")
    return net


def nyud_two_stream(size):
    """Long et al.: a network for colors, one for depth, and the sum of their scores."""
    net = Net(color=(3, *size), hha=(3, *size))
    scores = []
    for name in ("color", "hha"):
        x = name
        for stage, filters in enumerate((4, 8, 8, 12, 12), 1):
            pad = 100 if stage == 1 else 1
            x = net.relu(net.conv(x, filters, 3, pad=pad, name=f"conv{stage}_1{name}"))
            x = net.pool(x)
        x = net.relu(net.conv(x, 24, 7, pad=0, name=f"fc6{name}"))
        scores.append(net.conv(x, 5, 1, name=f"score_fr{name}"))
    x = net.add("Eltwise", *scores, name="score_fused", operation="SUM", coeff=[0.5, 0.5])
    net.add("Crop", net.deconv(x, 5, 64, stride=32, name="upscore"), "color", axis=2, offset=19, name="score")
    return net


def _inception(net, x, name, widths):
    def conv(y, filters, kernel, part):
        return net.relu(net.conv(y, filters, kernel, name=f"{name}/{part}"))

    first = conv(x, widths[0], 1, "1x1")
    second = conv(conv(x, widths[1], 1, "3x3_reduce"), widths[2], 3, "3x3")
    third = conv(conv(x, widths[3], 1, "5x5_reduce"), widths[4], 5, "5x5")
    fourth = conv(net.pool(x, 3, 1, pad=1, name=f"{name}/pool"), widths[5], 1, "pool_proj")
    count = widths[0] + widths[2] + widths[4] + widths[5]
    return net.add("Concat", first, second, third, fourth, name=f"{name}/output", channels=count)


def googlenet(side=64, auxiliary=True):
    """Szegedy et al., with a head that only training needs; its last pooling fits images of one size."""
    net = Net(data=(3, side, side))
    x = net.relu(net.conv("data", 8, 7, stride=2, name="conv1/7x7_s2"))
    x = net.add("LRN", net.pool(x, 3, 2), local_size=5, alpha=0.5, beta=0.75, name="pool1/norm1")
    x = net.relu(net.conv(net.relu(net.conv(x, 8, 1, name="conv2/reduce")), 12, 3, name="conv2/3x3"))
    x = net.pool(net.add("LRN", x, local_size=5, alpha=0.5, beta=0.75, name="conv2/norm2"), 3, 2)
    x = _inception(net, x, "inception_3a", (4, 4, 6, 2, 3, 3))
    if auxiliary:
        y = net.pool(x, 5, 3, "AVE", name="loss1/ave_pool")
        y = net.relu(net.conv(y, 4, 1, name="loss1/conv"))
        rows = -(-(side // 8 - 5) // 3) + 1
        y = net.dense(y, 7, 4 * rows * rows, name="loss1/classifier")
        net.add("SoftmaxWithLoss", y, "label", name="loss1/loss")
    x = _inception(net, net.pool(x, 3, 2), "inception_4a", (6, 4, 6, 2, 4, 4))
    x = net.pool(x, side // 16, 1, "AVE", name="pool5")
    net.add("Softmax", net.dense(x, 10, 20, name="loss3/classifier"), name="prob")
    return net


def squeezenet(size):
    """Iandola et al., SqueezeNet 1.1: fire units, and a global average of the scores."""
    net = Net(data=(3, *size))
    x = net.pool(net.relu(net.conv("data", 8, 3, stride=2, pad=0, name="conv1")), 3, 2)
    for index, (squeeze, expand) in enumerate(((4, 8), (4, 8), (6, 12)), 2):
        x = net.relu(net.conv(x, squeeze, 1, name=f"fire{index}/squeeze1x1"))
        parts = [net.relu(net.conv(x, expand, k, name=f"fire{index}/expand{k}x{k}")) for k in (1, 3)]
        x = net.add("Concat", *parts, name=f"fire{index}/concat", channels=2 * expand)
        x = net.pool(x, 3, 2) if index == 3 else x
    x = net.add("Dropout", x, name="drop9", tops=x, dropout_ratio=0.5)
    x = net.relu(net.conv(x, 10, 1, name="conv10"))
    net.add("Softmax", net.add("Pooling", x, pool="AVE", global_pooling=True, name="pool10"), name="prob")
    return net


def pspnet(side=65):
    """Zhao et al.: poolings and interpolations whose sizes stand in the prototxt."""
    net = Net(data=(3, side, side))
    x = _cbr(net, _cbr(net, "data", 4, stride=2, name="conv1_1_3x3_s2"), 8, name="conv1_2_3x3")
    x = net.pool(x, 3, 2, pad=1)
    for index, dilation in enumerate((1, 2), 1):
        y = _cbr(
            net,
            _cbr(net, x, 4, 1, name=f"conv{index}_reduce"),
            8,
            pad=dilation,
            dilation=dilation,
            relu=False,
            name=f"conv{index}_3x3",
        )
        x = net.relu(net.add("Eltwise", x, y, name=f"conv{index}"))
    x = _cbr(net, x, 12, stride=2, name="conv3")
    rows = (side - 1) // 8 + 1
    parts = [x]
    for window, stride in ((rows, rows), (5, 4), (3, 3), (2, 2)):
        y = net.pool(x, window, stride, "AVE", name=f"conv5_3_pool{window}")
        y = _cbr(net, y, 3, 1, name=f"conv5_3_pool{window}_conv")
        parts.append(net.add("Interp", y, height=rows, width=rows, name=f"conv5_3_pool{window}_interp"))
    x = net.add("Concat", *parts, name="conv5_3_concat", channels=24)
    x = net.conv(_cbr(net, x, 8, name="conv5_4"), 5, 1, name="conv6")
    net.add("Interp", x, zoom_factor=8, name="conv6_interp")
    return net


def deeplab_large_fov(size):
    """Chen et al., DeepLab's first fork: `hole` for dilation, poolings that pad, and an average of each 3x3."""
    net = Net(data=(3, *size))
    x = "data"
    for stage, filters in enumerate((4, 8, 8), 1):
        x = net.relu(net.conv(x, filters, 3, name=f"conv{stage}_1"))
        x = net.pool(x, 3, 2 if stage < 3 else 1, pad=1)
    x = net.relu(net.conv(x, 8, 3, pad=2, hole=2, name="conv5_1"))
    x = net.pool(net.pool(x, 3, 1, pad=1), 3, 1, "AVE", pad=1, name="pool5a")
    x = net.relu(net.conv(x, 16, 3, pad=6, hole=6, name="fc6"))
    x = net.relu(net.conv(x, 16, 1, name="fc7"))
    net.add("Interp", net.conv(x, 5, 1, name="fc8"), zoom_factor=4, name="fc8_interp")
    return net


def mobilenet(size, kind="Convolution", factor=999.98):
    """Howard et al., in shicai's Caffe: depthwise convolutions as groups, normalizations over what they read."""
    net = Net(data=(3, *size))
    x = net.relu(net.norm(net.conv("data", 8, 3, stride=2, bias=False, name="conv1"), factor=factor))
    for index, (filters, stride) in enumerate(((16, 1), (24, 2), (24, 1), (32, 2)), 2):
        count = net.channels[x]
        x = net.conv(x, count, 3, stride=stride, group=count, bias=False, kind=kind, name=f"conv{index}/dw")
        x = net.relu(net.norm(x, factor=factor))
        x = net.relu(net.norm(net.conv(x, filters, 1, bias=False, name=f"conv{index}/sep"), factor=factor))
    x = net.conv(net.add("Pooling", x, pool="AVE", global_pooling=True, name="pool6"), 10, 1, name="fc7")
    net.add("Softmax", x, name="prob")
    return net


def shufflenet(size):
    """Zhang et al., in farmingyard's Caffe: grouped 1x1, shuffled channels, depthwise layers, and averages beside."""
    net = Net(data=(3, *size))
    x = net.pool(net.relu(net.norm(net.conv("data", 6, 3, stride=2, bias=False, name="conv1"))), 3, 2)
    for index, stride in enumerate((2, 1), 1):
        count = net.channels[x]
        filters = 18 if stride > 1 else count
        y = net.relu(net.norm(net.conv(x, 12, 1, group=3, bias=False, name=f"resx{index}_conv1")))
        y = net.add("ShuffleChannel", y, group=3, name=f"shuffle{index}")
        y = net.norm(
            net.conv(y, 12, 3, stride=stride, group=12, bias=False, kind="ConvolutionDepthwise", name=f"resx{index}_dw")
        )
        y = net.norm(net.conv(y, filters, 1, group=3, bias=False, name=f"resx{index}_conv3"))
        if stride > 1:
            short = net.pool(x, 3, 2, "AVE", name=f"resx{index}_match")
            x = net.relu(net.add("Concat", short, y, name=f"resx{index}_concat", channels=count + filters))
        else:
            x = net.relu(net.add("Eltwise", x, y, name=f"resx{index}_elewise"))
    x = net.add("Pooling", x, pool="AVE", global_pooling=True, name="pool_ave")
    net.conv(x, 10, 1, name="fc")
    return net


def densenet(size):
    """Huang et al.: normalizations before convolutions, all maps joined."""
    net = Net(data=(3, *size))
    x = net.pool(net.relu(net.norm(net.conv("data", 8, 7, stride=2, bias=False, name="conv1"))), 3, 2, pad=1)
    for stage in (2, 3):
        for index in range(2):
            y = net.relu(net.norm(x, inplace=False, name=f"conv{stage}_{index}/x1/bn"))
            y = net.relu(net.norm(net.conv(y, 8, 1, bias=False, name=f"conv{stage}_{index}/x1")))
            y = net.conv(y, 4, 3, bias=False, name=f"conv{stage}_{index}/x2")
            x = net.add("Concat", x, y, name=f"concat{stage}_{index}", channels=net.channels[x] + 4)
        y = net.relu(net.norm(x, inplace=False, name=f"conv{stage}_blk/bn"))
        x = net.pool(net.conv(y, 8, 1, bias=False, name=f"conv{stage}_blk"), 2, 2, "AVE")
    x = net.add("Pooling", net.relu(net.norm(x)), pool="AVE", global_pooling=True, name="pool5")
    net.conv(x, 10, 1, name="fc6")
    return net


def ssd_head(size):
    """Liu et al.: normalized vectors, and predictions with the channels last in one row; without the boxes' choice."""
    net = Net(data=(3, *size))
    x = net.relu(net.conv("data", 8, 3, stride=2, name="conv4_3"))
    y = net.add(
        "Normalize",
        x,
        blobs=[net.numbers(8, around=5)],
        across_spatial=False,
        channel_shared=False,
        name="conv4_3_norm",
    )
    deep = net.relu(net.conv(net.pool(x), 12, 3, pad=2, dilation=2, name="fc6"))
    rows = []
    for name, source in (("conv4_3", y), ("fc7", deep)):
        part = net.conv(source, 6, 3, name=f"{name}_mbox_conf")
        part = net.add("Permute", part, order=[0, 2, 3, 1], name=f"{name}_perm")
        rows.append(net.add("Flatten", part, axis=1, name=f"{name}_flat"))
    x = net.add("Concat", *rows, axis=1, name="mbox_conf")
    x = net.add("Reshape", x, shape={"dim": [0, -1, 3]}, name="mbox_conf_reshape")
    net.add("Flatten", net.add("Softmax", x, axis=2, name="mbox_conf_softmax"), axis=1, name="mbox_conf_flatten")
    return net


def hed(size):
    """Xie and Tu: an edge map from each stage, cut to the size of the image, and a mixture of them."""
    net = Net(data=(3, *size))
    x, sides = "data", []
    for stage, filters in enumerate((4, 8, 8), 1):
        x = net.relu(net.conv(x, filters, 3, pad=35 if stage == 1 else 1, name=f"conv{stage}_1"))
        y = net.conv(x, 1, 1, name=f"score-dsn{stage}")
        if stage > 1:
            y = net.deconv(y, 1, 2**stage, stride=2 ** (stage - 1), name=f"upsample_{2 ** (stage - 1)}")
        sides.append(net.add("Crop", y, "data", axis=2, offset=34, name=f"upscore-dsn{stage}"))
        net.add("Sigmoid", sides[-1], name=f"sigmoid-dsn{stage}")
        x = net.pool(x, name=f"pool{stage}") if stage < 3 else x
    x = net.conv(net.add("Concat", *sides, axis=1, name="concat-upscore", channels=3), 1, 1, name="upscore-fuse")
    net.add("Sigmoid", x, name="sigmoid-fuse")
    return net


def openpose(size):
    """Cao et al.: two branches that see each other's results in the next stage."""
    net = Net(image=(3, *size))
    x = net.pool(net.relu(net.conv("image", 8, 3, name="conv1_1")))
    x = net.relu(net.conv(net.pool(x), 8, 3, name="conv4_4_CPM"))
    features = x
    for stage in (1, 2):
        ends = []
        for branch, filters in (("L1", 6), ("L2", 4)):
            y = net.relu(net.conv(x, 8, 3 if stage == 1 else 7, name=f"Mconv1_stage{stage}_{branch}"))
            ends.append(net.conv(y, filters, 1, name=f"Mconv5_stage{stage}_{branch}"))
        count = net.channels[features] + 10
        axis = {"axis": 1}
        if stage == 1:
            x = net.add("Concat", *ends, features, name="concat_stage2", channels=count, **axis)
    net.add("Concat", *reversed(ends), name="concat_stage7", channels=10)
    return net
