"""What OpenMMLab's configuration, which its runner keeps in a checkpoint, says of the network."""

import numpy as np
import pytest
from helpers import checkpoints

import converters
from converters import ConversionError
from converters.families import get_family
from converters.identification.statements import mmcv_config
from converters.weights.foreign_weights import foreign_weights


def labeled(tmp_path, text):
    """A ResNet-50 with this configuration."""
    content = {"state_dict": checkpoints.state("torchvision/resnet"), "meta": {"config": text, "epoch": 3}}
    return checkpoints.save(tmp_path / "checkpoint.pth", content)


def test_caffe_style_of_openmmlabs_configuration_is_built(tmp_path):
    path = labeled(tmp_path, "model = dict(backbone=dict(type='ResNet', depth=50, style='caffe'))")
    model, receipt = converters.convert(path)
    assert (model.name, receipt.family) == ("resnet50_caffe_padded", "open-mmlab/mmcv")
    with pytest.raises(ConversionError, match=r"the label meta.config says backbone ResNet-101 in the caffe style"):
        converters.identify(labeled(tmp_path, "model = dict(backbone=dict(type='ResNet', depth=101, style='caffe'))"))


MMCV = """norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    backbone=dict(type='ResNetV1c', depth=50, strides={0}, dilations={1}, style={2!r}, contract_dilation={3}))
"""


@pytest.mark.quick_variants(every=2)
@pytest.mark.parametrize(
    ("facts", "stride"),
    [
        (((1, 2, 1, 1), (1, 1, 2, 4), "pytorch", True), 8),
        (((1, 2, 2, 1), (1, 1, 1, 2), "pytorch", True), 16),
        (((1, 2, 1, 1), (1, 1, 2, 4), "caffe", True), None),
        (((1, 2, 1, 1), (1, 1, 2, 4), "pytorch", False), None),
        (((1, 1, 1, 1), (1, 1, 2, 4), "pytorch", True), None),
    ],
)
def test_text_of_openmmlabs_configuration_is_obeyed(tmp_path, facts, stride):
    path = labeled(tmp_path, MMCV.format(*facts))
    if stride is None:
        with pytest.raises(ConversionError, match=r"the label meta.config says backbone ResNetV1c-50"):
            converters.convert(path, include_top=False)
    else:
        assert converters.convert(path, include_top=False)[1].options["output_stride"] == stride


D8 = "type='ResNetV1c', depth=50, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), contract_dilation=True"


def _mmseg_text(head, neck="", before="", backbone=D8):
    return f"{before}model = dict(backbone=dict({backbone}),{neck} decode_head=dict({head}))"


PIXELS = "img_norm_cfg = dict(mean=[10.0, 20.0, 30.0], std=[50.0, 60.0, 70.0], to_rgb=False)\n"


