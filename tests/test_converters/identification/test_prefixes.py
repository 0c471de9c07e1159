"""A known network is found under any prefix, and what stands beside it decides whether it is the network."""

import re
import time

import numpy as np
import pytest
import torch
from helpers.torchvision_cpu import import_torchvision
from helpers.wrapped_files import CLASSIFIERS, TRUNKS, ZEROS, mlp, norm, numbered, resnet, trunk, under, vgg

import converters
from converters.errors import ConversionError
from converters.identification.identify import identify_source
from converters.identification.sources import open_source


def identified(content, tmp_path, **options):
    path = tmp_path / "file.pth"
    torch.save(content, path)
    candidates = identify_source(open_source(path), **options)
    return candidates, candidates.choose(options.get("network"))


def assert_same(source, state):
    """The source has these tensors under these keys, and no others."""
    assert set(source) == set(state)
    assert all(np.array_equal(source[key], tensor.numpy()) for key, tensor in state.items())


@pytest.mark.quick_variants(every=3)
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifier_stands_under_any_prefix(tmp_path, name):
    candidates, fit = identified(CLASSIFIERS[name], tmp_path)
    assert fit.names == ("torchvision/resnet", "resnet18")
    assert fit.sizes(candidates.source.shapes).num_classes == 3
    assert_same(candidates.source, resnet())


@pytest.mark.quick_variants(every=3)
@pytest.mark.parametrize("name", TRUNKS)
def test_trunk_of_training_is_its_features(tmp_path, name):
    candidates, fit = identified(TRUNKS[name], tmp_path)
    assert fit.names == ("torchvision/resnet", "resnet18")
    assert not fit.other_head
    assert not fit.sizes(candidates.source.shapes).include_top
    assert_same(candidates.source, trunk())


def test_segmenter_of_a_training_framework(tmp_path):
    torch.manual_seed(0)
    network = import_torchvision().models.segmentation.fcn_resnet50(weights=None, weights_backbone=None, num_classes=5)
    state = network.state_dict()
    content = {"state_dict": under("model.", state) | {"mean": ZEROS(1, 3, 1, 1), "loss.weight": ZEROS(5)}}
    candidates, fit = identified(content, tmp_path)
    assert fit.names == ("torchvision/segmentation", "fcn_resnet50")
    assert_same(candidates.source, state)


@pytest.mark.parametrize("prefix", ["", "model."])
def test_data_parallel_inside(tmp_path, prefix):
    state = {key.replace("features.", "features.module."): tensor for key, tensor in vgg().items()}
    candidates, fit = identified(under(prefix, state) | {"criterion.weight": ZEROS(3)}, tmp_path)
    assert fit.network.name == "vgg11"
    assert_same(candidates.source, vgg())


@pytest.mark.parametrize("prefix", ["", "encoder.", "0.0."])
def test_sequence_of_a_vgg(tmp_path, prefix):
    content = under(prefix, {key.removeprefix("features."): tensor for key, tensor in vgg().items()})
    candidates, fit = identified(content, tmp_path)
    assert fit.network.name == "vgg11"
    assert_same(candidates.source, vgg())


@pytest.mark.parametrize("head", ["classifier", "fc"])
def test_dense_layer_beside_the_trunk_is_its_head(tmp_path, head):
    top = {f"{head}.weight": ZEROS(3, 512), f"{head}.bias": ZEROS(3)}
    for outer in ("", "model.", "module."):
        candidates, fit = identified({"state_dict": under(f"{outer}backbone.", trunk()) | under(outer, top)}, tmp_path)
        assert fit.network.name == "resnet18"
        assert fit.sizes(candidates.source.shapes).num_classes == 3
        assert_same(candidates.source, trunk() | top)


