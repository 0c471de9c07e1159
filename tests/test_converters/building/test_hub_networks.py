"""Folders of timm, transformers and segmentation_models_pytorch: networks without a table, built by their packages."""

import importlib.util
import json

import numpy as np
import pytest
import torch
from helpers.references import images
from helpers.torchvision_cpu import import_torchvision

import converters
import tfseg
from converters.building.public.hub import from_folder

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.export's own, transformers' own


def lively(module):
    torch.manual_seed(0)
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 0.3)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2)
        for parameter in module.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return module.eval()


def timm(name, **options):
    import_torchvision()
    return pytest.importorskip("timm").create_model(name, **options)


def smp(decoder, encoder, **options):
    import_torchvision()
    return getattr(pytest.importorskip("segmentation_models_pytorch"), decoder)(
        encoder, encoder_weights=None, classes=3, **options
    )


def transformers(kind, config, **options):
    import_torchvision()
    library = pytest.importorskip("transformers")
    names = {"id2label": {i: "abcde"[i] for i in range(5)}, "label2id": {"abcde"[i]: i for i in range(5)}}
    return getattr(library, kind)(getattr(library, config)(**names, **options))


def saved(module, folder):
    if hasattr(module, "save_pretrained"):
        module.save_pretrained(folder)
    else:
        pytest.importorskip("timm").models.save_for_hf(module, folder, safe_serialization=True)
    return folder


def arrays(result):
    """The tensors of a result, in its order."""
    if result is None:
        return []
    if isinstance(result, dict) or hasattr(result, "keys"):
        result = [result[key] for key in result]
    if isinstance(result, list | tuple):
        return [array for part in result for array in arrays(part)]
    return [np.asarray(result.detach() if hasattr(result, "detach") else result)]


def check(model, module, height, width, channels=3):
    pixels = images(height, width)[..., :channels]
    with torch.no_grad():
        expected = arrays(module(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())))
    received = arrays(model(pixels, training=False))
    assert len(received) == len(expected)
    for ours, reference in zip(received, expected, strict=True):
        last = reference.transpose(0, 2, 3, 1) if reference.ndim == 4 else reference
        assert ours.shape == last.shape
        assert np.abs(ours - last).max() <= 1e-5 * np.abs(last).max()


SMALL = {
    "timm": (lambda: timm("lcnet_035", num_classes=5), 66, 97),
    "smp": (lambda: smp("Linknet", "resnet18", decoder_use_norm=False), 64, 96),
    "transformers": (
        lambda: transformers(
            "SegformerForSemanticSegmentation",
            "SegformerConfig",
            hidden_sizes=[8, 8, 8, 8],
            depths=[1, 1, 1, 1],
            num_attention_heads=[1, 1, 1, 1],
            decoder_hidden_size=8,
        ),
        64,
        97,
    ),
}


@pytest.mark.full
@pytest.mark.parametrize("package", SMALL)
def test_small_folders_of_each_package(tmp_path, package):
    make, height, width = SMALL[package]
    module = lively(make())
    model, receipt = converters.convert(saved(module, tmp_path))
    check(model, module, height, width)
    assert receipt.family.endswith("(its own code)")
    assert receipt.preprocessing is not None or package == "transformers"
    keys = {row["key"] for row in receipt.tensors} | set(receipt.ignored)
    assert keys == set(converters.read(tmp_path))
    if package == "transformers":
        assert tfseg.metadata(model)["classes"] == list("abcde")


@pytest.mark.full
def test_a_small_folder_of_timm_converts(tmp_path):
    module = lively(timm("test_convnext", num_classes=5))
    model, receipt = converters.convert(saved(module, tmp_path))
    check(model, module, 96, 128)
    assert receipt.network == "test_convnext"
    assert receipt.preprocessing["divisor"] == 255.0


