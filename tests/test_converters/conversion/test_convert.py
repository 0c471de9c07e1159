"""convert: what comes out of a file with nothing but its path, and with every option."""

import keras
import numpy as np
import pytest
import torch
from helpers import checkpoints
from helpers.references import images, output, relative

import converters
import tfseg
from converters import ConversionError
from converters.families import FAMILIES
from converters.weights.plan import MappingError


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("family", checkpoints.BUILDS)
def test_convert_needs_a_path_only(tmp_path, family):
    name, options = checkpoints.BUILDS[family]
    path = checkpoints.save(tmp_path / "some.pth", checkpoints.state(family))
    model, receipt = converters.convert(path)
    original = checkpoints.model(name, **options)
    wanted = output(original, images(65, 83))
    assert relative(output(model, images(65, 83)), wanted[0] if isinstance(wanted, list) else wanted) <= 1e-6
    assert (receipt.family, receipt.network, receipt.source) == (family, name, "some.pth")
    assert not receipt.untouched
    assert {tensor["key"] for tensor in receipt.tensors} | set(receipt.ignored) == set(checkpoints.state(family))
    assert {tensor["path"] for tensor in receipt.tensors} == {variable.path for variable in model.weights}


@pytest.mark.quick_variants("<lambda>1-pth")
@pytest.mark.parametrize("suffix", ["pth", "legacy.pth", "safetensors", "npz"])
@pytest.mark.parametrize(
    "wrap",
    [lambda state: state, lambda state: {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}],
)
def test_formats_wrappers_and_prefixes_are_recognized(tmp_path, suffix, wrap):
    state = checkpoints.state("torchvision/resnet")
    path = tmp_path / f"file.{suffix}"
    if suffix == "npz":
        np.savez(path, **state)
    elif suffix == "safetensors":
        from tfseg.exporting.safetensors import write_safetensors

        write_safetensors(path, state)
    elif suffix == "legacy.pth":
        wrapped = wrap({key: torch.from_numpy(value) for key, value in state.items()})
        torch.save(wrapped, path, _use_new_zipfile_serialization=False)
    else:
        checkpoints.save(path, wrap(state))
    model, _ = converters.convert(path)
    assert output(model, images(65, 83)).shape == (1, 7)
    first = model.get_layer("conv1_conv").kernel
    np.testing.assert_array_equal(first, state["conv1.weight"].transpose(2, 3, 1, 0))


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_other_float_types_become_the_variables_type(dtype):
    import ml_dtypes

    state = checkpoints.state("torchvision/resnet")
    stored = {key: value.astype(getattr(ml_dtypes, dtype, dtype)) for key, value in state.items()}
    model, receipt = converters.convert(stored)
    kernel = model.get_layer("conv1_conv").kernel
    np.testing.assert_array_equal(kernel, stored["conv1.weight"].astype("float32").transpose(2, 3, 1, 0))
    assert {tensor["dtype"] for tensor in receipt.tensors} == {dtype}
    assert receipt.dtype == "float32"


@pytest.mark.full
def test_include_top_false_gives_the_last_features():
    pixels = images(65, 83)
    for family, layer in (
        ("torchvision/vgg", "pool5"),
        ("torchvision/resnet", "conv5_block3_out"),
        ("torchvision/segmentation", "conv5_block3_out"),
        ("wkentaro/pytorch-fcn", "pool5"),
    ):
        name, options = checkpoints.BUILDS[family]
        original = checkpoints.model(name, **options)
        wanted = output(keras.Model(original.input, original.get_layer(layer).output), pixels)
        features, receipt = converters.convert(checkpoints.state(family), include_top=False)
        assert relative(output(features, pixels), wanted) <= 1e-6
        assert any("include_top=False" in why for why in receipt.ignored.values())


@pytest.mark.full
def test_aux_gives_a_second_output():
    state = checkpoints.state("torchvision/segmentation")
    both, receipt = converters.convert(state, aux=True)
    assert not receipt.ignored
    single, receipt = converters.convert(state)
    assert {key for key in state if key.startswith("aux_")} == set(receipt.ignored)
    logits, aux = output(both, images(65, 83))
    assert relative(output(single, images(65, 83)), logits) <= 1e-6
    assert aux.shape == logits.shape
    assert single.get_layer("logits")
    assert both.get_layer("aux_logits")


@pytest.mark.quick_variants("8")
@pytest.mark.parametrize("stride", [16, 8, 4])
def test_output_stride_dilates(stride):
    state = checkpoints.state("torchvision/resnet")
    plain, _ = converters.convert(state, include_top=False)
    dense, receipt = converters.convert(state, include_top=False, output_stride=stride)
    step = 32 // stride
    assert relative(output(dense, images(129, 97))[:, ::step, ::step], output(plain, images(129, 97))) <= 1e-5
    assert receipt.options["output_stride"] == stride


