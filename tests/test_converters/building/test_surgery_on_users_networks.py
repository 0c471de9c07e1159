"""`dilate`, `check_dilation` and `convolutionalize` on networks of users, built through every door.

Each is exact or is refused by the name of its layer; the table says which.
"""

import re
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import torch
from helpers import caffe_networks, tf1_graphs
from helpers.caffe_programs import Net
from helpers.references import images, relative
from helpers.torchvision_cpu import import_torchvision
from keras import layers

import converters
import tfseg

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.export's own, timm's own


class Row(NamedTuple):
    """What is expected of a network: "" that it is exact, else what the refusal says."""

    make: Any
    dilate: str = ""
    slide: str = ""
    stride: int = 8
    size: tuple[int, int] = (96, 128)  # of the images, where the network takes any


# -------------------------------------------------------------------------------------------------------------- sources


def hub(name):
    """A folder of timm, as its own `save_for_hf` writes it."""

    def make(folder):
        import_torchvision()
        timm = pytest.importorskip("timm")
        torch.manual_seed(0)
        module = timm.create_model(name, num_classes=5).eval()
        with torch.no_grad():
            for key, buffer in module.named_buffers():
                if key.endswith("running_var"):
                    buffer.uniform_(0.5, 2)
        timm.models.save_for_hf(module, folder, safe_serialization=True)
        return folder, {}

    return make


def caffe(build):
    def make(folder):
        prototxt, weights = build().write(folder)
        return weights, {"prototxt": prototxt}

    return make


def keras_file(build):
    def make(folder):
        model, random = build(), np.random.default_rng(0)
        for variable in model.weights:
            if variable.dtype.startswith("float"):
                low, high = (0.5, 1.5) if "variance" in variable.name else (-0.3, 0.4)
                variable.assign(random.uniform(low, high, variable.shape))
        model.save(folder / "net.keras")
        return folder / "net.keras", {}

    return make


def graph(build):
    return lambda folder: (tf1_graphs.frozen(build, folder / "net.pb"), {})


# ------------------------------------------------------------------------------------------------------------- networks


def blocks():
    """Sequential blocks inside a Sequential model, as tutorials for CIFAR have them."""

    def block(filters):
        conv = layers.Conv2D(filters, 3, padding="same", activation="relu")
        return keras.Sequential([conv, layers.BatchNormalization(), layers.MaxPooling2D()])

    head = [layers.Flatten(), layers.Dense(16, activation="relu"), layers.Dropout(0.5)]
    return keras.Sequential(
        [keras.Input((64, 64, 3)), *map(block, (6, 8, 10, 12)), *head, layers.Dense(4, activation="softmax")]
    )


def convnet():
    """The MNIST network of keras.io."""
    convs = [layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(2), layers.Conv2D(12, 3, activation="relu")]
    head = [layers.MaxPooling2D(2), layers.Flatten(), layers.Dropout(0.5), layers.Dense(10, activation="softmax")]
    return keras.Sequential([keras.Input((28, 28, 1)), *convs, *head])


def small_xception():
    """Residual blocks of separable convolutions, as keras.io classifies images from scratch."""
    image = keras.Input((64, 64, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same")(layers.Rescaling(1 / 255)(image))
    x = previous = layers.Activation("relu")(layers.BatchNormalization()(x))
    for filters in (8, 16, 24):
        for _ in range(2):
            x = layers.SeparableConv2D(filters, 3, padding="same")(layers.Activation("relu")(x))
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        x = previous = layers.add([x, layers.Conv2D(filters, 1, strides=2, padding="same")(previous)])
    return keras.Model(image, layers.Dense(4)(layers.Dropout(0.25)(layers.GlobalAveragePooling2D()(x))))


def fine_tuned():
    """A backbone of keras.applications as a model inside."""
    image = keras.Input((64, 64, 3))
    backbone = keras.applications.MobileNetV2((64, 64, 3), include_top=False, weights=None, alpha=0.35)
    return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(backbone(image, training=False))))


def two_inputs():
    color, depth = keras.Input((64, 64, 3), name="color"), keras.Input((64, 64, 1), name="depth")
    x = layers.Concatenate()([layers.Conv2D(4, 3, strides=2, padding="same")(part) for part in (color, depth)])
    for _ in range(3):
        x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    return keras.Model([color, depth], layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def unet():
    image = keras.Input((64, 64, 3))
    skip = layers.Conv2D(6, 3, padding="same", activation="relu")(image)
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.MaxPooling2D()(skip))
    x = layers.Conv2D(8, 3, padding="same")(layers.MaxPooling2D()(x))
    return keras.Model(image, layers.Conv2D(2, 1)(layers.Concatenate()([skip, layers.UpSampling2D(4)(x)])))


def nvidia():
    """BatchNorms of five blobs, which scale, too."""
    net, x = Net(data=(3, 64, 64)), "data"
    for filters in (8, 12, 16, 20):
        x = net.conv(x, filters, 3, stride=2, bias=False)
        blobs = [net.numbers(filters, scale=0.3), np.abs(net.numbers(filters, scale=0.3, around=1.5)) + 0.2]
        blobs += [np.ones(1, "float32"), net.numbers(filters, scale=0.2, around=1), net.numbers(filters, scale=0.2)]
        x = net.relu(net.add("BatchNorm", x, blobs=blobs, scale_bias=True))
    net.dense(net.add("Pooling", x, pool="AVE", global_pooling=True), 5, 20)
    return net