class Wrapped(torch.nn.Module):
    """A classifier that returns transformers' wrapper, with its logits alone or with its maps."""

    def __init__(self, maps):
        super().__init__()
        self.conv, self.maps = torch.nn.Conv2d(3, 4, 3), maps

    def forward(self, pixel_values):
        outputs = pytest.importorskip("transformers.modeling_outputs")
        x = self.conv(pixel_values)
        return outputs.ImageClassifierOutput(logits=x.mean((2, 3)), hidden_states=(x,) if self.maps else None)


class Named(torch.nn.Module):
    """A network whose author gives its one result a name."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)

    def forward(self, image):
        return {"mask": self.conv(image)}


def test_a_wrapper_of_one_tensor_is_left_out_and_dictionaries_keep_their_keys():
    """A classifier of transformers gives an array, as the same network of a known family does."""
    import_torchvision()
    pixels = images(20, 23)
    for module, keys in ((Wrapped(False), None), (Named(), ["mask"]), (Wrapped(True), ["logits", "hidden_states"])):
        model, _ = converters.convert(lively(module))
        result = model(pixels)
        assert (list(result) if isinstance(result, dict) else None) == keys
        check(model, module, 21, 30)
        converters.compare(model, module, pixels).assert_close(1e-5)
    # The labels of a comparison are those of the results, whatever the order of the keys.
    rows = {row.reference: row.layer for row in converters.compare(model, module, pixels)}
    assert rows["logits"].startswith("step_mean")
    assert rows["hidden_states 0"] == "conv"


class MaskedWindows(torch.nn.Module):
    """Steps of transformers' Swin: a mask of each window, repeated for each image, and means of tokens."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mask", torch.randn(4, 9, 5))

    def forward(self, image):
        batch = image.shape[0]
        windows = image[..., :6, :6].reshape(batch, 3, 2, 3, 2, 3).permute(0, 2, 4, 3, 5, 1).reshape(batch * 4, 9, 3)
        mask = self.mask.unsqueeze(0).expand(batch, -1, -1, -1).reshape(batch * 4, 9, 5)
        tokens = (windows.sum(-1, keepdim=True) * mask).reshape(batch, 4 * 9, 5).transpose(1, 2)
        means = torch.nn.functional.adaptive_avg_pool1d(tokens, 7).flatten(1)
        return torch.cat([torch.nn.functional.adaptive_avg_pool1d(tokens, 1).flatten(1), means], 1)


