"""import_weights: into models that exist, across heads, all or nothing."""

import numpy as np
import pytest
import torch
from helpers import checkpoints, onnx_files
from helpers.references import images, output, relative

import converters
import tfseg
from converters import ConversionError
from converters.families import FAMILIES

VGG, RESNET, SEGMENTATION, FCN = checkpoints.BUILDS


def fcn(name, **options):
    return tfseg.build(name, **{"num_classes": 7, "width": 1 / 16} | options)


def values(model):
    return {variable.path: np.array(variable) for variable in model.weights}


def test_vgg16_goes_into_every_fcn():
    """The first document: convolutions copied, fully connected layers turned into convolutions, the rest left."""
    state = checkpoints.state(VGG)
    for name in tfseg.specs.FCNS:
        model = fcn(name)
        receipt = converters.import_weights(model, state)
        assert receipt.transplant == "a VGG16 classifier into an FCN"
        assert set(receipt.ignored) == {"classifier.6.weight", "classifier.6.bias"}
        assert all(path.startswith(("score_", "upscore")) for path in receipt.untouched)
        np.testing.assert_array_equal(
            model.get_layer("conv3_2").kernel, state["features.12.weight"].transpose(2, 3, 1, 0)
        )
        fc6 = state["classifier.0.weight"].reshape(256, 32, 7, 7).transpose(2, 3, 1, 0)
        np.testing.assert_array_equal(model.get_layer("fc6").kernel, fc6)
        np.testing.assert_array_equal(model.get_layer("fc7").kernel[0, 0], state["classifier.3.weight"].T)
        assert not np.any(model.get_layer("score_fr").kernel)


def test_transplanted_fcn_computes_the_classifier():
    """fc7 of the FCN on the classifier's own 224x224 pixels is fc7 of the classifier."""
    import keras

    state = checkpoints.state(VGG)
    classifier = checkpoints.model("vgg16", **checkpoints.BUILDS[VGG][1])
    segmenter = fcn("fcn32s", padding="same")
    converters.import_weights(segmenter, state)
    pixels = images(224, 224)
    map_ = output(keras.Model(segmenter.input, segmenter.get_layer("relu7").output), pixels)
    vector = output(keras.Model(classifier.input, classifier.get_layer("relu7").output), pixels)
    assert relative(map_[0, 3, 3], vector[0]) <= 1e-5  # fc6 padded by 3: the middle pixel reads the whole 7x7 map


def test_headless_vgg16_fills_the_convolutions():
    state = {key: value for key, value in checkpoints.state(VGG).items() if key.startswith("features")}
    receipt = converters.import_weights(fcn("fcn8s"), state)
    assert receipt.transplant == "the convolutions of a VGG16 into an FCN"
    assert {path for path in receipt.untouched if path.startswith("fc")} == {
        f"fc{index}/{kind}" for index in (6, 7) for kind in ("kernel", "bias")
    }


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(("source", "target"), [("fcn32s", "fcn16s"), ("fcn16s", "fcn8s"), ("fcn32s", "fcn8s")])
def test_coarse_fcns_go_into_finer_ones(source, target):
    state = checkpoints.state(FCN, source, num_classes=7, width=1 / 16)
    model = fcn(target)
    receipt = converters.import_weights(model, state)
    np.testing.assert_array_equal(model.get_layer("score_fr").kernel, state["score_fr.weight"].transpose(2, 3, 1, 0))
    new = {path.split("/")[0] for path in receipt.untouched}
    skips = {row.skip for row in tfseg.specs.FCNS[target] if row.skip} - {
        row.skip for row in tfseg.specs.FCNS[source] if row.skip
    }
    assert {layer for layer in new if layer.startswith("score")} == {f"score_{skip}" for skip in skips}
    built, _ = converters.convert(state, network=target)
    assert built.output_shape[-1] == 7


@pytest.mark.quick_variants("8")
@pytest.mark.parametrize("stride", [32, 16, 8, 4])
def test_resnet_classifier_goes_into_any_dilated_segmenter(stride):
    """The second document: the same weights at every output stride, the head new."""
    model = tfseg.FCN(tfseg.ResNet(50, output_stride=stride, width=1 / 8), 5, aux=True)
    head = values(model)
    receipt = converters.import_weights(model, checkpoints.state(RESNET))
    assert receipt.transplant == "a ResNet classifier into a segmenter"
    assert set(receipt.untouched) == {path for path in head if path.startswith(("head_", "logits", "aux_"))}
    for path in receipt.untouched:
        np.testing.assert_array_equal(values(model)[path], head[path])


def test_convert_builds_the_target_of_a_transplant():
    model, receipt = converters.convert(
        checkpoints.state(RESNET), network="fcn_resnet50", num_classes=5, output_stride=16
    )
    assert model.output_shape[-1] == 5
    assert receipt.options["output_stride"] == 16
    assert np.std(model.get_layer("head_conv").kernel) > 0
    assert tfseg.metadata(model)["classes"] is None


@pytest.mark.full
def test_segmenter_goes_into_models_with_fewer_heads():
    state = checkpoints.state(SEGMENTATION)
    receipt = converters.import_weights(tfseg.FCN(tfseg.ResNet(50, output_stride=8, width=1 / 8), 7), state)
    assert receipt.transplant == "a segmenter without its auxiliary head"
    receipt = converters.import_weights(tfseg.ResNet(50, width=1 / 8), state)
    assert receipt.transplant == "a segmenter into its features"


