"""Dilated residual networks against a twin of fyu/drn with its key names: classifiers, features and segmenters."""

import keras
import numpy as np
import pytest
import torch
from helpers import drn_twin
from helpers.checkpoints import save
from helpers.references import SIZES, filled_module, images, output, relative, torch_output

import converters
import tfseg
from converters import ConversionError
from converters.families import FAMILIES
from tfseg import specs

PUBLIC = "fyu/drn (a twin of it)"
TOLERANCE = 1e-5
SLIM = 1 / 8
CLASSIFIED = ((217, 224), (222, 219))  # where the public average of 28 x 28 pixels is one of the whole map
SEGMENTED = ((64, 96), SIZES[2])  # with whole steps of 8 pixels, and without


def twin(kind, name, *, seed=0, **options):
    return filled_module(lambda: kind(name, **options), seed, 1.0)


def classifier(name, width=SLIM, **options):
    return twin(drn_twin.Classifier, name, width=width, **options)


def segmenter(name, width=SLIM, **options):
    return twin(drn_twin.Segmenter, name, width=width, **options)


def state(module):
    return {key: value.numpy() for key, value in module.state_dict().items() if not key.endswith("_tracked")}


def weighted(model):
    return {layer.name for layer in model.layers if layer.weights}


def check_classifier(name, width, record):
    module = classifier(name, width)
    model, receipt = converters.convert(module, family="fyu/drn")
    assert (receipt.network, model.name, model.output_shape) == (name, name, (None, 1000))
    assert {key for key in receipt.ignored if not key.endswith("_tracked")} == dead(name, "layer7")
    for size in CLASSIFIED:
        comparison = converters.compare(model, module, images(*size))
        assert {row.layer for row in comparison} == weighted(model) | set(model.output_names)
        record(name if width == 1 else f"{name}, slim", comparison.worst)
        comparison.assert_close(TOLERANCE)