@pytest.mark.parametrize(
    ("text", "options", "head", "preprocessing"),
    [
        (_mmseg_text("type='FCNHead', dilation=6"), {"head_rate": 6}, "", None),
        (_mmseg_text("type='ASPPHead', dilations=(1, 6, 12, 18)"), {"rates": (6, 12, 18)}, "", None),
        (_mmseg_text("type='mmseg.FCNHead', dilation=6"), {"head_rate": 6}, "", None),
        (_mmseg_text("type='ASPPHead', dilations=(2, 6, 12, 18)"), {}, "dilations=", None),
        (_mmseg_text("type='mmseg.PSPHead', pool_scales=(1, 2, 4, 8)"), {}, "pool_scales=", None),
        (_mmseg_text("type='FCNHead', conv_cfg=dict(type='ConvWS')"), {}, "conv_cfg=", None),
        (_mmseg_text("type='FCNHead', act_cfg=dict(type='ReLU', inplace=True)"), {}, "", None),
        (_mmseg_text("type='FCNHead', norm_cfg=norm", before="norm = dict(type='BN', eps=0.01)\n"), {}, "0.01", None),
        (_mmseg_text("type='FCNHead', gate='sigmoid'"), {}, "gate='sigmoid': such a field", None),
        (_mmseg_text("type='TwistedHead'"), {}, "type='TwistedHead': such a part", None),
        (_mmseg_text("type='FCNHead'", "neck=dict(type='GeneralizedMeanPooling'),"), {}, "type='Gen", None),
        (_mmseg_text("type='PSPHead', pool_scales=(1, 2, 4, 8)"), {}, "pool_scales=", None),
        (_mmseg_text("type='FCNHead', act_cfg=dict(type='GELU')"), {}, "act_cfg=", None),
        (_mmseg_text("type='FCNHead', norm_cfg=dict(type='BN', eps=1e-3)"), {}, "eps=0.001", None),
        (_mmseg_text("type='FPNHead', feature_strides=[4, 8, 16, 16]"), {}, "feature_strides=", None),
        (
            _mmseg_text("type='FPNHead', feature_strides=[4, 8, 16, 32]", "neck=dict(type='FPN', act_cfg=dict()),"),
            {},
            "act_cfg=",
            None,
        ),
        (_mmseg_text("type='FCNHead'", before=PIXELS), {}, "", (10.0, 20.0, 30.0)),
    ],
)
def test_what_a_head_of_openmmlab_says_is_read(text, options, head, preprocessing):
    statements = list(mmcv_config.read_text(text, "meta.config"))
    decided = {key: value for statement in statements for key, value in statement.options.items()}
    assert decided == {"output_stride": 8} | options
    assert head in "".join(statement.head for statement in statements)
    assert bool(head) == any(statement.head for statement in statements)
    means = [statement.preprocessing for statement in statements if statement.preprocessing]
    assert bool(means) == bool(preprocessing)
    if means:
        stated = [number * means[0]["divisor"] for number in means[0]["mean"]]
        assert stated == pytest.approx(list(preprocessing))
        assert means[0]["channel_order"] == "BGR"


@pytest.mark.parametrize(
    ("backbone", "refused"),
    [
        ("num_heads=[1, 2, 5, 8]", ""),
        ("num_heads=[2, 4, 10, 16]", "num_heads=(2, 4, 10, 16)"),
        ("", "num_heads=(1, 2, 4, 8)"),  # the default of its code
        ("num_heads=[1, 2, 5, 8], sr_ratios=[4, 4, 2, 1]", "sr_ratios=(4, 4, 2, 1)"),
        ("num_heads=[1, 2, 5, 8], strides=[4, 2, 2, 1]", "strides=(4, 2, 2, 1)"),
        ("num_heads=[1, 2, 5, 8], norm_cfg=dict(type='LN', eps=1e-5)", "norm_cfg={'type'"),
    ],
)
def test_what_a_backbone_of_openmmlab_says_is_read(backbone, refused):
    text = _mmseg_text("type='SegformerHead'", backbone=f"type='MixVisionTransformer', {backbone}")
    refusals = [refusal for said in mmcv_config.read_text(text, "meta.config") for refusal in said.refusals]
    assert [refusal.partition(": ")[0] for refusal in refusals] == ([refused] if refused else [])


@pytest.mark.parametrize(
    ("backbone", "refused"),
    [
        ("type='HRNet', norm_cfg=dict(type='SyncBN', eps=1e-3)", "eps=0.001"),
        ("type='HRNet', conv_cfg=dict(type='ConvWS')", "conv_cfg="),
        ("type='mmseg.models.ResNetV1c', depth=50, conv_cfg=dict(type='ConvWS')", "conv_cfg="),
        ("type='ResNet', depth=50, multi_grid=(1, 2, 4)", "multi_grid="),
        ("type='ResNet', depth=50, strides=2 * two", "strides None"),
        ("type='TridentResNet', depth=50", "type='TridentResNet'"),
        ("type='mmseg.ResNetV1d', depth=50, frozen_stages=-1, norm_eval=True", ""),
    ],
)
def test_every_field_of_a_backbone_of_openmmlab_is_known_or_refused(backbone, refused):
    said = list(mmcv_config.read_text(_mmseg_text("type='FCNHead'", backbone=backbone), "meta.config"))
    refusals = [refusal for statement in said for refusal in statement.refusals]
    assert len(refusals) == bool(refused)
    assert refused in "".join(refusals)


