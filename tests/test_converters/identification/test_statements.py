"""What config.json and labels say of the network: it is built so, or refused with the reason and the way out."""

import argparse
import json

import numpy as np
import pytest
import torch
from helpers import checkpoints
from helpers.references import filled_module, images, relative, timm_net, torch_output
from helpers.torchvision_cpu import import_torchvision

import converters
import tfseg
from converters import ConversionError

import_torchvision()
smp = pytest.importorskip("segmentation_models_pytorch")
transformers = pytest.importorskip("transformers")


def segmenter(name, **options):
    return filled_module(
        getattr(smp, name), 0, 1.0, encoder_name="resnet18", encoder_weights=None, classes=2, **options
    )


def difference(model, module, channels=3, size=(64, 96)):
    pixels = images(*size, channels=channels)
    return relative(model(pixels), torch_output(module, pixels))


# ----------------------------------------------------------------------------------------- segmentation_models.pytorch


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("DeepLabV3", {}),
        ("DeepLabV3", {"encoder_output_stride": 16}),
        ("DeepLabV3", {"decoder_atrous_rates": (6, 12, 18), "activation": "identity"}),
        ("DeepLabV3", {"in_channels": 4, "decoder_channels": 32}),
        ("DeepLabV3Plus", {"encoder_output_stride": 8, "in_channels": 1}),
        ("PSPNet", {"psp_out_channels": 64}),
        ("PSPNet", {"aux_params": {"classes": 3}}),
        ("DeepLabV3Plus", {"aux_params": {"classes": 3, "pooling": "max", "activation": "sigmoid"}}),
        ("Unet", {"decoder_interpolation": "bilinear", "decoder_channels": (32, 16, 16, 8, 8)}),
        ("UnetPlusPlus", {"decoder_interpolation": "bilinear", "decoder_channels": (32, 16, 16, 8, 8)}),
        ("FPN", {"decoder_interpolation": "bilinear", "decoder_merge_policy": "cat"}),
        ("PAN", {"decoder_interpolation": "nearest", "encoder_output_stride": 32}),
        ("Segformer", {"decoder_segmentation_channels": 32, "aux_params": {"classes": 3}}),
    ],
)
def test_arguments_of_smp_are_obeyed(tmp_path, name, options):
    module = segmenter(name, **options)
    module.save_pretrained(tmp_path)
    model, receipt = converters.convert(tmp_path)
    if "aux_params" in options:  # the module returns the classes of the whole image, too
        module.classification_head = None
        assert "classification head" in str(receipt)
    size = (256, 320) if name == "PAN" else (64, 96)  # PAN halves the map of stride 32 three times
    assert difference(model, module, options.get("in_channels", 3), size) < 1e-5
    assert any("config.json says" in note for note in receipt.notes)
    beside = converters.convert(tmp_path / "model.safetensors", family=receipt.family)[1]
    assert (beside.options, beside.network) == (receipt.options, receipt.network)


@pytest.mark.quick_variants(3)
@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("DeepLabV3", {"activation": "sigmoid"}, "activation='sigmoid'"),
        ("DeepLabV3", {"upsampling": 4}, "upsampling=4"),
        ("DeepLabV3", {"encoder_output_stride": 16, "upsampling": 8}, "upsampling=8"),
        ("DeepLabV3", {"encoder_depth": 4}, "encoder_depth=4"),
        ("DeepLabV3", {"decoder_aspp_separable": True}, "decoder_aspp_separable=True"),
        ("DeepLabV3Plus", {"decoder_aspp_separable": False}, "decoder_aspp_separable=False"),
        ("DeepLabV3Plus", {"upsampling": 1}, "upsampling=1"),
        ("PSPNet", {"decoder_use_norm": {"type": "batchnorm", "eps": 0.1}}, "decoder_use_norm="),
        ("PSPNet", {"encoder_depth": 4}, "encoder_depth=4"),
        ("Unet", {"decoder_use_norm": False}, "decoder_use_norm=False"),
        ("Unet", {"encoder_depth": 4, "decoder_channels": (32, 16, 16, 8)}, "encoder_depth=4"),
        ("Unet", {"decoder_interpolation": "bicubic"}, r"decoder_interpolation=\['bicubic'\]"),
        ("FPN", {"upsampling": 2}, "upsampling=2"),
    ],
)
def test_arguments_of_smp_that_cannot_be_built_are_refused(tmp_path, name, options, message):
    segmenter(name, **options).save_pretrained(tmp_path)
    for path in (tmp_path, tmp_path / "model.safetensors"):
        with pytest.raises(ConversionError, match=rf"config.json says.*{message}"):
            converters.identify(path)  # `convert` lets the package build it