def test_a_constant_that_is_merged_into_the_batch_is_repeated_for_each_image():
    module = lively(MaskedWindows())
    model, _ = converters.convert(module, example=torch.zeros(1, 3, 8, 8))
    pixels = images(8, 8, batch=3)
    expected = module(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())).detach().numpy()
    received = np.asarray(model(pixels))
    assert received.shape == expected.shape == (3, 40)
    assert np.abs(received - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.fixture
def folder(tmp_path):
    """A folder whose tensors are those of no network."""
    from safetensors.torch import save_file

    save_file({"stem.weight": torch.ones(3, 3)}, tmp_path / "model.safetensors")
    return tmp_path


REFUSED = {
    "code in the folder": (
        {"model_type": "resnet", "auto_map": {"AutoModel": "net.Net"}},
        r"code of the network lies in the folder \(auto_map\).*Code of a checkpoint is never run",
    ),
    "unknown in timm": (
        {"architecture": "resnet51zz", "pretrained_cfg": {}},
        r"names the architecture 'resnet51zz', which timm \d.*does not have.*Another version may have it",
    ),
    "a file that timm would fetch": (
        {"architecture": "lcnet_035", "model_args": {"checkpoint_path": "/etc/passwd"}, "pretrained_cfg": {}},
        r"has checkpoint_path among its model_args, which would fetch other files",
    ),
    "an address for timm": (
        {"architecture": "hf-hub:someone/net", "pretrained_cfg": {}},
        r"names the architecture 'hf-hub:someone/net', which timm",
    ),
    "other tensors of timm": (
        {"architecture": "lcnet_035", "num_classes": 3, "pretrained_cfg": {}},
        r"config.json says lcnet_035, and the tensors are not those of the network that timm \d.*of its tensors the "
        r"file lacks.*Received: 1 tensors",
    ),
    "unknown class of smp": (
        {"_model_class": "save", "encoder_name": "resnet18"},
        r"names the class 'save', which segmentation_models_pytorch \d.*does not have",
    ),
    "unknown argument of smp": (
        {"_model_class": "Unet", "encoder_name": "resnet18", "decoder_depths": 3},
        r"has the argument decoder_depths=3, which Unet of segmentation_models_pytorch \d.*does not have",
    ),
    "unknown kind of transformers": (
        {"model_type": "futureformer", "architectures": ["FutureModel"], "transformers_version": "9.1.0"},
        r"has the model_type 'futureformer', which transformers \d.*written with version 9.1.0: pip install "
        r"transformers==9.1.0",
    ),
    "an entry of a later version": (
        {"model_type": "vit", "architectures": ["ViTModel"], "new_norm": "rms", "transformers_version": "99.0.1"},
        r"has the entry 'new_norm', which transformers \d.*written with version 99.0.1: pip install",
    ),
    "unknown class of transformers": (
        {"model_type": "vit", "architectures": ["ViTForSoup"]},
        r"names the class ViTForSoup, which transformers",
    ),
    "text": (
        {"model_type": "bert", "architectures": ["BertModel"], "num_hidden_layers": 1, "hidden_size": 12},
        r"BertModel reads input_ids and not an image",
    ),
    "quantized": (
        {"model_type": "vit", "architectures": ["ViTModel"], "quantization_config": {"bits": 4}},
        r"has a quantization_config: its weights are quantized",
    ),
    "other tensors of transformers": (
        {
            "model_type": "vit",
            "architectures": ["ViTModel"],
            "num_hidden_layers": 1,
            "hidden_size": 12,
            "image_size": 32,
            "transformers_version": "4.30.0",
        },
        r"not those of the network that transformers \d.*written with transformers 4.30.0: pip install "
        r"transformers==4.30.0",
    ),
}


@pytest.mark.quick_variants(every=3)
@pytest.mark.parametrize("case", REFUSED)
def test_folders_that_are_not_what_they_say_are_refused(folder, case):
    config, way = REFUSED[case]
    import_torchvision()
    for package in ("timm", "segmentation_models_pytorch", "transformers"):
        pytest.importorskip(package)
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(converters.ConversionError, match=f"(?s){way}"):
        converters.convert(folder)


def test_without_the_package_the_refusal_says_what_to_install(folder, monkeypatch):
    config = {"model_type": "swin", "architectures": ["SwinModel"], "transformers_version": "4.44.2"}
    (folder / "config.json").write_text(json.dumps(config))
    there = importlib.util.find_spec
    missing = lambda name, *rest: None if name == "transformers" else there(name, *rest)  # noqa: E731
    monkeypatch.setattr(from_folder.importlib.util, "find_spec", missing)
    way = r"transformers is not installed. The file was written with transformers 4.44.2. Install it: pip install "
    with pytest.raises(converters.ConversionError, match=rf"{way}transformers==4.44.2"):
        converters.convert(folder)


def test_numbers_that_a_loader_makes_up_are_refused():
    from converters.building.public.fill_module import fill_converted

    module = torch.nn.Linear(2, 3)
    file = {"w": np.ones((3, 2), "float32"), "b": np.arange(3, dtype="float32")}
    named = {"weight": torch.ones(3, 2), "bias": torch.arange(3.0)}
    filled = fill_converted(module, named, file, package="timm", allow_nonfinite=False)
    assert filled.keys == {"weight": "w", "bias": "b"}
    assert torch.equal(module.bias, named["bias"])
    with pytest.raises(
        converters.ConversionError, match="gives 1 tensors numbers that are no tensor of the file: bias"
    ):
        fill_converted(module, named | {"bias": torch.ones(3)}, file, package="timm", allow_nonfinite=False)
    with pytest.raises(converters.ConversionError, match="does not use 1 tensors of the file: b"):
        fill_converted(module, {"weight": named["weight"]}, file, package="timm", allow_nonfinite=False)


TIMM = """
    tf_mobilenetv3_small_minimal_100 ghostnet_050 repvgg_a0 regnety_002 convnext_atto densenet121 edgenext_xx_small
    mobilevitv2_050 pvt_v2_b0 poolformer_s12 hgnet_tiny vit_tiny_patch16_224 swin_tiny_patch4_window7_224
    efficientnet_b0
""".split()
SMP = [
    ("Unet", "mobilenet_v2"),
    ("FPN", "efficientnet-b0"),
    ("PAN", "resnet18"),
    ("UPerNet", "mit_b0"),
    ("UnetPlusPlus", "tu-mobilenetv3_small_050"),
    ("MAnet", "resnet18"),
    ("Segformer", "mit_b0"),
]
STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}
VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 64,
}
TRANSFORMERS = {
    "MobileNetV1ForImageClassification": ("MobileNetV1Config", {"depth_multiplier": 0.25}),
    "MobileNetV2ForSemanticSegmentation": ("MobileNetV2Config", {"depth_multiplier": 0.35}),
    "ConvNextForImageClassification": ("ConvNextConfig", STAGES),
    "ConvNextV2ForImageClassification": ("ConvNextV2Config", STAGES),
    "EfficientNetForImageClassification": (
        "EfficientNetConfig",
        {"width_coefficient": 0.5, "depth_coefficient": 0.5, "hidden_dim": 640},
    ),
    "RegNetForImageClassification": (
        "RegNetConfig",
        {"hidden_sizes": [16, 24, 32, 48], "depths": [1, 1, 2, 1], "groups_width": 8},
    ),
    "MobileViTForSemanticSegmentation": (
        "MobileViTConfig",
        {"hidden_sizes": [24, 32, 40], "neck_hidden_sizes": [8, 8, 16, 24, 32, 40, 64], "expand_ratio": 2.0},
    ),
    "ViTForImageClassification": ("ViTConfig", VIT),
    "BeitForImageClassification": ("BeitConfig", VIT | {"use_relative_position_bias": True}),
    "SwinForImageClassification": (
        "SwinConfig",
        {"embed_dim": 16, "depths": [1, 2], "num_heads": [2, 4], "image_size": 112},
    ),
    "PoolFormerForImageClassification": ("PoolFormerConfig", STAGES),
}


