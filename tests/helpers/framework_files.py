"""Files of Keras, TensorFlow, Caffe and others, as the public hands them round: narrow networks with random weights.

A row writes a file, and gives what its network computes in the framework that the file comes from. They belong to
`helpers.public_files`, whose rows are torch modules.
"""

import dataclasses
import pathlib
import pickle
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from helpers import bonlime, caffe_nets, qubvel_keras, tf1_deeplab, tf1_frozen, tf1_nets
from helpers.keras_pspnet import pspnet
from helpers.references import output, randomize

Sizes = tuple[tuple[int, int], ...]
Written = tuple[pathlib.Path, Callable[[np.ndarray], Any]]
_SIZES: Sizes = ((128, 160), (193, 135))
_APPLICATION: Sizes = ((224, 224),)


@dataclasses.dataclass(frozen=True)
class FrameworkFile:
    """One row of the census.

    Attributes:
        package: who publishes such files.
        name: what people call it.
        write: writes the file for images of a size into a folder; gives its path, and what the network computes of
            images `(batch, height, width, 3)`.
        sizes: sizes of the images.
    """

    package: str
    name: str
    write: Callable[[pathlib.Path, tuple[int, int]], Written]
    sizes: Sizes = _SIZES


def _keras(package: str, name: str, build: Callable[[], Any], file: str, sizes: Sizes = _SIZES) -> FrameworkFile:
    """A model of Keras: whole as `.keras`, weights of Keras 3, or `.h5` of weights as Keras 2 wrote them."""

    def write(folder: pathlib.Path, size: tuple[int, int]) -> Written:
        model, path = build(), folder / file
        if file.endswith(".weights.h5"):
            model.save_weights(path)
        elif file.endswith(".h5"):
            qubvel_keras.save_weights(model, path)
        else:
            model.save(path)
        return path, lambda pixels: output(model, pixels)

    return FrameworkFile(package, name, write, sizes)


def _classifier(depth: int) -> FrameworkFile:
    """A ResNet of image-classifiers, which ends in a softmax: `save_weights`, and its scores before that."""

    def write(folder: pathlib.Path, size: tuple[int, int]) -> Written:
        qubvel_keras.segmentation_models()
        from classification_models.tfkeras import Classifiers

        model = randomize(Classifiers.get(f"resnet{depth}")[0]((*size, 3), weights=None, classes=7))
        scores = keras.Model(model.input, model.get_layer("fc1").output)
        path = qubvel_keras.save_weights(model, folder / f"resnet{depth}_imagenet_1000.h5")
        return path, lambda pixels: output(scores, pixels)

    return FrameworkFile("image-classifiers", f"resnet{depth} .h5", write)


def _saved_model(name: str) -> FrameworkFile:
    """The folder that Keras exports: a program of TensorFlow with its variables."""

    def write(folder: pathlib.Path, size: tuple[int, int]) -> Written:
        model = _application(name)()
        model.export(folder / "net", verbose=False)
        return folder / "net", lambda pixels: output(model, pixels)

    return FrameworkFile("others", "SavedModel", write, _APPLICATION)


def _application(name: str) -> Callable[[], Any]:
    def build() -> Any:
        return randomize(getattr(keras.applications, name)(weights=None, classes=7, classifier_activation=None))

    return build


def _tf1(name: str, build: Callable[[], Any], method: str = "__call__", sizes: Sizes = _SIZES) -> FrameworkFile:
    """A checkpoint of TensorFlow 1."""

    def write(folder: pathlib.Path, size: tuple[int, int]) -> Written:
        net = build()
        compute = getattr(net, method)
        compute(np.zeros((1, *size, 3), "float32"))
        return tf1_nets.save(folder / "model.ckpt", net.variables), lambda pixels: _last(compute(pixels))

    return FrameworkFile("tensorflow", name, write, sizes)


def _last(result: Any) -> Any:
    return result[-1] if isinstance(result, tuple) else result


def _frozen(name: str, build: Callable[[], Any]) -> FrameworkFile:
    """A frozen graph, as DeepLab's archives have it; its network takes images of any size here."""

    def write(folder: pathlib.Path, size: tuple[int, int]) -> Written:
        net = build()
        net(np.zeros((1, 33, 33, 3), "float32"))
        return pathlib.Path(tf1_frozen.freeze(net, folder / name)), lambda pixels: _last(net(pixels))

    return FrameworkFile("tensorflow", name, write)


def _caffe(name: str, build: Callable[[int, int], Any], sizes: Sizes = ((128, 160), (193, 135))) -> FrameworkFile:
    """A `.caffemodel`, whose network OpenCV computes."""

    def write(folder: pathlib.Path, size: tuple[int, int]) -> Written:
        from helpers.opencv_caffe import opencv

        net, layer = build(*size)
        paths = net.write(folder)
        return pathlib.Path(paths[1]), lambda pixels: opencv(paths, pixels, layer)

    return FrameworkFile("caffe", name, write, sizes)