@pytest.mark.parametrize("name", ["predictor", "model.prediction_head"])
def test_lone_dense_layer_of_a_name_of_training_is_the_head(tmp_path, name):
    prefix = f"{name.rpartition('.')[0]}.backbone.".lstrip(".")
    dense = {f"{name}.weight": ZEROS(3, 512), f"{name}.bias": ZEROS(3)}
    candidates, fit = identified(under(prefix, trunk()) | dense, tmp_path)
    assert not fit.other_head
    assert fit.sizes(candidates.source.shapes).num_classes == 3


def test_lone_projection_is_no_classifier(tmp_path):
    dense = {"projection_head.weight": ZEROS(3, 512), "projection_head.bias": ZEROS(3)}
    torch.save(under("backbone.", trunk()) | dense, tmp_path / "net.pth")
    with pytest.raises(ConversionError, match="another head"):
        converters.convert(tmp_path / "net.pth")


def test_head_of_fastai_is_left_out(tmp_path):
    head = norm("1.2", 1024) | {"1.4.weight": ZEROS(16, 1024)} | norm("1.6", 16) | {"1.8.weight": ZEROS(3, 16)}
    candidates, fit = identified(under("0.", numbered()) | head, tmp_path)
    assert fit.network.name == "resnet18"
    assert_same(candidates.source, trunk())
    assert any("fastai's head is left out" in note for note in candidates.source.notes)


def test_other_head_of_two_layers_needs_a_word(tmp_path):
    head = {"1.2.weight": ZEROS(16, 512), "1.2.bias": ZEROS(16), "1.4.weight": ZEROS(3, 16), "1.4.bias": ZEROS(3)}
    candidates, fit = identified(under("0.", numbered()) | head, tmp_path)
    with pytest.raises(ConversionError, match="include_top=False"):
        fit.check_head(candidates.source)


DECODERS = {
    "U-Net": under("encoder.", trunk()) | {"decoder.levels.0.conv.weight": ZEROS(8, 512, 3, 3)},
    "neck": under("backbone.", trunk()) | {"neck.lateral_convs.0.conv.weight": ZEROS(8, 64, 1, 1)},
    "Lightning": under("model.encoder.", trunk()) | {"model.up.weight": ZEROS(512, 8, 2, 2), "loss.w": ZEROS(2)},
    "transformer": under("visual.", trunk()) | {"visual.attnpool.q.weight": ZEROS(8, 8), "text.weight": ZEROS(9, 8)},
    "predictor": under("backbone.", trunk()) | {"predictor.0.weight": ZEROS(3, 512, 1, 1)},
    "norm": under("encoder.", trunk()) | norm("bottleneck", 512),
}


@pytest.mark.quick_variants(every=3)
@pytest.mark.parametrize("name", DECODERS)
def test_trunk_of_another_network_is_taken_only_if_asked_for(tmp_path, name):
    content = DECODERS[name]
    prefix = next(iter(content)).removesuffix("conv1.weight")
    with pytest.raises(ConversionError, match="prefix=" if name != "transformer" else "no family"):
        identified(content, tmp_path)
    if name == "transformer":  # which is no ResNet in itself
        return
    for options in ({"prefix": prefix}, {"prefix": prefix.rstrip(".")}, {"network": "resnet18"}):
        candidates, fit = identified(content, tmp_path, **options)
        assert fit.network.name == "resnet18"
        assert_same(candidates.source, trunk())
        assert any("left out" in note for note in candidates.source.notes)


def test_prefix_that_no_key_has_lists_those_that_exist(tmp_path):
    with pytest.raises(ConversionError, match=r"'model\.' \(122 tensors\).*Received: prefix='modle\.'"):
        identified(under("model.") | under("other."), tmp_path, prefix="modle.")


@pytest.mark.quick_variants(2)
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("ema_model.", "model."),
        ("teacher.", "student."),
        ("encoder_q.", "encoder_k."),
        ("model.", "attacker.model."),
        ("net.", "momentum_net."),
        ("online_encoder.", "target_encoder."),
    ],
)
def test_order_of_subtrees_that_both_fit(tmp_path, first, second):
    later = {key: tensor + 1 for key, tensor in trunk().items()}
    for content in (
        under(first, trunk()) | under(second, later),
        under(second, later) | under(first, trunk()),
    ):
        candidates, _ = identified(content, tmp_path)
        assert_same(candidates.source, trunk())
        assert any("also complete under" in note and second in note for note in candidates.source.notes)
        assert not any("prepare" in note for note in candidates.source.notes)
        candidates, _ = identified(content, tmp_path, prefix=second)
        assert_same(candidates.source, later)