@pytest.mark.full
@pytest.mark.parametrize("name", TIMM)
def test_folders_of_timm(tmp_path, name):
    module = lively(timm(name, num_classes=7))
    model, _ = converters.convert(saved(module, tmp_path))
    size = model.input_shape[1:3] if model.input_shape[1] else (128, 160)
    check(model, module, *size)


@pytest.mark.full
@pytest.mark.parametrize(("decoder", "encoder"), SMP)
def test_folders_of_segmentation_models_pytorch(tmp_path, decoder, encoder):
    module = lively(smp(decoder, encoder))
    model, _ = converters.convert(saved(module, tmp_path))
    check(model, module, 128, 192)


@pytest.mark.full
@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_folders_of_transformers(tmp_path, kind):
    config, options = TRANSFORMERS[kind]
    module = lively(transformers(kind, config, **options))
    model, _ = converters.convert(saved(module, tmp_path))
    size = model.input_shape[1:3] if model.input_shape[1] else (128, 160)
    check(model, module, *size)


@pytest.mark.full
def test_networks_of_folders_can_be_dilated(tmp_path):
    module = lively(timm("lcnet_035", num_classes=5))
    model, _ = converters.convert(saved(module, tmp_path))
    dilated = tfseg.dilate(model, output_stride=8)
    assert tfseg.check_dilation(model, dilated, images(96, 128)).holds
