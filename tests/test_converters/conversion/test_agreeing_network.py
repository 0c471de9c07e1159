"""The network that is built is the one, of several with the same tensors, that the file itself describes."""

import keras
import pytest
import torch
from helpers import onnx_files
from helpers.random_weights import randomize_weights
from helpers.references import images, relative, timm_net, torch_output

import converters
from converters import ConversionError

IMAGE = images(65, 97)


def oldest_resnet50(width=8):
    """ResNet-50 as fchollet/deep-learning-models had it until 2018: no zeros around the first pooling."""
    layers = keras.layers

    def unit(x, name, filters, stride=1, *, project=False):
        y = x
        for part, (size, kernel) in zip("abc", ((filters, 1), (filters, 3), (4 * filters, 1)), strict=True):
            strides = stride if part == "a" else 1
            y = layers.Conv2D(size, kernel, strides=strides, padding="same", name=f"res{name}_branch2{part}")(y)
            y = layers.BatchNormalization(name=f"bn{name}_branch2{part}")(y)
            y = layers.Activation("relu")(y) if part != "c" else y
        if project:
            x = layers.Conv2D(4 * filters, 1, strides=stride, name=f"res{name}_branch1")(x)
            x = layers.BatchNormalization(name=f"bn{name}_branch1")(x)
        return layers.Activation("relu")(layers.add([y, x]))

    image = keras.Input((65, 97, 3))
    x = layers.ZeroPadding2D(3)(image)
    x = layers.Conv2D(width, 7, strides=2, name="conv1")(x)
    x = layers.Activation("relu")(layers.BatchNormalization(name="bn_conv1")(x))
    x = layers.MaxPooling2D(3, strides=2)(x)
    for stage, blocks in zip((2, 3, 4, 5), (3, 4, 6, 3), strict=True):
        for index in range(blocks):
            stride = 2 if stage > 2 and index == 0 else 1
            x = unit(x, f"{stage}{'abcdef'[index]}", width * 2 ** (stage - 2), stride, project=index == 0)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(5, activation="softmax", name="fc1000")(x))


FULL = pytest.mark.full


@pytest.mark.full
@pytest.mark.parametrize("suffix", [".h5", pytest.param(".keras", marks=FULL)])
def test_whole_model_of_the_oldest_resnet50_opens(tmp_path, suffix):
    model = oldest_resnet50()
    randomize_weights(model)
    path = tmp_path / f"resnet50{suffix}"
    model.save(path)
    built, receipt = converters.convert(path)
    assert receipt.family == "fchollet/deep-learning-models"
    assert relative(built(IMAGE), model(IMAGE)) <= 1e-5
    with pytest.raises(ConversionError, match="does not describe"):
        converters.convert(path, family="keras-team/keras-applications")


@FULL
@pytest.mark.parametrize("name", ["resnetblur18", "resnetaa50", "resnetaa34d"])
def test_pickled_doubles_open_by_their_modules(tmp_path, name):
    module = timm_net(name)
    torch.save(module, tmp_path / "net.pth")
    built, receipt = converters.convert(tmp_path / "net.pth")
    assert (receipt.family, receipt.network) == ("timm/resnet", name)
    assert relative(built(IMAGE), torch_output(module, IMAGE)) <= 1e-5


def strides_in_the_first(module):
    for stage in (module.layer2, module.layer3, module.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)


@pytest.mark.full
@pytest.mark.parametrize("kind", ["pickled", pytest.param("live", marks=FULL)])
def test_public_class_in_a_doubles_form_is_that_double(tmp_path, kind):
    module = onnx_files.net("resnet50")
    strides_in_the_first(module)
    source = module
    if kind == "pickled":
        torch.save(module, source := tmp_path / "resnetaa50.pth")  # a name says less than the modules
    built, receipt = converters.convert(source)
    assert receipt.network == "resnet50_caffe_padded"
    assert relative(built(IMAGE), torch_output(module, IMAGE)) <= 1e-5


@FULL
def test_a_network_that_is_named_is_not_exchanged(tmp_path):
    module = timm_net("resnetaa34d")
    torch.save(module, tmp_path / "net.pth")
    with pytest.raises(ConversionError, match="compute something else"):
        converters.convert(tmp_path / "net.pth", network="resnet34d")