def check_segmenter(name, width, record, **options):
    module = segmenter(name, width, **options)
    model, receipt = converters.convert(module)
    assert (receipt.family, receipt.network, receipt.untouched) == ("fyu/drnseg", f"drnseg_{name}", {})
    assert {key for key in receipt.ignored if not key.endswith("_tracked")} == dead(name, "base.9")
    title = f"drnseg_{name}" + "".join(f", {option}" for option in options) + ("" if width == 1 else ", slim")
    for size in SEGMENTED:
        pixels = images(*size)
        comparison = converters.compare(model, module, pixels)
        assert {row.layer for row in comparison} == weighted(model)
        comparison.assert_close(TOLERANCE)
        with torch.no_grad():
            reference = module.up(module(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()))[1])
        assert reference.shape[2:] == tuple(-(-side // 8) * 8 for side in size)
        difference = relative(output(model, pixels), reference.permute(0, 2, 3, 1).numpy()[:, : size[0], : size[1]])
        record(title, max(difference, comparison.worst))
        assert difference <= TOLERANCE


def dead(name, level):
    """Keys of the projection that nothing adds."""
    tensors = ("0.weight", *(f"1.{part}" for part in ("weight", "bias", "running_mean", "running_var")))
    return {f"{level}.0.downsample.{tensor}" for tensor in tensors} if name == "drn_c_58" else set()


@pytest.mark.full
@pytest.mark.parametrize("name", ["drn_a_50", "drn_d_24"])
def test_classifiers(name, record):
    check_classifier(name, SLIM, record)


@pytest.mark.quick_variants("drn_d_22")
@pytest.mark.parametrize("name", ["drn_a_50", "drn_d_22"])
def test_segmenters(name, record):
    check_segmenter(name, SLIM, record)


@pytest.mark.full
def test_a_segmenter_with_an_interpolation_instead(record):
    check_segmenter("drn_d_24", SLIM, record, use_torch_up=True)


@pytest.mark.full
@pytest.mark.parametrize("name", specs.DRNS)
def test_every_classifier(name, record):
    check_classifier(name, 1, record)


@pytest.mark.full
@pytest.mark.parametrize("name", specs.DRNS)
def test_every_segmenter(name, record):
    check_segmenter(name, 1, record)


@pytest.mark.full
@pytest.mark.parametrize("name", ["drn_a_50", "drn_c_26", "drn_d_24"])
def test_features(name, record):
    module = segmenter(name)
    model, receipt = converters.convert(module, include_top=False)
    assert {why for key, why in receipt.ignored.items() if key.startswith(("seg", "up"))} == {
        "the head, left out: include_top=False"
    }
    for size in SEGMENTED:
        pixels = images(*size)
        difference = relative(output(model, pixels), torch_output(module.base, pixels))
        record(f"{name}, features, slim", difference)
        assert difference <= TOLERANCE


# ---------------------------------------------------------------------------------------------------------- what it is


@pytest.mark.parametrize("name", specs.DRNS)
def test_each_is_told_from_the_others(name):
    for kind, classes, family, prefix in (
        (drn_twin.Classifier, 1000, "fyu/drn", ""),
        (drn_twin.Segmenter, 19, "fyu/drnseg", "drnseg_"),
    ):
        with torch.device("meta"):
            shapes = {key: tuple(value.shape) for key, value in kind(name).state_dict().items()}
        weightless = {key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes.items()}
        # DRN-A is a ResNet to look at, and the documented order has those first.
        identified = converters.identify(weightless, family="fyu/drn" if (name, prefix) == ("drn_a_50", "") else None)
        assert (identified.family, identified.network) == (family, prefix + name)
        assert (identified.num_classes, identified.width, identified.channels, identified.include_top) == (
            classes,
            1,
            3,
            True,
        )
        assert identified.others == ()
        table = FAMILIES[family].network(identified.network).table
        used = [key for key in shapes if not table.why_ignored(key)]
        assert {key for key in shapes if key not in used and not key.endswith("_tracked")} <= {
            *dead(name, "layer7"),
            *dead(name, "base.9"),
        }
        places = [table.forward(key)[0] for key in used]
        assert len(set(places)) == len(places)
        assert [table.backward(path)[0] for path in places] == used


@pytest.mark.full
def test_a_training_file_says_that_it_is_a_drn_a(tmp_path):
    """Under `module.`, as its training writes it; without a label its tensors are a ResNet-50's, with another's rates."""
    tensors = state(classifier("drn_a_50", num_classes=7))
    file = save(
        tmp_path / "a.pth",
        {"epoch": 1, "arch": "drn_a_50", "state_dict": {f"module.{k}": v for k, v in tensors.items()}},
    )
    model, receipt = converters.convert(file)
    assert (receipt.family, receipt.network, model.output_shape) == ("fyu/drn", "drn_a_50", (None, 7))
    other, receipt = converters.convert(tensors)
    assert (receipt.family, receipt.network) == ("torchvision/resnet", "resnet50")
    assert [line for line in receipt.others if line.startswith("fyu/drn drn_a_50: its last two stages are dilated")]
    chosen, receipt = converters.convert(tensors, network="drn_a_50")
    pixels = images(*CLASSIFIED[0])
    assert relative(output(chosen, pixels), output(model, pixels)) == 0
    assert relative(output(other, pixels), output(model, pixels)) > 0.01


@pytest.mark.full
def test_drn_segmenter_metadata():
    model, receipt = converters.convert(segmenter("drn_d_22"))
    facts = tfseg.metadata(model)
    assert (facts["classes"][0], facts["classes"][-1], len(facts["classes"])) == ("road", "bicycle", 19)
    assert (facts["colors"][0], facts["colors"][-1], len(facts["colors"])) == ([128, 64, 128], [119, 11, 32], 19)
    assert facts["preprocessing"]["mean"][0] == pytest.approx(0.2901, abs=1e-4)
    assert facts["preprocessing"] == receipt.preprocessing | {
        key: list(receipt.preprocessing[key]) for key in ("mean", "std")
    }


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"output_stride": 16}, "has one output stride only"),
        ({"convention": "new"}, "convention"),
        ({"aux": True}, "has no auxiliary head"),
    ],
)
def test_options_drn_lacks_are_refused(option, message):
    with pytest.raises(ConversionError, match=message):
        converters.convert(segmenter("drn_d_22"), **option)


# ---------------------------------------------------------------------------------------------------------- round trip


@pytest.mark.full
@pytest.mark.parametrize(
    ("family", "build", "absent"),
    [
        ("fyu/drn", lambda: classifier("drn_a_50"), set()),
        ("fyu/drn", lambda: classifier("drn_c_58"), dead("drn_c_58", "layer7")),
        ("fyu/drn", lambda: classifier("drn_d_24"), set()),
        ("fyu/drnseg", lambda: segmenter("drn_a_50"), set()),
        ("fyu/drnseg", lambda: segmenter("drn_c_58"), dead("drn_c_58", "base.9")),
        ("fyu/drnseg", lambda: segmenter("drn_d_24"), set()),
        ("fyu/drnseg", lambda: segmenter("drn_d_22", use_torch_up=True), set()),
    ],
)
def test_export_is_bit_identical(family, build, absent, tmp_path):
    module = build()
    model, _ = converters.convert(module, family=family)
    path = tmp_path / "back.safetensors"
    receipt = converters.export_weights(model, path, family=family)
    assert receipt.network == model.name
    back, expected = converters.read(path), state(module)
    assert set(back) == set(expected) - absent
    for key in back:
        np.testing.assert_array_equal(back[key], expected[key])


# ---------------------------------------------------------------------------------------------------------- transplants