def _nothing(package: str, name: str, file: str, content: bytes) -> FrameworkFile:
    """A file of a kind that holds no weights by name: only what is said of it counts."""

    def write(folder: pathlib.Path, size: tuple[int, int]) -> Written:
        (folder / file).write_bytes(content)
        return folder / file, lambda pixels: pixels

    return FrameworkFile(package, name, write)


def _segmenter(title: str, backbone: str) -> Callable[[], Any]:
    return lambda: qubvel_keras.public_segmenter(title, backbone)


# What PaddleClas saves: dense layers lie the other way round in it, and a key says where its tensors come from.
_PADDLE = {"conv1._conv.weight": np.ones((64, 3, 7, 7), "f4"), "StructuredToParameterName@@": {}}
FRAMEWORK_FILES: list[FrameworkFile] = [
    _keras("keras.applications", "VGG16 .h5", _application("VGG16"), "vgg16_weights.h5", _APPLICATION),
    _keras("keras.applications", "ResNet50 .h5", _application("ResNet50"), "resnet50_weights.h5", _APPLICATION),
    _keras("keras.applications", "MobileNetV2 .keras", _application("MobileNetV2"), "mnv2.keras", _APPLICATION),
    _keras("keras.applications", "MobileNetV2 .h5", _application("MobileNetV2"), "mnv2.h5", _APPLICATION),
    _keras("keras.applications", "MobileNetV2 .weights.h5", _application("MobileNetV2"), "m.weights.h5", _APPLICATION),
    _keras("bonlime", "mobilenetv2 .h5", bonlime.mobilenet, "deeplabv3_mobilenetv2_tf.h5"),
    _keras("bonlime", "xception .h5", bonlime.xception, "deeplabv3_xception_tf.h5"),
    _keras("bubbliiiing", "deeplabv3_mobilenetv2.h5", bonlime.mobilenet_plus, "deeplabv3_mobilenetv2.h5"),
    _keras("bubbliiiing", "deeplabv3_xception.h5", bonlime.xception_plus, "deeplabv3_xception.h5"),
    _keras("Vladkryvoruchko", "pspnet50_ade20k.h5", pspnet, "pspnet50_ade20k.h5", ((473, 473),)),
    _classifier(18),
    _keras(
        "segmentation_models",
        "PSPNet-resnet50 .h5",
        _segmenter("PSPNet", "resnet50"),
        "psp.h5",
        ((384, 384),),
    ),
    _keras(
        "segmentation_models", "Unet-resnet34 .h5", _segmenter("Unet", "resnet34"), "unet.h5", ((128, 160), (192, 96))
    ),
    _tf1("deeplab_xception65", lambda: tf1_deeplab.Xception(65, classes=21)),
    _tf1("deeplab_mnv2", lambda: tf1_deeplab.MobileNet(classes=21)),
    _tf1("deeplab_resnet_v1_50_beta", lambda: tf1_deeplab.BetaPlus(50)),
    _frozen("frozen_inference_graph.pb", lambda: tf1_deeplab.MobileNet(classes=21)),
    _tf1("resnet_v1_50", lambda: tf1_nets.Slim(50)),
    _tf1("resnet_v1_50_beta", lambda: tf1_deeplab.Beta(50)),
    _tf1("resnet_v2_50", lambda: tf1_nets.SlimV2(50)),
    _tf1("mobilenet_v2_1.0_224", tf1_deeplab.MobileNet, "classify"),
    _tf1("vgg_16", lambda: tf1_deeplab.Vgg(16), sizes=((224, 224),)),
    _caffe("VGG_ILSVRC_16_layers", lambda *size: caffe_nets.vgg16(), ((224, 224),)),
    _caffe("ResNet-50", lambda *size: caffe_nets.resnet(50, *size)),
    _caffe("fcn8s", lambda *size: caffe_nets.fcn("fcn8s", *size)),
    _caffe("deeplab_largefov", lambda *size: caffe_nets.deeplab_vgg(*size, enlarge=True), ((129, 161), (193, 137))),
    _caffe("SE-ResNet-50", lambda *size: caffe_nets.senet(50, *size)),
    _saved_model("MobileNetV2"),
    _nothing("others", "tflite", "model.tflite", b"\x1c\0\0\0TFL3\x14\0\x20\0"),
    _nothing("others", "MatConvNet .mat", "net.mat", b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(128) + b"\0\1IM"),
    _nothing("others", "Paddle .pdparams", "net.pdparams", pickle.dumps(_PADDLE, 2)),
]