def test_arguments_that_are_not_known_are_refused(tmp_path):
    segmenter("DeepLabV3").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"decoder_attention": "scse"}))
    with pytest.raises(ConversionError, match="decoder_attention='scse': an argument that is not known here"):
        converters.convert(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"classes": 5}))
    with pytest.raises(ConversionError, match="states 5 classes, and the tensors have 2"):
        converters.identify(tmp_path)


def test_hyper_parameters_of_smp_are_obeyed(tmp_path):
    module = segmenter("DeepLabV3", encoder_output_stride=16)
    options = {"arch": "deeplabv3", "encoder_name": "resnet18", "encoder_output_stride": 16, "out_classes": 2}
    torch.save({"state_dict": module.state_dict(), "hyper_parameters": options}, tmp_path / "last.ckpt")
    model, receipt = converters.convert(tmp_path / "last.ckpt")
    assert difference(model, module) < 1e-5
    assert receipt.options["output_stride"] == 16


@pytest.mark.full
def test_import_into_a_model_of_another_form_is_refused(tmp_path):
    module = segmenter("DeepLabV3", encoder_output_stride=16)
    module.save_pretrained(tmp_path)
    options = {"num_classes": 2, "convention": "new", "upsampling": "bilinear_align_corners", "rates": (12, 24, 36)}
    with pytest.raises(
        ConversionError, match=r"output_stride=16. The model has another form: conv4_block1_1_conv has strides"
    ):
        converters.import_weights(tfseg.build("deeplabv3_resnet18", output_stride=8, **options), tmp_path)
    model = tfseg.build("deeplabv3_resnet18", output_stride=16, **options)
    converters.import_weights(model, tmp_path)
    assert difference(model, module) < 1e-5


@pytest.mark.full
@pytest.mark.parametrize("name", ["resnet18", "resnetblur18"])
def test_import_into_a_double_of_the_stated_network_is_refused(tmp_path, name):
    save_timm(tmp_path, name)
    other = {"resnet18": "resnetblur18", "resnetblur18": "resnet18"}[name]
    for head, options in (("", {"include_top": True}), ("fcn_", {})):
        with pytest.raises(
            ConversionError, match=f"config.json says architecture '{name}'.*another network with the same"
        ):
            converters.import_weights(tfseg.build(f"{head}{other}", num_classes=3, **options), tmp_path)
        converters.import_weights(tfseg.build(f"{head}{name}", num_classes=3, **options), tmp_path)


@pytest.mark.full
def test_import_of_a_label_that_says_a_double_is_refused(tmp_path):
    path = labeled(tmp_path, arch="resnetaa50")
    options = {"width": 1 / 8, "num_classes": 7, "include_top": True}
    with pytest.raises(ConversionError, match=r"the label arch says 'resnetaa50'.*pool1_pool"):
        converters.import_weights(tfseg.build("resnet50", **options), path)
    converters.import_weights(tfseg.build("resnetaa50", **options), path)


# ------------------------------------------------------------------------------------------------------- transformers

BASIC = {"depths": [2, 2, 2, 2], "hidden_sizes": [8, 16, 32, 64], "embedding_size": 8, "layer_type": "basic"}
BOTTLENECKS = {"depths": [3, 4, 6, 3], "hidden_sizes": [32, 64, 128, 256], "embedding_size": 8}


