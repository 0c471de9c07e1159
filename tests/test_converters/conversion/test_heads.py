"""Heads of converted files: none is invented, none is dropped in silence, and a plain one is built exactly."""

import itertools

import keras
import numpy as np
import pytest
import torch
from helpers import checkpoints
from helpers.references import filled_module, images, output, relative, torch_output
from helpers.torchvision_cpu import import_torchvision
from torch import nn

import converters
from converters import ConversionError

TOLERANCE = 1e-5
SMALL, CIFAR = images(64, 96), images(32, 32)


def resnet(head=None, name="resnet18"):
    """torchvision's ResNet with another `fc`, in evaluation mode."""

    def build():
        module = getattr(import_torchvision().models, name)(num_classes=5)
        module.fc = head or module.fc
        return module

    return filled_module(build, 0, 1.0)


def vgg(classifier, pooling=None, *, batch_norm=False, name="classifier"):
    """A narrow VGG11 with another head: 32 channels at its end instead of 512."""

    class VGG(nn.Module):
        def __init__(self):
            super().__init__()
            layers, before = [], 3
            for filters, count in ((4, 1), (8, 1), (16, 2), (32, 2), (32, 2)):
                for _ in range(count):
                    layers += [nn.Conv2d(before, filters, 3, padding=1)]
                    layers += [nn.BatchNorm2d(filters)] if batch_norm else []
                    layers += [nn.ReLU(inplace=True)]
                    before = filters
                layers += [nn.MaxPool2d(2)]
            self.features = nn.Sequential(*layers)
            setattr(self, name, classifier())

        def forward(self, image):
            x = self.features(image)
            x = pooling(x) if pooling else x
            return getattr(self, name)(x.flatten(1))

    return filled_module(VGG, 0, 2.0)


def features_of(module):
    return nn.Sequential(*list(module.children())[:-2])


def trunk_state(module, prefix=""):
    return {prefix + key: value.numpy() for key, value in module.state_dict().items() if not key.startswith("fc.")}


# ----------------------------------------------------------------------------------------------------- trunks alone


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("prefix", ["", "backbone.", "encoder.", "pretrained.", "module.net.trunk."])
@pytest.mark.parametrize("options", [{}, {"include_top": False}])
def test_a_trunk_alone_gives_its_features_at_stride_32(prefix, options):
    module = resnet()
    model, receipt = converters.convert(trunk_state(module, prefix), **options)
    assert model.output_shape == (None, None, None, 512)
    assert relative(output(model, SMALL), torch_output(features_of(module), SMALL)) <= TOLERANCE
    assert (receipt.family, receipt.network) == ("torchvision/resnet", "resnet18")
    assert not receipt.untouched


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(
    "options", [{"network": "fcn_resnet18"}, {"family": "torchvision/segmentation"}, {"network": "deeplabv3_resnet18"}]
)
def test_a_named_segmenter_is_a_warm_start_on_the_trunk(options):
    model, receipt = converters.convert(trunk_state(resnet(), "backbone."), **options)
    assert model.output_shape == (None, None, None, 21)
    assert receipt.transplant == "a ResNet classifier into a segmenter"
    assert {path.partition("_")[0].partition("/")[0] for path in receipt.untouched} <= {"head", "logits", "aspp"}


@pytest.mark.full
def test_a_deep_stem_under_mmsegmentations_prefix_is_not_dilated():
    model = checkpoints.model("fcn_resnet50c", num_classes=7, width=1 / 16, output_stride=8, convs=2, concat=True)
    state = converters.weights.foreign_weights.foreign_weights(model, "open-mmlab/mmsegmentation")
    trunk = {key: np.array(value) for key, value in state.items() if key.startswith("backbone.")}
    features, _ = converters.convert(trunk)
    assert output(features, SMALL).shape == (1, 2, 3, 128)
    dilated, _ = converters.convert(trunk, family="open-mmlab/mmsegmentation", include_top=False)
    assert output(dilated, SMALL).shape == (1, 8, 12, 128)


def test_a_head_that_is_not_asked_for_is_not_built():
    with pytest.raises(ConversionError, match=r"the file has no head. Received: include_top=True"):
        converters.convert(trunk_state(resnet(), "backbone."), include_top=True)
    with pytest.raises(ConversionError, match=r"features have no classes. Received: num_classes=3"):
        converters.convert(trunk_state(resnet(), "backbone."), num_classes=3)


def test_a_segmenter_with_part_of_its_head_is_no_trunk():
    state = checkpoints.state("torchvision/segmentation")
    part = {key: value for key, value in state.items() if not key.startswith(("classifier.4", "aux"))}
    with pytest.raises(ConversionError, match=r"classifier.4.weight \(for logits/kernel\)"):
        converters.convert(part)