def test_network_chooses_among_equal_names():
    state = checkpoints.state("wkentaro/pytorch-fcn")
    eight, receipt = converters.convert(state)
    assert receipt.network == "fcn8s"
    assert receipt.others == [
        "wkentaro/pytorch-fcn fcn8s_atonce: it multiplies pool4 by 0.01 and pool3 by 0.0001 before the scores"
    ]
    once, receipt = converters.convert(state, network="fcn8s_atonce")
    assert receipt.network == "fcn8s_atonce"
    assert once.get_layer("scale_pool4").scale == 0.01
    assert relative(output(once, images(33, 40)), output(eight, images(33, 40))) > 1e-3


def test_model_carries_preprocessing_and_classes():
    model, receipt = converters.convert(checkpoints.state("wkentaro/pytorch-fcn", num_classes=21, width=1 / 16))
    facts = tfseg.metadata(model)
    assert facts["preprocessing"]["channel_order"] == "BGR"
    assert facts["classes"][15] == "person"
    assert len(facts["colors"]) == 21
    assert receipt.preprocessing["mean"][0] == 104.00698793
    model, _ = converters.convert(checkpoints.state("torchvision/segmentation"))
    assert tfseg.metadata(model)["preprocessing"]["channel_order"] == "RGB"
    assert tfseg.metadata(model)["classes"] is None


@pytest.mark.full
def test_transplant_keeps_the_trunk_of_its_file(tmp_path):
    """PSPNet's publishers give it a deep stem and rates of their own: a classifier of torchvision keeps its."""
    model, receipt = converters.convert(checkpoints.state("torchvision/resnet"), network="pspnet_resnet50")
    assert receipt.transplant == "a ResNet classifier into a segmenter"
    assert model.get_layer("conv1_conv").kernel_size == (7, 7)
    assert model.get_layer("conv5_block1_2_conv").dilation_rate == (2, 2)
    # For a network that no family has, the head is built as in the other families.
    classifier = checkpoints.model("resnet18d", include_top=True, num_classes=7, width=1 / 8)
    converters.export_weights(classifier, tmp_path / "d.safetensors")
    _, receipt = converters.convert(tmp_path / "d.safetensors", network="fcn_resnet18d", num_classes=3)
    assert {path.partition("_")[0] for path in receipt.untouched} == {"head", "logits/kernel", "logits/bias"}
    with pytest.raises(ConversionError, match=r"No family known here has the network fcn_drn_c_26: build it with"):
        converters.convert(checkpoints.state("torchvision/resnet"), network="fcn_drn_c_26")


def test_several_files_hold_one_network(tmp_path):
    state = checkpoints.state("torchvision/segmentation")
    parts = [
        checkpoints.save(tmp_path / "backbone.pth", {k: v for k, v in state.items() if k.startswith("backbone")}),
        checkpoints.save(tmp_path / "heads.pth", {k: v for k, v in state.items() if not k.startswith("backbone")}),
    ]
    _, receipt = converters.convert(parts)
    assert [file["path"] for file in receipt.files] == [str(part) for part in parts]
    with pytest.raises(ConversionError, match=r"Two of the files hold the tensor 'backbone.conv1.weight'"):
        converters.convert([parts[0], parts[0]])


def without(state, *keys):
    return {key: value for key, value in state.items() if key not in keys}


RESNET, SEGMENTATION = "torchvision/resnet", "torchvision/segmentation"


@pytest.mark.quick_variants(every=3)
@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            lambda s: without(s, "layer3.4.conv2.weight"),
            {},
            r"Missing: 1\n  layer3.4.conv2.weight \(for conv4_block5_2_conv/kernel\)",
        ),
        (
            lambda s: s | {"extra.weight": s["conv1.weight"]},
            {},
            r"no family known here. Nearest: torchvision/resnet resnet50, but the file has 1 tensors of other names \(extra.weight\)",
        ),
        (
            lambda s: s | {"extra.weight": s["conv1.weight"]},
            {"family": RESNET, "network": "resnet50"},
            r"Unexpected: 1\n  extra.weight",
        ),
        (
            lambda s: s | {"layer2.0.conv1.weight": np.zeros((16, 8, 1, 1), "float32")},
            {},
            r"Wrong shape: 1\n  layer2.0.conv1.weight \[16, 8, 1, 1\], expected \[16, 32, 1, 1\] there, \[1, 1, 32, 16\] as conv3_block1_1_conv/kernel \(o i h w -> h w i o\)",
        ),
        (
            lambda s: s,
            {"num_classes": 3},
            r"resnet50 of torchvision/resnet with 7 classes; the model has 3. Build it with num_classes=7 \(--num_classes=7\), or leave those layers at their initial values: skip=\['predictions'\]",
        ),
        (lambda s: s, {"network": "resnet101"}, r"Missing: 255\n(.*\n)+.*The file is a resnet50 of torchvision/resnet"),
        (lambda s: without(s, *(k for k in s if k.startswith("layer3.5"))), {}, r"conv4 has 5 blocks instead of 6"),
        (
            lambda s: s | {"conv1.weight": s["conv1.weight"] * np.nan},
            {},
            r"conv1.weight is not finite in float32. .*--allow_nonfinite",
        ),
        (
            lambda s: s | {"conv1.weight": s["conv1.weight"].astype("float64") * 1e60},
            {},
            r"conv1.weight is not finite in float32",
        ),
        (
            lambda s: s | {"conv1.weight": s["conv1.weight"].astype("int8")},
            {},
            r"conv1.weight holds int8 where weights are floating point",
        ),
        (lambda s: s, {"network": "resnet51"}, r"No network of that name: .* Did you mean resnet\d+.* Received"),
        (lambda s: s, {"family": "torchvision/resnets"}, r"The families known here are torchvision/vgg, "),
        (lambda s: s, {"aux": True}, r"aux is not available here: resnet50 has no auxiliary head"),
        (lambda s: s, {"output_stride": 12}, r"output_stride must be one of 32, 16, 8, 4. Received: 12"),
        (
            lambda s: without(s, "fc.weight", "fc.bias"),
            {"include_top": True},
            r"the file has no head. Received: include_top=True",
        ),
        (lambda s: s, {"include_top": False, "num_classes": 3}, r"features have no classes"),
        (lambda s: {}, {}, r"no family known here"),
    ],
)
def test_file_that_does_not_fit_is_refused(change, options, message):
    with pytest.raises(ConversionError, match=message):
        converters.convert(change(checkpoints.state(RESNET)), **options)