def alexnet():
    net = Net(data=(3, 67, 67))
    x = net.pool(net.relu(net.conv("data", 12, 11, stride=4, pad=0)), 3, 2)
    x = net.conv(net.add("LRN", x, local_size=5, alpha=0.0001), 16, 5, group=2)
    x = net.relu(net.conv(net.pool(net.relu(x), 3, 2), 16, 3))
    x = net.relu(net.dense(x, 24, 16 * 3 * 3))
    net.dense(net.add("Dropout", x, tops=x), 5, 24)
    return net


UNKNOWN = r"\(WindowPooling\).*cannot be dilated"
PLACES = r"'\w+' \(MaximumPlaces\) of the model 'net_of_test' cannot be dilated"
NO_SCORES = "is no vector of scores that could slide"

NETWORKS = {
    **{
        f"timm {name}": Row(hub(name))
        for name in (
            "lcnet_035 mobilenetv3_small_050 regnetx_002 resnet10t ghostnet_050 efficientnet_b0 repvgg_a0 "
            "convnext_atto hgnet_tiny"
        ).split()
    },
    "timm mobilevitv2_050": Row(hub("mobilevitv2_050"), r"'stages_2_1' \(Interpolate\)", r"\(ReshapeLike\)"),
    "Keras blocks": Row(keras_file(blocks)),
    "Keras convnet": Row(keras_file(convnet), stride=2),
    "Keras small Xception": Row(keras_file(small_xception)),
    "Keras fine-tuned": Row(keras_file(fine_tuned)),
    "Keras two inputs": Row(keras_file(two_inputs), "", "takes one image"),
    "Keras U-Net": Row(
        keras_file(unet), r"'up_sampling2d' \(UpSampling2D\).*enlarges a map that is denser", NO_SCORES, stride=2
    ),
    "NVCaffe": Row(caffe(nvidia)),
    "Caffe AlexNet": Row(caffe(alexnet)),
    "Caffe GoogLeNet": Row(caffe(lambda: caffe_networks.googlenet(auxiliary=False))),
    "Caffe SqueezeNet": Row(caffe(lambda: caffe_networks.squeezenet((65, 83))), stride=4),
    "Caffe MobileNet": Row(caffe(lambda: caffe_networks.mobilenet((64, 64))), stride=4),
    "Caffe SENet": Row(caffe(lambda: caffe_networks.senet()), stride=4),
    "Caffe DenseNet": Row(caffe(lambda: caffe_networks.densenet((64, 64)))),
    "Caffe ShuffleNet": Row(caffe(lambda: caffe_networks.shufflenet((64, 64))), UNKNOWN, r"\(WindowPooling\)"),
    "DeepLab": Row(
        caffe(lambda: caffe_networks.deeplab_large_fov((65, 65))),
        r"'fc8_interp' \(Rescale\).*it chooses its own pixels",
        r"'fc8_interp' \(Rescale\)",
        stride=2,
    ),
    "PSPNet": Row(caffe(lambda: caffe_networks.pspnet()), r"_interp' \(Interpolate\)", r"_interp' \(Interpolate\)"),
    "SegNet": Row(caffe(lambda: caffe_networks.segnet((45, 60))), PLACES, r"\(MaximumPlaces\)"),
    "TensorFlow classifier": Row(graph(tf1_graphs.classifier), stride=4),
    "TensorFlow DeepLab": Row(
        graph(tf1_graphs.deeplab_mobilenet), r"'ResizeBilinear_3' \(ResizeLike\).*interpolates", NO_SCORES, stride=4
    ),
}
QUICK = ("Keras blocks", "NVCaffe", "TensorFlow classifier")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.full) for name in NETWORKS]
)
def test_surgery_is_exact_or_refused_by_name(tmp_path, name):
    row = NETWORKS[name]
    source, options = row.make(tmp_path)
    model, _ = converters.convert(source, **options)
    pixels = [
        images(*(shape[1:3] if shape[1] else row.size), channels=shape[3])
        for shape in (tensor.shape for tensor in model.inputs)
    ]
    pixels = pixels if len(pixels) > 1 else pixels[0]
    _check_dilation(row, model, pixels)
    _check_sliding(row, model, pixels)


def _check_dilation(row, model, pixels):
    if row.dilate:
        with pytest.raises(ValueError, match=row.dilate):
            tfseg.dilate(model, output_stride=row.stride)
        return
    for network in (model, _features(model)):  # with its scores, and up to its last map
        dilated = tfseg.dilate(network, output_stride=row.stride)
        tfseg.check_dilation(network, dilated, pixels).assert_holds()
    before, after = np.asarray(network(pixels)).shape, np.asarray(dilated(pixels)).shape
    assert after[1] > before[1] or _rates(dilated) > _rates(network)


def _features(model):
    maps = [
        layer.output
        for layer in model.layers
        if isinstance(layer.output, keras.KerasTensor) and layer.output.ndim == 4 and layer.output.shape[1] != 1
    ]
    return keras.Model(model.input, maps[-1])


def _rates(model):
    """The sum of all dilation rates, which dilation raises where the result is resized to the image."""
    text = str([layer.get_config().get("dilation_rate") for layer in model.layers])
    return sum(map(int, re.findall(r"\d+", text)))


def _check_sliding(row, model, pixels):
    size = None if model.input_shape[1:3] != (None, None) else row.size
    if row.slide:
        with pytest.raises(ValueError, match=row.slide):
            tfseg.convolutionalize(model, input_size=size)
        return
    sliding = tfseg.convolutionalize(model, input_size=size)
    scores, expected = np.asarray(sliding(pixels)), np.asarray(model(pixels))
    assert scores.shape[1:3] == (1, 1)
    assert relative(scores.reshape(expected.shape), expected) <= 1e-5
    height, width = pixels.shape[1:3]
    larger = sliding(images(height + 64, width + 64, channels=pixels.shape[3]))
    assert min(larger.shape[1:3]) > 1