def save_resnet(folder, **options):
    config = transformers.ResNetConfig(**options)
    module = filled_module(transformers.ResNetForImageClassification, 0, 1.0, config=config)
    module.save_pretrained(folder)
    return module


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("options", [BASIC, BOTTLENECKS, BOTTLENECKS | {"downsample_in_bottleneck": True}])
def test_configuration_of_transformers_is_obeyed(tmp_path, options):
    module = save_resnet(tmp_path, **options, id2label={0: "cat", 1: "dog", 2: "owl"})
    numbers = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.2]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(numbers))
    model, receipt = converters.convert(tmp_path)
    pixels = images(64, 96)
    expected = module(torch.from_numpy(pixels.transpose(0, 3, 1, 2))).logits.numpy()
    assert relative(model(pixels), expected) < 1e-5
    assert tfseg.metadata(model)["classes"] == ["cat", "dog", "owl"]
    assert tuple(receipt.preprocessing["mean"]) == (0.5, 0.4, 0.3)
    assert tuple(tfseg.metadata(model)["preprocessing"]["std"]) == (0.2, 0.2, 0.2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (BASIC | {"hidden_act": "gelu"}, "hidden_act='gelu'"),
        (BOTTLENECKS | {"downsample_in_first_stage": True}, "downsample_in_first_stage=true"),
        (BASIC | {"depths": [1, 1, 1, 1]}, r"depths \[1, 1, 1, 1\].*not known here"),
    ],
)
def test_configuration_of_transformers_that_cannot_be_built_is_refused(tmp_path, options, message):
    save_resnet(tmp_path, **options)
    with pytest.raises(ConversionError, match=rf"config.json says.*{message}"):
        converters.identify(tmp_path)  # `convert` lets the package build it


def test_other_kinds_of_models_are_refused_by_name(tmp_path):
    save_resnet(tmp_path, **BASIC)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "convnext", "architectures": ["ConvNextModel"]}))
    with pytest.raises(ConversionError, match=r"model_type 'convnext' of transformers \(ConvNextModel\).*ONNX"):
        converters.convert(tmp_path)


# --------------------------------------------------------------------------------------------------------------- timm


def save_timm(folder, name, change=None, **options):
    from timm.models._hub import save_for_hf

    module = timm_net(name, num_classes=3, **options)
    save_for_hf(module, folder, safe_serialization=True)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps((change or (lambda config: config))(config)))
    return module


@pytest.mark.quick_variants(2)
@pytest.mark.parametrize("name", ["resnet18", "resnetblur18", "resnet18d", "seresnet18"])
def test_architecture_of_timm_decides(tmp_path, name):
    module = save_timm(tmp_path, name)
    assert converters.identify(tmp_path).network == name
    model, _ = converters.convert(tmp_path)
    assert difference(model, module) < 1e-5


def legacy(config):
    """The form of old files: everything at the top."""
    return {"architecture": config["architecture"], **config["pretrained_cfg"], "mean": [0.5] * 3, "std": [0.5] * 3}


def test_old_form_of_timms_configuration(tmp_path):
    save_timm(tmp_path, "resnetblur18", legacy)
    model, receipt = converters.convert(tmp_path)
    assert (model.name, tuple(receipt.preprocessing["mean"])) == ("resnetblur18", (0.5, 0.5, 0.5))


@pytest.mark.quick_variants(2)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "resnet18_gn"}, "'resnet18_gn' of timm.*not known here"),
        ({"architecture": "resnet50"}, "the tensors, or what was asked for, are resnet18"),
        ({"global_pool": "max"}, "global_pool='max'"),
        ({"global_pool": ""}, "global_pool=''"),
        ({"model_args": {"act_layer": "gelu"}}, "act_layer='gelu'"),
        ({"model_args": {"aa_layer": "avg"}}, "aa_layer='avg'"),
        ({"num_classes": 7}, "states 7 classes, and the tensors have 3"),
    ],
)
def test_configuration_of_timm_that_contradicts_is_refused(tmp_path, change, message):
    save_timm(tmp_path, "resnet18", lambda config: config | change)
    with pytest.raises(ConversionError, match=rf"config.json says.*{message}"):
        converters.identify(tmp_path)  # `convert` lets the package build it
    with pytest.raises(ConversionError, match=r"config.json says"):
        converters.convert(tmp_path, network="resnet18")