@pytest.mark.parametrize(
    ("family", "options", "message"),
    [
        ("torchvision/vgg", {"output_stride": 8}, r"include_top=True needs output_stride=32"),
        ("wkentaro/pytorch-fcn", {"output_stride": 8}, r"fcn8s has one output stride only"),
        (
            "wkentaro/pytorch-fcn",
            {"convention": "new"},
            r"convention is not available here: fcn8s has the rates that its paper gives",
        ),
        (SEGMENTATION, {"convention": "old"}, r"convention must be one of .*Received: convention=.old."),
        (SEGMENTATION, {"multi_scale": (0.5,)}, r"fcn_resnet50 sees the image at one size"),
        (SEGMENTATION, {"preprocessing": "tf"}, r"preprocessing is one of .*Received: 'tf'"),
    ],
)
def test_options_that_a_family_lacks_are_refused(family, options, message):
    with pytest.raises(ConversionError, match=message):
        converters.convert(checkpoints.state(family), **options)


def test_aux_is_refused_for_a_file_without_its_auxiliary_head():
    state = {key: value for key, value in checkpoints.state(SEGMENTATION).items() if not key.startswith("aux")}
    with pytest.raises(ConversionError, match=r"the file has no auxiliary head. Received: aux=True"):
        converters.convert(state, aux=True)


@pytest.mark.parametrize(
    ("source", "message"), [(3, r"Weights come from a path.*Received: int"), ([], r"An empty list of files")]
)
def test_unusable_source_is_refused(source, message):
    with pytest.raises(ConversionError, match=message):
        converters.convert(source)


@pytest.mark.full
def test_mapping_error_carries_the_whole_plan():
    with pytest.raises(MappingError) as caught:
        converters.convert(checkpoints.state(RESNET), network="resnet101")
    assert len(caught.value.plan.missing) == 255


def test_skip_leaves_variables_at_their_initial_values():
    state = checkpoints.state(SEGMENTATION)
    model, receipt = converters.convert(state, num_classes=3, skip=["logits"])
    assert set(receipt.untouched) == {"logits/kernel", "logits/bias"}
    assert set(receipt.ignored) >= {"classifier.4.weight", "classifier.4.bias"}
    assert np.std(model.get_layer("logits").kernel) > 0  # its own initializer, not the blank of the import
    assert model.get_layer("logits").kernel_initializer.__class__.__name__ == "HeNormal"


def test_allow_nonfinite_accepts_infinite_weights():
    state = checkpoints.state(RESNET)
    state["fc.bias"][0] = np.inf
    model, _ = converters.convert(state, allow_nonfinite=True)
    assert np.isinf(model.get_layer("predictions").bias[0])


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(
    ("family", "key"), [("timm/resnet", "torchvision/resnet"), ("wkentaro/vgg16_from_caffe", "torchvision/vgg")]
)
@pytest.mark.parametrize("as_record", [False, True])
def test_family_chooses_among_those_that_fit(family, key, as_record):
    model, receipt = converters.convert(checkpoints.state(key), family=FAMILIES[family] if as_record else family)
    assert receipt.family == family
    assert model.output_shape == (None, 7)


def test_model_shares_no_memory_with_its_source():
    """Nothing a model holds may change with the source: the import shares memory with TensorFlow, not with the file."""
    module = torch.nn.Module()
    state = {key: torch.from_numpy(value) for key, value in checkpoints.state(RESNET).items()}
    module.state_dict = lambda: state
    model, _ = converters.convert(module)
    before = [np.array(variable) for variable in model.weights]
    for value in state.values():
        value.fill_(0)
    for variable, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(variable, old)