def test_a_classifier_becomes_a_segmenter():
    tensors = state(classifier("drn_d_22"))
    model, receipt = converters.convert(tensors, network="drnseg_drn_d_22", num_classes=19)
    assert set(receipt.untouched) == {"logits/kernel", "logits/bias", "up/kernel"}
    assert set(receipt.ignored) == {"fc.weight", "fc.bias"}
    bilinear = tfseg.BilinearInitializer()((16, 16, 19))
    np.testing.assert_array_equal(model.get_layer("up").kernel, bilinear)
    features, _ = converters.convert(tensors, include_top=False)
    again = keras.Model(model.input, model.get_layer("level8_block1_1_relu").output)
    assert relative(output(again, images(64, 96)), output(features, images(64, 96))) == 0
    receipt = converters.import_weights(tfseg.FCN(tfseg.DRN("d_22", width=SLIM), 5, aux="level5"), tensors)
    assert {path.partition("_")[0].partition("/")[0] for path in receipt.untouched} == {"head", "logits", "aux"}


@pytest.mark.full
def test_warm_start_hides_no_missing_level():
    with pytest.raises(ConversionError, match=r"layer8\.3\.weight"):
        converters.import_weights(tfseg.DRN("d_22", width=SLIM), state(classifier("drn_d_24")))
    tensors = state(classifier("drn_d_24"))
    del tensors["layer8.4.weight"]
    with pytest.raises(ConversionError, match=r"layer8\.4\.weight \(for level8_block2_1_bn/gamma\)"):
        converters.convert(tensors, network="drnseg_drn_d_24", num_classes=19)


# ------------------------------------------------------------------------------------------------------------ geometry


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("name", ["a_50", "c_26", "d_24"])
def test_a_map_eight_times_smaller(name):
    model = tfseg.DRN(name, width=1 / 16)
    for size in ((1, 8), (64, 96), SIZES[2]):
        assert output(model, images(*size)).shape[1:3] == tuple(-(-side // 8) for side in size)


@pytest.mark.full
def test_levels_have_the_papers_rates():
    for name in ("c_42", "d_56"):
        layers = [layer for layer in tfseg.DRN(name, width=1 / 16).layers if isinstance(layer, keras.layers.Conv2D)]
        for level, rate in enumerate((1, 1, 1, 1, 2, 4, 2, 1), 1):
            rates = {
                layer.dilation_rate[0]
                for layer in layers
                if layer.name.startswith(f"level{level}_") and layer.kernel_size == (3, 3)
            }
            assert rates == {rate}
        assert [
            layer.name.split("_")[0] for layer in layers if layer.strides == (2, 2) and "_0_" not in layer.name
        ] == [
            "level2",
            "level3",
            "level4",
        ]


def test_names_and_rows_are_both_taken():
    assert (
        tfseg.DRN("drn_d_22", width=1 / 16).name == tfseg.DRN(specs.DRNS["drn_d_22"], width=1 / 16).name == "drn_d_22"
    )
    for wrong in ("d_23", 22, [1]):
        with pytest.raises(ValueError, match=r"A DRN is a name \(a_50, .* d_107\) or a DRNSpec. Received: "):
            tfseg.DRN(wrong)


@pytest.mark.full
@pytest.mark.parametrize("upsampling", specs.UPSAMPLINGS)
def test_one_vocabulary_of_upsampling(upsampling):
    """Every head knows every word. Inside, a new transposed convolution is a bilinear resize."""
    for head in (tfseg.FCN, tfseg.DeepLabV2, tfseg.DeepLabV3, tfseg.DeepLabV3Plus, tfseg.PSPNet):
        model = head(tfseg.ResNet(18, width=1 / 16, output_stride=16), 3, upsampling=upsampling)
        assert output(model, images(*SIZES[0])).shape == (1, *SIZES[0], 3)
    model = tfseg.FCN(tfseg.ResNet(18, width=1 / 16), 3, aux=True, upsampling=upsampling)
    assert [tensor.shape[1:3] for tensor in output(model, images(*SIZES[2]))] == [SIZES[2]] * 2
    model = tfseg.DRNSeg(tfseg.DRN("c_26", width=1 / 8), 3, upsampling=upsampling)
    assert output(model, images(*SIZES[0])).shape == (1, *SIZES[0], 3)
    if upsampling == "transposed_convolution":
        plain = tfseg.DRNSeg(tfseg.DRN("c_26", width=1 / 8), 3, upsampling="bilinear")
        plain.set_weights([weight for weight in model.get_weights() if weight.shape != (16, 16, 3)])
        ours, reference = (output(net, images(64, 96))[:, 4:-4, 4:-4] for net in (model, plain))
        assert relative(ours, reference) <= TOLERANCE


def test_unknown_upsampling_is_refused():
    with pytest.raises(
        ValueError, match=r"upsampling must be one of 'bilinear', .*'transposed_convolution'. .*'cubic'"
    ):
        tfseg.DRNSeg(tfseg.DRN("d_22", width=1 / 16), 3, upsampling="cubic")