def test_next_dictionary_is_tried(tmp_path):
    content = {"model_ema": {"decay": ZEROS(1)}, "state_dict": {"x.weight": ZEROS(1, 2)}, "model": resnet()}
    candidates, _ = identified(content, tmp_path)
    assert_same(candidates.source, resnet())


def test_prefix_chooses_a_dictionary(tmp_path):
    later = {key: tensor + 1 for key, tensor in resnet().items()}
    content = {"model": later, "model_ema": under("module.") | {"n_averaged": ZEROS((), dtype=torch.long)}}
    candidates, _ = identified(content, tmp_path)
    assert_same(candidates.source, resnet())
    assert any("also complete under 'model'" in note for note in candidates.source.notes)
    for prefix in ("model", "model."):
        candidates, _ = identified(content, tmp_path, prefix=prefix)
        assert_same(candidates.source, later)


@pytest.mark.parametrize("pattern", ["^fc", r"^model\.fc", r"^model\.net\.fc|criterion"])
def test_skip_finds_keys_before_and_after(tmp_path, pattern):
    content = under("model.net.", resnet() | {"fc.weight": ZEROS(9, 9, 3)}) | {"model.x.weight": ZEROS(1, 2, 3, 3)}
    if "net" not in pattern and pattern.startswith(r"^model"):
        content = under("model.", resnet() | {"fc.weight": ZEROS(9, 9, 3)}) | {"x.weight": ZEROS(1, 2, 3, 3)}
    candidates, fit = identified(content, tmp_path, skip=[pattern, r"x\.weight"])
    assert fit.network.name == "resnet18"
    assert any("fc" in text for text in candidates.skip)


def test_classifier_stays_beside_a_projection(tmp_path):
    content = under("model.") | mlp("projector", 512, 16) | {"prototypes.weight": ZEROS(9, 16)}
    candidates, fit = identified(content, tmp_path)
    assert fit.sizes(candidates.source.shapes).num_classes == 3
    assert_same(candidates.source, resnet())


def test_converts_exactly():
    module = import_torchvision().models.resnet18(num_classes=3).eval()
    pixels = np.random.default_rng(0).normal(size=(1, 64, 96, 3)).astype("float32")
    with torch.no_grad():
        expected = module(torch.from_numpy(pixels.transpose(0, 3, 1, 2))).numpy()
    arrays = {key: tensor.numpy() for key, tensor in module.state_dict().items()}
    content = {f"module.net.{key}": array for key, array in arrays.items()} | {"mean": np.zeros(3, "float32")}
    model, receipt = converters.convert(content)
    assert abs(np.asarray(model(pixels)) - expected).max() <= 1e-5 * abs(expected).max()
    notes = " ".join(receipt.notes)
    assert "under 'module.net.'" in notes
    assert "left out: mean" in notes
    assert "prepare its images" in notes


def test_many_subtrees_take_no_time():
    """A file of a hundred networks of another kind."""
    block = {f"{index}.conv1.weight": np.zeros((4, 4, 3, 3), "float32") for index in range(30)}
    arrays = {f"net{index}.{key}": array for index in range(100) for key, array in block.items()}
    source = open_source(arrays)
    start = time.perf_counter()
    with pytest.raises(ConversionError):
        identify_source(source).choose()
    assert time.perf_counter() - start < 1.0  # 0.2 s alone on one processor