# ------------------------------------------------------------------------------------------------------ dense heads


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(
    "head",
    [
        lambda: nn.Sequential(nn.Dropout(0.5), nn.Linear(512, 5)),
        lambda: nn.Sequential(nn.Linear(512, 5)),
        lambda: nn.Sequential(nn.Identity(), nn.Dropout(), nn.Linear(512, 5)),
    ],
)
def test_one_dense_layer_is_built_where_it_is(head):
    module = resnet(head())
    state = {key: value.numpy() for key, value in module.state_dict().items()}
    model, receipt = converters.convert(state)
    assert relative(output(model, SMALL), torch_output(module, SMALL)) <= TOLERANCE
    key = next(key for key in state if key.startswith("fc.")).rpartition(".")[0]
    assert any(key in note for note in receipt.notes)
    assert any(key in sentence for sentence in converters.identify(state).evidence)
    features, _ = converters.convert(state, include_top=False)
    assert features.output_shape == (None, None, None, 512)


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("renamed", ["classifier", "head.fc", "linear", "last_linear"])
def test_one_dense_layer_of_another_name_is_built(renamed):
    module = resnet()
    state = {key.replace("fc.", f"{renamed}."): value.numpy() for key, value in module.state_dict().items()}
    model, _ = converters.convert(state)
    assert relative(output(model, SMALL), torch_output(module, SMALL)) <= TOLERANCE


UNKNOWN_HEADS = {
    "two dense layers": lambda: nn.Sequential(nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 5)),
    "MoCo's projection": lambda: nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 128)),
    "a norm": lambda: nn.Sequential(nn.BatchNorm1d(512), nn.Linear(512, 5)),
    "no bias": lambda: nn.Sequential(nn.Dropout(), nn.Linear(512, 5, bias=False)),
    "pooled twice": lambda: nn.Sequential(nn.Dropout(), nn.Linear(1024, 5)),
}


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("kind", UNKNOWN_HEADS)
def test_another_head_of_a_resnet_is_refused_with_the_ways_out(kind):
    module = resnet(UNKNOWN_HEADS[kind]())
    state = {key: value.numpy() for key, value in module.state_dict().items()}
    with pytest.raises(ConversionError, match=r"resnet18 of torchvision/resnet with another head") as caught:
        converters.convert(state)
    assert "include_top=False (--noinclude_top)" in str(caught.value)
    for options in ({"include_top": False}, {"skip": ["^fc"]}):
        assert f"{next(iter(options))}=" in str(caught.value)
        model, receipt = converters.convert(state, **options)
        assert relative(output(model, SMALL), torch_output(features_of(module), SMALL)) <= TOLERANCE
        assert {key for key in state if key.startswith("fc.")} <= set(receipt.ignored)


def test_a_projection_is_no_classifier():
    state = trunk_state(resnet()) | {"projection.weight": np.ones((8, 512)), "projection.bias": np.ones(8)}
    with pytest.raises(ConversionError, match=r"with another head: .* Received: projection.weight \[8, 512\]"):
        converters.convert(state)


@pytest.mark.parametrize(
    "stranger", ["layer1.0.conv4.weight", "prelu.weight", "attnpool.c_proj.weight", "maxpool.gate"]
)
def test_a_tensor_of_the_trunk_is_no_head(stranger):
    state = trunk_state(resnet()) | {stranger: np.ones((8, 8), "float32")}
    with pytest.raises(ConversionError):
        converters.convert(state, include_top=False)


def test_a_convolution_is_no_dense_head():
    """A segmenter whose names have no prefix may be dilated."""
    state = trunk_state(resnet()) | {"head.0.weight": np.ones((8, 512, 3, 3), "float32")}
    with pytest.raises(ConversionError):
        converters.convert(state, include_top=False)


# -------------------------------------------------------------------------------------------------------------- VGGs


def dense(*sizes, before=()):
    """Dense layers as torchvision's VGG has them: ReLU and dropout between."""

    def build():
        layers = list(
            itertools.chain.from_iterable(
                (nn.Linear(a, b), nn.ReLU(), nn.Dropout()) for a, b in itertools.pairwise(sizes)
            )
        )
        return nn.Sequential(*before, *layers[:-2])

    return build


def chengyangfu():
    return nn.Sequential(
        nn.Dropout(),
        nn.Linear(32, 24),
        nn.ReLU(True),
        nn.Dropout(),
        nn.Linear(24, 24),
        nn.ReLU(True),
        nn.Linear(24, 10),
    )


SEVEN = nn.AdaptiveAvgPool2d(7)
VGG_HEADS = {
    "other units": (dense(32 * 49, 64, 48, 5), SEVEN, (49, 10)),
    "torchvision's units, one class": (dense(32 * 49, 256, 256, 1), SEVEN, (10,)),
    "three layers after one pixel": (dense(32, 64, 48, 10), None, None),
    "dropout first": (chengyangfu, None, None),
    "one layer": (lambda: nn.Linear(32, 10), None, None),
    "one layer in a sequence": (dense(32, 10), None, None),
    "one layer after a dropout": (dense(32, 10, before=(nn.Dropout(),)), None, None),
    "one layer after seven pixels": (dense(32 * 49, 10), SEVEN, None),
    "one layer after the mean": (lambda: nn.Linear(32, 10), nn.AdaptiveAvgPool2d(1), None),
}


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("kind", VGG_HEADS)
@pytest.mark.parametrize("batch_norm", [False, True])
def test_heads_of_a_vgg_are_built(kind, batch_norm):
    classifier, pooling, _ = VGG_HEADS[kind]
    module = vgg(classifier, pooling, batch_norm=batch_norm)
    state = {key: value.numpy() for key, value in module.state_dict().items()}
    model, receipt = converters.convert(state)
    for pixels in (CIFAR, *([SMALL] if pooling else [])):
        assert relative(output(model, pixels), torch_output(module, pixels)) <= TOLERANCE
    assert not receipt.untouched
    assert not set(receipt.ignored) - {key for key in state if key.endswith("num_batches_tracked")}
    features, _ = converters.convert(state, include_top=False)
    assert relative(output(features, SMALL), torch_output(module.features, SMALL)) <= TOLERANCE