def test_network_that_the_configuration_contradicts_is_refused(tmp_path):
    save_timm(tmp_path, "resnetblur18")
    with pytest.raises(ConversionError, match=r"config.json says architecture 'resnetblur18'"):
        converters.convert(tmp_path, network="resnet18")


def test_known_numbers_are_the_known_preprocessing(tmp_path):
    save_timm(tmp_path, "resnet18")
    _, receipt = converters.convert(tmp_path)
    assert receipt.preprocessing is tfseg.specs.PREPROCESSING["torch"]
    _, receipt = converters.convert(tmp_path, preprocessing="caffe")
    assert receipt.preprocessing is tfseg.specs.PREPROCESSING["caffe"]


def test_configuration_of_another_model_in_the_folder_breaks_nothing(tmp_path):
    path = checkpoints.save(tmp_path / "street.pth", checkpoints.state("torchvision/resnet"))
    for config in ({"model_type": "bert"}, {"_model_class": "Unet"}, {"architecture": "vit_base"}, {"lr": 0.1}, {}):
        (tmp_path / "config.json").write_text(json.dumps(config))
        assert converters.identify(path).network == "resnet50"


# ------------------------------------------------------------------------------------------------------------- labels


FIXED = {"act_layer": "gelu", "activation": "sigmoid", "aa_layer": "blurpc", "maxpool1": False, "stride_in_1x1": True}


def labeled(tmp_path, family="torchvision/resnet", **labels):
    return checkpoints.save(tmp_path / "checkpoint.pth", {"state_dict": checkpoints.state(family)} | labels)


@pytest.mark.quick_variants(every=3)
@pytest.mark.parametrize(
    "labels",
    [
        *({"arch": text} for text in ("resnet50", "ResNet-50", "resnet_50", "torchvision_resnet50", "timm/resnet50")),
        *({"arch": text} for text in ("resnet50.a1_in1k", "resnet50_pretrained", "resnet", "SimCLR", "", "street")),
        {"args": argparse.Namespace(arch="resnet50", data="/data/resnetaa50", optimizer="sgd", output_dir="vgg16")},
        {"hyper_parameters": {"model_name": "resnet50_street_run4_lr0.01", "teacher_arch": "resnet101"}},
        *({"model_name": text} for text in ("resnet50_custom_dataset_v2", "my-small-resnet50 lr 1e-4", "50 leaves")),
        *(
            {"model": text}
            for text in ("ResNet50Classifier", "ResNet50_flowers_a1", "configs/resnet50.yaml", "pytorch")
        ),
        *({"net": {"_target_": text}} for text in ("torchvision.models.resnet50", "src.models.LitModel")),
        *({"arch": text} for text in ("<function resnet50 at 0x7f01>", "<class 'torchvision.models.resnet.ResNet'>")),
        {"arch": "resnet", "depth": 50},
        {"args": argparse.Namespace(model="resnet50", aa="rand-m9", gp=None, bn_eps=None, act="none", style="street")},
        {"meta": {"config": "model = dict(backbone=dict(type='ResNet', depth=50, style='pytorch'))"}},
        {"hyper_parameters": {"model": {"backbone": "ResNet50"}, "loss": {"network": "vgg16"}}},
        {"args": argparse.Namespace(dilation=False, output_stride=32, multi_grid=None, os="linux", encoder=512)},
    ],
)
def test_harmless_labels_are_not_refused(tmp_path, labels):
    assert converters.identify(labeled(tmp_path, **labels)).network == "resnet50"


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(
    "labels",
    [
        *(
            {"arch": text}
            for text in ("resnet50_gn", "resnet50-caffe", "seresnet50", "mobilenet_v2", "wide_resnet50_2")
        ),
        *({"arch": text} for text in ("resnet101", "vgg16", "iresnet50", "resnet50v2", "resnet50_ibn_a", "unet")),
        {"args": argparse.Namespace(model="resnetxx50")},
        *({"model_name": text} for text in ("resnet50_v2", "my resnet50 d", "resnet50_custom", "resnet50 caffe style")),
        *({"model": text} for text in ("PreActResNet50", "resnet50_clip.openai", "resnext50")),
        {"cfg": {"model": {"backbone": {"type": "ResNet", "depth": 101}}}},
        {"args": argparse.Namespace(model="resnet50", gp="max")},
        {"args": argparse.Namespace(model="resnet50", bn_eps=1e-3)},
        *({"model_args": {"arch": "resnet50", option: value}} for option, value in FIXED.items()),
        {"hyper_parameters": {"model_name": "resnet50_gn_run3"}},
        {"hyper_parameters": {"model": {"backbone": "resnet50_caffe"}}},
        {"cfg": {"MODEL": {"BACKBONE": {"type": "resnet50_gn"}}}},
        {"model_args": {"replace_stride_with_dilation": [False, True, False]}},
        {"opt": argparse.Namespace(dilated=True)},
    ],
)
def test_labels_of_other_networks_are_refused_unless_overruled(tmp_path, labels):
    path = labeled(tmp_path, **labels)
    for function in (converters.identify, converters.convert):
        with pytest.raises(ConversionError, match=r"checkpoint.pth: the label \S+ says .* network='resnet50'"):
            function(path)
    _, receipt = converters.convert(path, network="resnet50")
    assert any("overrules it" in note for note in receipt.notes)


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(
    ("family", "network", "label"),
    [
        ("torchvision/vgg", "vgg16_bn", "vgg16"),
        ("torchvision/segmentation", "deeplabv3_resnet50", "deeplabv3"),
        ("torchvision/segmentation", "fcn_resnet50", "FCN-ResNet50"),
    ],
)
def test_short_names_are_understood(tmp_path, family, network, label):
    size = {"width": 1 / 16, "num_classes": 7}
    state = checkpoints.state(family, network, **size)
    path = checkpoints.save(tmp_path / "checkpoint.pth", {"state_dict": state, "arch": label})
    assert converters.identify(path).network == network