@pytest.mark.full
def test_transplant_never_hides_a_missing_tensor():
    state = checkpoints.state(VGG)
    del state["classifier.3.bias"]
    with pytest.raises(ConversionError, match=r"classifier.3.bias \(for fc7/bias\)"):
        converters.import_weights(fcn("fcn32s"), state)
    state = checkpoints.state(SEGMENTATION)
    del state["classifier.4.bias"]
    with pytest.raises(ConversionError, match=r"classifier.4.bias \(for logits/bias\)"):
        converters.import_weights(tfseg.FCN(tfseg.ResNet(50, output_stride=8, width=1 / 8), 7, aux=True), state)


def test_nothing_is_written_unless_everything_fits():
    model = fcn("fcn8s")
    before = values(model)
    state = checkpoints.state(FCN)
    for broken in (
        {key: value for key, value in state.items() if key != "upscore8.weight"},
        state | {"upscore8.weight": state["upscore8.weight"] * np.nan},
        state | {"conv1_1.weight": state["conv1_1.weight"][:, :2]},
    ):
        with pytest.raises(ConversionError):
            converters.import_weights(model, broken)
        for path, value in values(model).items():
            np.testing.assert_array_equal(value, before[path])


def test_sources_of_every_kind(tmp_path):
    state = checkpoints.state(FCN)
    module = torch.nn.ParameterDict()
    module.state_dict = lambda: {key: torch.from_numpy(value).to(torch.bfloat16) for key, value in state.items()}
    path = checkpoints.save(tmp_path / "fcn8s.pth", state)
    for source, tolerance in ((path, 0), (str(path), 0), (state, 0), (module, 1e-2)):
        model = fcn("fcn8s")
        converters.import_weights(model, source)
        assert relative(np.array(model.get_layer("fc7").kernel), state["fc7.weight"].transpose(2, 3, 1, 0)) <= tolerance


@pytest.mark.full
def test_skip_leaves_heads_with_other_classes():
    state = checkpoints.state(SEGMENTATION)
    model = tfseg.FCN(tfseg.ResNet(50, output_stride=8, width=1 / 8), 3, aux=True)
    with pytest.raises(ConversionError, match=r"with 7 classes; the model has 3.*--num_classes=7.*--skip=logits"):
        converters.import_weights(model, state)
    receipt = converters.import_weights(model, state, skip=["logits"])
    assert set(receipt.untouched) == {f"{aux}logits/{kind}" for aux in ("", "aux_") for kind in ("kernel", "bias")}


def test_another_network_is_refused():
    with pytest.raises(
        ConversionError, match=r"(?s)do not fit the model 'fcn32s'.*The file is a resnet50 of torchvision/resnet"
    ):
        converters.import_weights(fcn("fcn32s"), checkpoints.state(RESNET))


def test_weights_by_variable_path(tmp_path):
    source = checkpoints.model(*checkpoints.BUILDS[FCN][:1], **checkpoints.BUILDS[FCN][1])
    converters.export_weights(source, tmp_path / "own.safetensors", family="tfseg/paths")
    model = fcn("fcn8s")
    converters.import_weights(model, tmp_path / "own.safetensors")
    for path, value in values(source).items():
        np.testing.assert_array_equal(values(model)[path], value)
    with pytest.raises(ConversionError, match="Wrong shape"):
        converters.import_weights(fcn("fcn8s", num_classes=3), tmp_path / "own.safetensors")


def test_family_restricts_the_candidates():
    state = checkpoints.state(RESNET)
    model = tfseg.ResNet(50, width=1 / 8, include_top=True, num_classes=7)
    for family in ("timm/resnet", FAMILIES["timm/resnet"]):
        assert converters.import_weights(model, state, family=family).family == "timm/resnet"
    with pytest.raises(ConversionError, match=r"fits no network known here; nearest is torchvision/vgg"):
        converters.import_weights(model, state, family=VGG)


def test_family_of_paths_refuses_foreign_names():
    with pytest.raises(ConversionError, match=r"(?s)Missing: 33\n  conv1_1/kernel.*Unexpected: 39\n  conv1_1.weight"):
        converters.import_weights(fcn("fcn32s"), checkpoints.state(FCN), family="tfseg/paths")


CHANGED = {"epsilon": "resnet18", "strides": "resnet50", "double": "resnet50_caffe_padded"}


@pytest.mark.quick_variants("epsilon-live")
@pytest.mark.parametrize("kind", ["live", "pickled"])
@pytest.mark.parametrize("change", CHANGED)
def test_a_module_that_is_another_function_is_refused(tmp_path, kind, change):
    module = onnx_files.net(CHANGED[change].partition("_")[0], width=1 / 16)
    if change == "epsilon":
        module.bn1.eps = 0.1
    if change == "strides":
        module.layer2[0].conv1.stride, module.layer2[0].conv2.stride = (2, 2), (1, 1)
    if kind == "pickled":
        torch.save(module, tmp_path / "net.pth")
    model = tfseg.build(CHANGED[change], include_top=True, num_classes=7, width=1 / 16)
    before = model.get_weights()
    with pytest.raises(ConversionError, match=r"bn1 has eps|layer2.0.conv1 has stride|conv3_block1"):
        converters.import_weights(model, module if kind == "live" else tmp_path / "net.pth")
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("kind", ["label", "name"])
def test_what_a_file_says_of_itself_is_refused_or_overruled(tmp_path, kind):
    state = onnx_files.net("resnet18", width=1 / 16).state_dict()
    path = tmp_path / ("net.pth" if kind == "label" else "resnetblur18.pth")
    torch.save({"arch": "resnet_of_mine", "state_dict": state} if kind == "label" else state, path)
    model = tfseg.build("resnet18", include_top=True, num_classes=7, width=1 / 16)
    with pytest.raises(ConversionError, match=r"resnet_of_mine|resnetblur18"):
        converters.import_weights(model, path)
    receipt = converters.import_weights(model, path, network="resnet18")
    assert any("resnet_of_mine" in note or "resnetblur18" in note for note in receipt.notes)