def test_a_vgg_for_larger_images_reads_a_map_of_several_pixels():
    module = vgg(dense(32 * 4, 10))
    model, receipt = converters.convert({key: value.numpy() for key, value in module.state_dict().items()})
    pixels = images(64, 64)
    assert relative(output(model, pixels), torch_output(module, pixels)) <= TOLERANCE
    assert any("a map of 2x2 pixels" in note for note in receipt.notes)


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(
    "classifier",
    [
        dense(32 * 49, 64, 5),
        dense(32 * 49, 64, 64, 64, 5),
        lambda: nn.Sequential(nn.Linear(32 * 49, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 5)),
        lambda: nn.Sequential(nn.Linear(32 * 49, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 5)),
    ],
    ids=["two", "four", "other places", "a norm"],
)
def test_another_head_of_a_vgg_is_refused_with_the_ways_out(classifier):
    module = vgg(classifier, SEVEN)
    state = {key: value.numpy() for key, value in module.state_dict().items()}
    with pytest.raises(
        ConversionError, match=r"vgg11 of .* with another head.*include_top=False.*skip=\['\^classifier"
    ):
        converters.convert(state)
    identified = converters.identify(state)
    assert not identified.include_top
    assert any("its head is another one (classifier.0" in sentence for sentence in identified.evidence)
    for options in ({"include_top": False}, {"skip": ["^classifier"]}):
        features, _ = converters.convert(state, **options)
        assert relative(output(features, SMALL), torch_output(module.features, SMALL)) <= TOLERANCE


def test_a_vgg_without_its_last_layer_is_refused():
    state = checkpoints.state("torchvision/vgg")
    part = {key: value for key, value in state.items() if not key.startswith("classifier.6")}
    with pytest.raises(ConversionError, match="another head"):
        converters.convert(part)
    model, _ = converters.convert(part, network="fcn32s", num_classes=3)  # which has its own scores
    assert model.get_layer("fc7").kernel.shape == (1, 1, 256, 256)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_features_of_a_vgg_as_a_bare_sequence(batch_norm):
    module = vgg(dense(32, 10), batch_norm=batch_norm).features
    model, receipt = converters.convert({key: value.numpy() for key, value in module.state_dict().items()})
    assert receipt.network == "vgg11" + "_bn" * batch_norm
    assert relative(output(model, SMALL), torch_output(module, SMALL)) <= TOLERANCE


# ------------------------------------------------------------------------------------------------------------- Keras


@pytest.mark.parametrize("pooling", ["GlobalAveragePooling2D", "GlobalMaxPooling2D", "Flatten"])
def test_a_head_of_ones_own_in_a_keras_file_is_not_dropped(tmp_path, pooling):
    """The weights do not tell which pooling comes before the dense layer."""
    public = keras.applications.VGG16(weights=None, include_top=False, input_shape=(32, 32, 3))
    scores = keras.layers.Dense(5, name="dense")(getattr(keras.layers, pooling)()(public.output))
    keras.Model(public.input, scores).save_weights(tmp_path / "own.weights.h5")
    with pytest.raises(ConversionError, match=r"another head|does not fit|of no family"):
        converters.convert(tmp_path / "own.weights.h5")


# --------------------------------------------------------------------------------------------------- auxiliary heads


@pytest.mark.full
@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3_resnet50"])
def test_an_auxiliary_head_may_have_other_classes(name):
    def build():
        module = getattr(import_torchvision().models.segmentation, name)(
            weights=None, weights_backbone=None, num_classes=21, aux_loss=True
        )
        module.classifier[4] = nn.Conv2d(512 if name.startswith("fcn") else 256, 3, 1)
        return module

    module = filled_module(build, 0, 1.0)
    state = {key: value.numpy() for key, value in module.state_dict().items()}
    model, receipt = converters.convert(state, aux=True)
    with torch.no_grad():
        wanted = module(torch.from_numpy(SMALL.transpose(0, 3, 1, 2)))
    for ours, key in zip(output(model, SMALL), ("out", "aux"), strict=True):
        assert relative(ours, wanted[key].permute(0, 2, 3, 1)) <= TOLERANCE
    assert (receipt.options["num_classes"], receipt.options["aux_classes"]) == (3, 21)
    single, receipt = converters.convert(state)
    assert single.output_shape[-1] == 3
    assert "the auxiliary head, not asked for: aux=True" in receipt.ignored.values()
