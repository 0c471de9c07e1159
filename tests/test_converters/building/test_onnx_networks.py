"""Public networks by way of ONNX, from both of torch's exporters, of free and of fixed size: exact, or refused."""

import keras
import numpy as np
import pytest
import torch
from helpers import onnx_graphs
from helpers.references import images, randomized_state, relative
from helpers.run_command import run
from helpers.torchvision_cpu import import_torchvision

import converters
from converters import ConversionError
from converters.building.onnx.build import FAMILY

pytestmark = pytest.mark.filterwarnings("ignore")  # the packages' and the exporters'

# Exporter -> packages -> networks. With "fixed", the file states 224 x 224 pixels.
NETWORKS = {
    "torchscript": {
        "torchvision": """
        mobilenet_v2 squeezenet1_1 shufflenet_v2_x1_0 mobilenet_v3_small efficientnet_b0 densenet121 googlenet
        inception_v3 mnasnet1_0 regnet_y_400mf convnext_tiny
        """,
        "torchvision.segmentation": "lraspp_mobilenet_v3_large deeplabv3_mobilenet_v3_large",
        "timm": """
        resnet50d resnest14d res2net50_26w_4s hrnet_w18_small efficientnet_b0 tf_efficientnet_b0 regnety_002 convnext_atto
        convnextv2_atto resnetv2_50x1_bit gcresnext26ts dla34 nfnet_l0 skresnet18 ghostnet_100
        mobilenetv4_conv_small poolformer_s12 repvgg_a0 rexnet_100 fastvit_t8 hgnet_tiny xception41 darknet53
        vovnet39a
        """,
        "segmentation_models_pytorch": """
        Unet-resnet18 FPN-resnet18 PAN-resnet18 Linknet-resnet18 DeepLabV3Plus-resnet18 Segformer-resnet18
        Unet-mobilenet_v2 Unet-efficientnet-b0 MAnet-resnet18 UnetPlusPlus-resnet18
        """,
    },
    "dynamo": {
        "torchvision": "mobilenet_v3_small shufflenet_v2_x1_0 convnext_tiny efficientnet_b0",
        "torchvision.segmentation": "lraspp_mobilenet_v3_large",
        "segmentation_models_pytorch": "Unet-resnet18",
    },
    "fixed": {
        "torchvision": "vgg11 alexnet swin_t mobilenet_v2",
        "torchvision.segmentation": "deeplabv3_mobilenet_v3_large",
        "timm": "tf_efficientnet_b0",
        "segmentation_models_pytorch": "Unet-resnet18",
    },
}
CASES = [
    (exporter, package, name)
    for exporter, packages in NETWORKS.items()
    for package, names in packages.items()
    for name in names.split()
]
QUICK = (
    ("torchvision", "squeezenet1_1"),
    pytest.param("torchvision", "shufflenet_v2_x0_5", marks=pytest.mark.full),
    ("timm", "lcnet_050"),
    ("timm", "convnext_atto"),
    pytest.param("timm", "test_resnet", marks=pytest.mark.full),
    pytest.param("timm", "test_mambaout", marks=pytest.mark.full),
    pytest.param("segmentation_models_pytorch", "Unet-densenet121", marks=pytest.mark.full),
)
_AXES = {"image": {0: "batch", 2: "height", 3: "width"}}


def build(package, name):
    models = import_torchvision().models
    if package == "torchvision":
        return getattr(models, name)(weights=None)
    if package == "torchvision.segmentation":
        return getattr(models.segmentation, name)(weights=None, weights_backbone=None)
    library = pytest.importorskip(package)
    if package == "timm":
        return library.create_model(name, pretrained=False)
    decoder, _, encoder = name.partition("-")
    return getattr(library, decoder)(encoder, encoder_weights=None, classes=3)


def export(module, path, exporter, size=(224, 224), opset=17):
    image = torch.randn(1 if exporter == "fixed" else 2, 3, *size)
    options = {"dynamo": exporter == "dynamo", "input_names": ["image"]}
    if exporter == "dynamo":
        free = torch.export.Dim.DYNAMIC
        options |= {"dynamic_shapes": ({0: free, 2: free, 3: free},), "verbose": False}
    else:
        options |= {"opset_version": opset} | ({} if exporter == "fixed" else {"dynamic_axes": _AXES})
    with torch.no_grad():
        torch.onnx.export(module, (image,), str(path), **options)
    return path