def test_label_chooses_among_networks_with_the_same_tensors(tmp_path):
    assert converters.identify(labeled(tmp_path, arch="resnetaa50")).network == "resnetaa50"
    identification = converters.identify(labeled(tmp_path, args=argparse.Namespace(model="resnetaa50")))
    assert identification.network == "resnetaa50"
    assert "the label args.model says 'resnetaa50'" in identification.evidence


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(
    ("labels", "stride"),
    [
        ({"replace_stride_with_dilation": (False, True, True)}, 8),
        ({"replace_stride_with_dilation": (False, False, True)}, 16),
        ({"output_stride": 16}, 16),
        ({"os": 8}, 8),
    ],
)
def test_stated_dilation_is_obeyed(tmp_path, labels, stride):
    model, receipt = converters.convert(labeled(tmp_path, args=argparse.Namespace(**labels)), include_top=False)
    assert receipt.options["output_stride"] == stride
    assert model(np.zeros((1, 64, 96, 3), "float32")).shape[1:3] == (64 // stride, 96 // stride)
    other, receipt = converters.convert(tmp_path / "checkpoint.pth", include_top=False, output_stride=32)
    assert other(np.zeros((1, 64, 96, 3), "float32")).shape[1:3] == (2, 3)
    assert any("output_stride" in note for note in receipt.notes)


def test_head_in_a_label_is_held_against_the_file(tmp_path):
    family = "torchvision/segmentation"
    for labels in ({"arch": "fcn_resnet50"}, {"backbone": "resnet50", "arch": "FCN"}, {"args": {"dilated": True}}):
        assert converters.identify(labeled(tmp_path, family, **labels)).network == "fcn_resnet50"
    for labels in ({"arch": "deeplabv3_resnet50"}, {"backbone": "resnet101"}, {"arch": "DeepLab"}):
        with pytest.raises(ConversionError, match=r"the label .* says .* network='fcn_resnet50'"):
            converters.identify(labeled(tmp_path, family, **labels))
