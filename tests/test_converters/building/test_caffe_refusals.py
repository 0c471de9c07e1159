"""What is wrong with a prototxt, a file of weights, or both together is said in one message."""

import numpy as np
import pytest
from helpers.caffe_programs import Net

import converters
from converters import ConversionError


def small():
    net = Net(data=(3, 32, 32))
    x = net.relu(net.conv("data", 4, name="first"))
    x = net.norm(net.conv(x, 4, name="second"), name="bn")
    net.conv(x, 3, 1, name="score")
    return net


def refused(folder, net, message, *, text=None, prototxt=True, **options):
    path, weights = net.write(folder, **{key: options.pop(key) for key in ("without", "definitions") if key in options})
    if text is not None:
        path.write_text(text(path.read_text()))
    with pytest.raises(ConversionError, match=message):
        converters.convert(weights, **({"prototxt": path} if prototxt else {}), **options)


def test_layers_without_weights(tmp_path):
    refused(
        tmp_path,
        small(),
        r"net.caffemodel: lacks the weights of 2 layers that the prototxt has: second \(Convolution\), bn_scale \(Scale\)",
        without=("second", "bn_scale"),
    )


def test_weights_without_layers(tmp_path):
    """What the prototxt lacks is named; where the file tells that a layer in the middle is missing, even so."""

    def cut(text):
        return "\n".join(line for line in text.splitlines() if '"second"' not in line[:30]).replace(
            'bottom: "second"', 'bottom: "first"'
        )

    for definitions in (False, True):
        message = r"has the weights of 1 layers that the prototxt does not have: second\..*skip=\['second'\]"
        refused(tmp_path, small(), message, text=cut, definitions=definitions)
    net = small()
    prototxt, weights = net.write(tmp_path)
    prototxt.write_text(cut(prototxt.read_text()))
    _, receipt = converters.convert(weights, prototxt=prototxt, skip=["second"])
    assert receipt.ignored["second"] == "left out by skip="


# What the message says -> what is replaced in the prototxt, and by what.
CHANGES = {
    r"'first' \(Convolution, line 3\), needs a weight of the shape \[5, 3, 3, 3\] .* the file has \[4, 3, 3, 3\]": (
        "num_output: 4",
        "num_output: 5",
    ),
    r"'second'.*needs the weights weight, and the file has weight, bias for it": (
        'top: "second" convolution_param {',
        'top: "second" convolution_param { bias_term: false',
    ),
    r"'first_relu1' \(Squash, line 4\), is of a type that has no counterpart in Keras": ('"ReLU"', '"Squash"'),
    r"'first'.*has the parameter quantum in its convolution_param": ("num_output: 4", "quantum: 1 num_output: 4"),
    r"'first'.*has the field extra_param": ("convolution_param {", "extra_param { a: 1 } convolution_param {"),
    r"'bn'.*statistics of the batch \(use_global_stats: false\)": (
        'type: "BatchNorm"',
        'type: "BatchNorm" batch_norm_param { use_global_stats: false }',
    ),
    r"'score'.*needs a kernel, and a stride": ("kernel_size: 1", "kernel_size: 1 stride: 0"),
    r"reads the blob 'data' of 2 axes; an image": (
        "input_dim: 1 input_dim: 3 input_dim: 32 input_dim: 32",
        "input_shape { dim: 1 dim: 7 }",
    ),
    r"'second' is Convolution in the file and InnerProduct in the prototxt": (
        'name: "second" type: "Convolution"',
        'name: "second" type: "InnerProduct"',
    ),
    r"'first'.*states both pad and pad_h": ("pad: 1", "pad: 1 pad_h: 1"),
    r"'first'.*needs a kernel": ("kernel_size: 3", "kernel_size: 0"),
    r"describes no layer that computes a result": ('"Convolution"', '"EuclideanLoss"'),
}


@pytest.mark.parametrize("message", CHANGES)
def test_prototxt_and_weights_disagree(tmp_path, message):
    old, new = CHANGES[message]
    if "EuclideanLoss" in new:
        net = Net(data=(3, 32, 32))
        net.conv("data", 4, name="first")
    else:
        net = small()
    assert old in net.prototxt()
    refused(tmp_path, net, message, text=lambda text: text.replace(old, new))