def test_openmmlabs_network_without_strides_is_at_stride_32(tmp_path):
    path = labeled(tmp_path, "model = dict(backbone=dict(type='mmcls.ResNet', depth=50))")
    said = list(mmcv_config.read_text(_mmseg_text("type='FCNHead'", backbone="type='ResNetV1c', depth=50"), "meta"))
    assert [statement.options for statement in said] == [{}, {"output_stride": 32}]
    assert not any("do not tell" in note for note in converters.convert(path)[1].notes)


@pytest.mark.parametrize("text", ['model = {"backbone": BACKBONE}', '{"model": {"backbone": BACKBONE, "neck": null}}'])
def test_openmmlabs_configuration_in_braces_is_read(tmp_path, text):
    text = text.replace("BACKBONE", '{"type": "ResNet", "depth": 50, "conv_cfg": {"type": "ConvWS"}}')
    with pytest.raises(ConversionError, match="conv_cfg="):
        converters.convert(labeled(tmp_path, text))


def test_openmmlabs_text_that_leaves_the_rest_to_other_files_says_nothing():
    text = "_base_ = ['fcn_r50-d8.py']\n" + _mmseg_text("type='FCNHead'", backbone="depth=101")
    assert list(mmcv_config.read_text(text, "meta.config")) == []


def test_a_short_text_of_openmmlab_stays_short():
    """Names that stand for lists of lists of lists are not followed: they double the text at each line."""
    lines = ["a0 = [1, 2]", *(f"a{n + 1} = [a{n}, a{n}]" for n in range(64))]
    said = list(mmcv_config.read_text("\n".join([*lines, _mmseg_text("type='FCNHead', act_cfg=a64")]), "meta.config"))
    assert len("".join(map(str, said))) < 10_000


@pytest.mark.parametrize(
    ("normalization", "order"),
    [
        ("data_preprocessor = dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0])", "BGR"),
        ("data_preprocessor = dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], bgr_to_rgb=True)", "RGB"),
        ("img_norm_cfg = dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0])", "RGB"),
    ],
)
def test_openmmlabs_channels_are_flipped_as_its_code_does(normalization, order):
    text = _mmseg_text("type='FCNHead'", before=f"{normalization}\n")
    stated = [said.preprocessing for said in mmcv_config.read_text(text, "meta.config") if said.preprocessing]
    assert [preprocessing["channel_order"] for preprocessing in stated] == [order]


def test_advice_is_on_what_was_refused(tmp_path):
    """A stride is not the reason, and naming one would not help."""
    backbone = f"{D8}, norm_cfg=dict(type='BN', eps=1e-3)"
    path = labeled(tmp_path, _mmseg_text("type='FCNHead'", backbone=backbone))
    with pytest.raises(ConversionError, match=r"eps=0\.001") as refusal:
        converters.convert(path)
    assert "Name what you want" not in str(refusal.value)


def test_a_trunk_does_not_take_what_is_said_of_a_head(tmp_path):
    text = _mmseg_text("type='ASPPHead', dilations=(1, 6, 12, 18)")
    _, receipt = converters.convert(labeled(tmp_path, text), include_top=False)
    assert "rates" not in receipt.options


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(
    ("network", "options"),
    [("fcn_resnet50c", {"head_kernel": 1, "head_reduction": 8}), ("deeplabv3_resnet50c", {"filters": 16})],
)
def test_heads_of_openmmlab_may_have_other_sizes(network, options):
    family = get_family("open-mmlab/mmsegmentation")
    form = {**family.options, **family.network(network).options, **options}
    built = checkpoints.model(network, width=1 / 8, num_classes=3, **form)
    weights = {key: np.array(value) for key, value in foreign_weights(built, family.name).items()}
    model, receipt = converters.convert(weights)
    assert receipt.network == network
    assert options.items() <= receipt.options.items()
    assert [tuple(weight.shape) for weight in model.weights] == [tuple(weight.shape) for weight in built.weights]