HARMLESS = (
    ("criterion.weight", 3), ("ce.weight", 3), ("bce.pos_weight", 1), ("loss_weights", 2), ("class_weights", 3),
    ("weight", 3), ("model.dice_loss.smooth", 1), ("log_vars", 2), ("train_acc.total", 1), ("val_iou.tp", 3),
    ("global_step", 1), ("_dummy", 1), ("empty", 0), ("FocalLoss.alpha", 1),
)  # fmt: skip
TELLING = (
    "logit_scale", "temperature", "scale", "alpha", "model.scale", "model.gamma", "prelu.weight", "model.norm.weight",
    "model.fc.sigma", "model.layer1.0.alpha", "model.layer1.0.conv1.scale", "calibration.bias", "model.bias",
)  # fmt: skip


def with_its_own_head(content, tmp_path):
    """Identifies the file, and refuses another head, as `convert` does."""
    candidates, fit = identified(content, tmp_path)
    fit.check_head(candidates.source)


@pytest.mark.full
def test_what_training_keeps_is_left_out(tmp_path):
    for name, size in HARMLESS:
        candidates, fit = identified(under("model.") | {name: ZEROS(size)}, tmp_path)
        assert fit.network.name == "resnet18", name
        assert_same(candidates.source, resnet())
        assert any(f"left out: {name}" in note for note in candidates.source.notes)


@pytest.mark.quick_variants(every=3)
@pytest.mark.parametrize("name", TELLING)
def test_a_number_that_may_count_is_refused_with_the_ways_out(tmp_path, name):
    content = under("model.") | {name: ZEROS(1)}
    with pytest.raises(ConversionError, match=re.escape(name.removeprefix("model."))) as refused:
        with_its_own_head(content, tmp_path)
    assert "skip=" in str(refused.value)
    candidates, _ = identified(content, tmp_path, skip=[re.escape(name)])
    assert set(resnet()) <= set(candidates.source)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int32])
def test_a_mask_of_a_layer_is_refused(tmp_path, dtype):
    for name in ("fc.mask", "layer1.0.conv1.mask"):
        with pytest.raises(ConversionError, match=re.escape(name)):
            with_its_own_head(resnet() | {name: ZEROS(3, dtype=dtype)}, tmp_path)


@pytest.mark.parametrize("name", ["mean", "pixel_std", "normalizer.mean", "model.preprocess.std"])
def test_mean_and_std_prepare_images(tmp_path, name):
    candidates, _ = identified(under("model.") | {name: ZEROS(1, 3, 1, 1)}, tmp_path)
    assert any("prepare" in note for note in candidates.source.notes)


@pytest.mark.parametrize("name", ["decoder.running_mean", "decoder.mean", "feature_mean"])
def test_other_means_prepare_no_images(tmp_path, name):
    content = under("encoder.", trunk()) | {name: ZEROS(512), "decoder.weight": ZEROS(8, 512, 3, 3)}
    candidates, _ = identified(content, tmp_path, prefix="encoder.")
    assert not any("prepare" in note for note in candidates.source.notes)
    candidates, _ = identified(content, tmp_path, network="resnet18")
    assert not any("prepare" in note for note in candidates.source.notes)


def test_dictionaries_of_unusual_names(tmp_path):
    """Each name is a prefix: what stands in the other dictionaries counts as what stands beside."""
    later = {key: tensor + 1 for key, tensor in resnet().items()}
    optimizer = {"state": {0: {"exp_avg": ZEROS(3)}}, "param_groups": []}
    candidates, _ = identified({"net_a": resnet(), "losses": {"w": ZEROS(3)}, "optim": optimizer}, tmp_path)
    assert_same(candidates.source, resnet())
    both = {"first": resnet(), "second": later, "optim": optimizer}
    candidates, _ = identified(both, tmp_path)
    assert_same(candidates.source, resnet())
    assert any("also complete under" in note and "second" in note for note in candidates.source.notes)
    candidates, _ = identified(both, tmp_path, prefix="second")
    assert_same(candidates.source, later)
    with pytest.raises(ConversionError, match=r"prefix='my\.'"):
        identified({"my": trunk(), "up": {"0.weight": ZEROS(8, 512, 3, 3)}}, tmp_path)