@pytest.mark.full
@pytest.mark.parametrize(("exporter", "package", "name"), CASES)
def test_public_networks_are_exact(tmp_path, exporter, package, name):
    path = export(randomized_state(build(package, name)), tmp_path / "net.onnx", exporter)
    model, receipt = converters.convert(path)
    if receipt.family != FAMILY:  # a network of a family, known by its tensors and steps
        for size in ((224, 224), (160, 256))[: 1 if exporter == "fixed" else 2]:
            image = images(*size)
            assert relative(model(image), onnx_graphs.run(path, image)[0]) <= 1e-5
        return
    # Compared with onnxruntime at sizes that were not traced, or at the file's one size: at most 1e-5, or refused.
    assert receipt.parity["max relative difference"] <= 1e-5 or "in double precision" in str(receipt)
    one_size = any("pixels only" in note for note in receipt.notes)
    assert one_size == (exporter == "fixed" and name != "mobilenet_v2")


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(("package", "name"), QUICK)
def test_small_public_networks(tmp_path, package, name):
    path = export(randomized_state(build(package, name)), tmp_path / "net.onnx", "torchscript", (64, 96))
    model, receipt = converters.convert(path)
    assert receipt.family == FAMILY
    assert receipt.parity["max relative difference"] <= 1e-5
    image = images(70, 99, batch=2)
    assert relative(model(image), onnx_graphs.run(path, image)[0]) <= 1e-5
    assert not [why for why in receipt.ignored.values() if why == "read by no step"]
    model.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(model(image), again(image))
    step = sum(layer.name.startswith("step_") for layer in model.layers)
    assert step <= 3, "layers have the names of the source's modules"


class Small(torch.nn.Module):
    """A network whose convolution has padding, so that it runs at every size."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 6, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(6)
        self.head = torch.nn.Conv2d(6, 2, 1)

    def forward(self, image):
        x = torch.nn.functional.max_pool2d(self.norm(self.conv(image)).relu(), 2)
        return self.head(torch.nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear"))


class AtItsSize(Small):
    """The same with a step that a file of one size has as numbers."""

    def forward(self, image):
        x = torch.nn.functional.max_pool2d(self.norm(self.conv(image)).relu(), 2)
        return self.head(torch.nn.functional.interpolate(x, size=image.shape[2:], mode="bilinear"))


def test_a_file_of_one_size_without_steps_of_that_size_is_free(tmp_path):
    path = export(randomized_state(Small()), tmp_path / "net.onnx", "fixed", (32, 48))
    model, receipt = converters.convert(path)
    assert model.input_shape == (None, None, None, 3)
    assert any("states one size" in note for note in receipt.notes)
    # Its bytes are also run at sizes that it does not state.
    assert "98 x 147" in receipt.parity["images"]
    assert "32 x 48" in receipt.parity["images"]
    image = images(32, 48)
    assert relative(model(image), onnx_graphs.run(path, image)[0]) <= 1e-5


def test_a_file_of_one_size_with_a_step_of_that_size_takes_it_alone(tmp_path):
    path = export(randomized_state(AtItsSize()), tmp_path / "net.onnx", "fixed", (32, 48))
    model, receipt = converters.convert(path)
    assert model.input_shape == (None, 32, 48, 3)
    (note,) = [note for note in receipt.notes if "pixels only" in note]
    assert "resizes to 32 x 48 pixels" in note
    assert "dynamic_axes" in note
    image = images(32, 48, batch=3)
    reference = np.concatenate([onnx_graphs.run(path, part[None])[0] for part in image])
    assert relative(model(image), reference) <= 1e-5


@pytest.mark.parametrize("opset", [9, 11, 13, 16, 20])
def test_every_opset(tmp_path, opset):
    module = randomized_state(Small())
    path = export(module, tmp_path / "net.onnx", "torchscript", (32, 48), opset)
    model, receipt = converters.convert(path)
    assert receipt.parity["max relative difference"] <= 1e-5
    assert {"conv", "head"} <= {layer.name for layer in model.layers}
    assert relative(model(images(34, 46)), onnx_graphs.run(path, images(34, 46))[0]) <= 1e-5


def test_what_is_asked_for_is_not_built_from_the_graph(tmp_path):
    path = export(randomized_state(Small()), tmp_path / "net.onnx", "torchscript", (32, 48))
    for options in ({"network": "resnet18"}, {"family": "torchvision/resnet"}, {"output_stride": 8}):
        with pytest.raises(ConversionError):
            converters.convert(path, **options)


@pytest.mark.full
def test_the_commands_build_and_inspect_a_graph(tmp_path):
    path = export(randomized_state(Small()), tmp_path / "street.onnx", "torchscript", (32, 48))
    inspected = run("tfseg_cli.inspect", "street.onnx", cwd=tmp_path)
    assert inspected.code == 0
    assert "`tfseg convert` builds it from its own graph" in inspected.out
    converted = run("tfseg_cli.convert", "street.onnx", "--output=street.keras", cwd=tmp_path)
    assert converted.code == 0, converted.err
    assert "street.onnx in onnxruntime" in converted.out
    model = keras.saving.load_model(tmp_path / "street.keras")
    assert relative(model(images(34, 46)), onnx_graphs.run(path, images(34, 46))[0]) <= 1e-5