def layers(kind, **parameters):
    def add(net):
        net.add(kind, net.conv("data", 4), name="it", **parameters)

    return add


def batch_statistics(net):
    net.add("BN", net.conv("data", 4), name="it", blobs=[net.numbers(4), net.numbers(4)])


def sums(net):
    ones = [np.full(1, 3, "float32")]
    blobs = [net.numbers(4), net.numbers(4), *ones, net.numbers(4), net.numbers(4)]
    net.add("BatchNorm", net.conv("data", 4), name="it", blobs=blobs, scale_bias=True)


def differing(net):
    text = 'param { name: "w" }'
    net.conv(net.conv("data", 3, bias=False, text=text), 3, bias=False, text=text)


REFUSED = {
    r"'it' \(Python": layers("Python"),
    r"'it' \(DetectionOutput": layers("DetectionOutput"),
    r"'it'.*pools by STOCHASTIC": layers("Pooling", pool="STOCHASTIC", kernel_size=2),
    r"'it'.*averages windows that lie after the end of the map": layers("Pooling", pool="AVE", kernel_size=1, stride=2),
    r"'it'.*states kernel_h alone": layers("Pooling", kernel_h=2),
    r"'it'.*drops numbers at random in prediction": layers("Dropout", sample_weights_test=True),
    r"'it'.*gives the 5 largest numbers": layers("ArgMax", top_k=5, axis=1),
    r"'it'.*states no offset: .*FCN and HED": lambda net: net.add(
        "Crop", net.conv("data", 4, pad=5), "data", name="it"
    ),
    r"reads constants beside its image: the layer 'filled'": lambda net: net.add(
        "Eltwise", net.conv("data", 4), net.add("DummyData", name="filled"), name="it"
    ),
    r"'it'.*sums up the images of a batch": layers("Reduction"),
    r"'it'.*states no size": layers("Interp", height=7),
    r"'it'.*can only cut pixels off": layers("Interp", pad_beg=1, zoom_factor=2),
    r"'it'.*needs an odd local_size": layers("LRN", local_size=4),
    r"'it'.*has the axis 7 of a blob with 4 axes": layers("Softmax", axis=7),
    r"'it'.*1 points for 1 parts": layers("Slice", slice_point=2),
    r"'it'.*Fold them into its factors": batch_statistics,
    r"'it' \(BatchNorm\) has five blobs, and its statistics have the factor 3": sums,
    r"one weight, 'w', and in the file they differ": differing,
}


@pytest.mark.parametrize("message", REFUSED)
def test_layers_that_are_not_exact_are_refused_by_name(tmp_path, message):
    net = Net(data=(3, 32, 32))
    REFUSED[message](net)
    refused(tmp_path, net, message)


def test_weights_alone_of_a_fork_or_without_layers(tmp_path):
    message = "does not say how the layers are connected. Give its prototxt: .*--prototxt"
    refused(tmp_path, small(), message, prototxt=False)
    net = Net(data=(3, 32, 32))
    net.relu(net.conv("data", 4, text="fork_param { negative_slope: 1 }", name="first"))
    message = r"layer 'first' \(Convolution\) has the field 150, which Caffe's lacks. .* a fork of Caffe"
    refused(tmp_path, net, message, prototxt=False, definitions=True)


def test_images_whose_channels_nothing_tells(tmp_path):
    net = Net(data=(3, 32, 32))
    net.add("Softmax", net.add("LRN", "data"))
    net.conv("lrn0", 4)
    net.layers[-1] = net.layers[-1]._replace(bottoms=("softmax1",))
    message = "does not state the channels of the image 'data'"
    refused(tmp_path, net, message, text=lambda text: text.replace("input_dim: 3", "input_dim: 0"))


def test_numbers_that_are_not_finite(tmp_path):
    net = small()
    net.layers[0].blobs[0][0] = np.nan
    refused(tmp_path, net, r"first.weight is not finite.*--allow_nonfinite")
