"""TensorFlow's DeepLab on Xception, MobileNetV2 and ResNet, and the ImageNet networks that it begins from.

Source of the facts: https://github.com/tensorflow/models/tree/master/research/deeplab, model.py,
core/{xception,resnet_v1_beta,feature_extractor}.py and g3doc/model_zoo.md;
https://github.com/tensorflow/models/tree/master/research/slim, nets/mobilenet/{mobilenet,mobilenet_v2}.py and
nets/vgg.py.
"""

import dataclasses
import functools
import itertools
from typing import Any

from converters.families import light_variables
from converters.families.caffe import vgg
from converters.families.family import Family, FamilyNetwork
from converters.families.tensorflow import slim
from converters.families.trunks import network
from converters.names.tables import Row, table
from converters.types import Shapes
from tfseg import specs

_SOURCE = "https://github.com/tensorflow/models/tree/master/research/deeplab"
_ZOO = "https://github.com/tensorflow/models/blob/master/research/deeplab/g3doc/model_zoo.md"
_ASSUMED = (
    "the network sees the whole image; the published programs enlarge a smaller image with gray to 513x513 pixels or "
    "whatever they were exported for. The tensors do not tell the rates and the activations: they are 6, 12 and 18 at "
    "output stride 16, and ReLU (in MobileNetV2 up to 6), as in the published files"
)
_ASSUMED_STRIDE = (
    "the tensors do not tell the output stride: it is 16, as in the published frozen graphs; the published evaluations "
    "also have output_stride=8"
)


def _unit(source: str, target: str, kind: str = "conv") -> tuple[Row, Row]:
    """The rows of a convolution and its norm; those of a depthwise one have another layer's name."""
    layer, norm = {"conv": (f"{target}_conv", f"{target}_bn"), "depthwise": (target, f"{target}_bn")}[kind]
    return (source, layer, f"tf_{kind}"), (f"{source}/BatchNorm", norm, "tf_norm")


def _separated(source: str, target: str) -> tuple[Row, ...]:
    return *_unit(f"{source}_depthwise", f"{target}_depthwise", "depthwise"), *_unit(f"{source}_pointwise", target)


# ------------------------------------------------------------------------------------------------------------ Xception

# How many blocks the entry flow of each has.
_ENTRIES = {"xception41": 3, "xception65": 3, "xception71": 5}


def _xception_rows(name: str) -> tuple[Row, ...]:
    prefix, entry = name.replace("xception", "xception_"), _ENTRIES[name]
    exits = len(specs.XCEPTIONS[name]) - 1
    rows = [row for index in (1, 2) for row in _unit(f"{prefix}/entry_flow/conv1_{index}", f"stem_{index}")]
    # The first row that fits is used: blocks with a number of their own come before the middle ones, which count on.
    places = [(f"entry_flow/block{number}/unit_1", f"block{number}") for number in range(1, entry + 1)]
    places += [(f"exit_flow/block{number}/unit_1", f"block{exits + number - 1}") for number in (1, 2)]
    places += [(f"middle_flow/block1/unit_{unit}", f"block{entry + unit}") for unit in range(1, exits - entry)]
    for place, block in places:
        module = f"{prefix}/{place}/xception_module"
        rows += _unit(f"{module}/shortcut", f"{block}_0")
        for index in (1, 2, 3):
            rows += _separated(f"{module}/separable_conv{index}", f"{block}_{index}")
    return tuple(rows)


# ----------------------------------------------------------------------------------------------------------- MobileNet


def _mobilenet_rows() -> tuple[Row, ...]:
    rows = [*_unit("MobilenetV2/Conv", "stem"), *_unit("MobilenetV2/Conv_1", "top")]
    for source, target in (("expanded_conv", "block1"), ("expanded_conv_{b}", "block{b+1}")):
        block = f"MobilenetV2/{source}"
        rows += _unit(f"{block}/expand", f"{target}_expand")
        rows += [(f"{block}/depthwise", f"{target}_dwconv", "tf_depthwise")]
        rows += [(f"{block}/depthwise/BatchNorm", f"{target}_bn", "tf_norm")]
        rows += _unit(f"{block}/project", f"{target}_project")
    return tuple(rows)


_MOBILENET: dict[str, Any] = {"padding": "same", "epsilon": 1e-3}

# ---------------------------------------------------------------------------------------------------------- segmenters

_LOGITS = ("logits/semantic", "logits", "tf_conv")
_PYRAMID = (
    *_unit("image_pooling", "aspp_pool"),
    *_unit("aspp0", "aspp_0"),
    *_unit("concat_projection", "aspp_project"),
    _LOGITS,
)
_DECODER = (
    *_PYRAMID,  # first, since its 1x1 branch is whole
    *_separated("aspp{i}", "aspp_{i}"),
    *_unit("decoder/feature_projection0", "low_level"),
    *_separated("decoder/decoder_conv{i}", "decoder_{i+1}"),
)
_FORM: dict[str, Any] = {"pool_first": True, "upsampling": "bilinear_align_corners"}
_DECODING: dict[str, Any] = {"decoder_convs": 2, "depthwise_norm": True}
_FIRST_RATE = "aspp1_depthwise/depthwise_weights"
_PROJECTED = "decoder/feature_projection0/weights"


def _rates(shapes: Shapes) -> dict[str, Any]:
    """No rates for a pyramid that has none of their branches."""
    return {} if _FIRST_RATE in shapes else {"rates": ()}


def _plus(name: str) -> FamilyNetwork:
    # The decoder reads the second convolution of the block that strides to 8, before the stride.
    strides = list(itertools.accumulate((row.strides for row in specs.XCEPTIONS[name]), int.__mul__, initial=2))
    low_level = f"block{strides.index(8)}_2_bn"
    return FamilyNetwork(
        f"deeplabv3plus_{name}",
        table((*_xception_rows(name), *_DECODER)),
        f"{name.replace('xception', 'xception_')}/entry_flow/conv1_1/weights",
        functools.partial(light_variables.xception, name=name),
        complete=r"(stem|block\d+)_.*",
        requires={_PROJECTED: "", _FIRST_RATE: ""},
        options={"low_level": low_level, **_DECODING},
        assumed=_ASSUMED,
        assumed_stride=_ASSUMED_STRIDE,
    )


def _beta_trunk(depth: int) -> tuple[specs.ResNetSpec, list[Row], dict[str, Any]]:
    """A ResNet of tf-slim with three convolutions in place of the first one: its numbers, rows and options."""
    prefix = f"resnet_v1_{depth}"
    spec = dataclasses.replace(specs.RESNETS[f"resnet{depth}"], stem=(64, 64, 128))
    rows = [row for row in slim.resnet_rows(prefix) if not row[0].startswith(f"{prefix}/conv1")]
    stem = [row for index in (1, 2, 3) for row in _unit(f"{prefix}/conv1_{index}", f"conv1_{index}")]
    return spec, [*stem, *rows], {"stem": spec.stem, "stride_at": "last", "stem_pool": "same"}


def _beta_plus(depth: int) -> FamilyNetwork:
    spec, rows, form = _beta_trunk(depth)
    return network(
        f"deeplabv3plus_resnet{depth}",
        spec,
        [*(row for row in rows if row[1] != "predictions"), *_DECODER],
        slim.MEAN,
        requires={_PROJECTED: "", "image_pooling/weights": ""},
        # The decoder reads the second unit before its sum.
        options={"low_level": "conv2_block2_3_bn", **form, **_DECODING},
        read=_rates,
        assumed=f"{_ASSUMED}; the units of the last block have one rate, multi_grid=None",
        assumed_stride=_ASSUMED_STRIDE,
    )


DEEPLAB = Family(
    name="tensorflow/deeplab",
    covers="DeepLabV3+ on Xception-41, -65 and -71, on MobileNetV2 and on ResNet-50 and -101 with a deep stem "
    "(`resnet_v1_50_beta`), DeepLabV3 on MobileNetV2: checkpoints (`model.ckpt-30000`) and frozen graphs "
    "(`frozen_inference_graph.pb`) of PASCAL VOC, Cityscapes and ADE20K",
    files=_ZOO,
    proof="its export code, 8.9e-6",
    source=_SOURCE,
    license="Apache-2.0",
    formats=slim.FORMATS,
    preprocessing="inception",
    networks=(
        *map(_plus, ("xception65", "xception41", "xception71")),
        FamilyNetwork(
            "deeplabv3_mobilenet_v2",
            table((*_mobilenet_rows(), *_PYRAMID)),
            "MobilenetV2/Conv/weights",
            light_variables.mobilenet_v2_without_top,
            complete=r"(stem|block\d+|top)_.*",
            requires={"image_pooling/weights": "", "aspp0/weights": ""},
            options={"top_conv": False, "rates": (), "head_kernel": None, **_MOBILENET},
            assumed=_ASSUMED,
            assumed_stride=_ASSUMED_STRIDE,
        ),
        FamilyNetwork(
            "deeplabv3plus_mobilenet_v2",
            table((*_mobilenet_rows(), *_DECODER)),
            "MobilenetV2/Conv/weights",
            light_variables.mobilenet_v2_without_top,
            complete=r"(stem|block\d+|top)_.*",
            requires={_PROJECTED: "", "image_pooling/weights": ""},
            # The decoder reads the third block inside, before its projection.
            options={"top_conv": False, "low_level": "block3_activation", **_MOBILENET, **_DECODING},
            read=_rates,
            assumed=_ASSUMED,
            assumed_stride=_ASSUMED_STRIDE,
        ),
        *map(_beta_plus, (50, 101)),
    ),
    classes="logits/semantic/weights",
    head=r"(?!(stem|block\d+|conv\d)_).*",
    features=r"block\d+_(3_relu|project_bn)|conv5_block\d+_out",
    options={"output_stride": 16, **_FORM},
    conventions=("previous",),
    datasets=("voc", "cityscapes"),
)

# --------------------------------------------------------------------------------------------------------- classifiers


def _classifier(name: str) -> FamilyNetwork:
    prefix = name.replace("xception", "xception_")
    return FamilyNetwork(
        name,
        table((*_xception_rows(name), (f"{prefix}/logits", "predictions", "tf_dense1x1"))),
        f"{prefix}/entry_flow/conv1_1/weights",
        functools.partial(light_variables.xception, name=name),
        complete=r"(stem|block\d+)_.*",
        classes=f"{prefix}/logits/weights",
    )


def _beta(depth: int) -> FamilyNetwork:
    spec, rows, form = _beta_trunk(depth)
    classes = f"resnet_v1_{depth}/logits/weights"
    return network(f"resnet{depth}", spec, rows, slim.MEAN, classes=classes, options=form)


_MOBILENET_TOP = ("MobilenetV2/Logits/Conv2d_1c_1x1", "predictions", "tf_dense1x1")
BACKBONES = Family(
    name="tensorflow/deeplab-backbones",
    covers="ImageNet's Xception-41, -65 and -71, ResNet-50 and -101 with a deep stem (`resnet_v1_50_beta`), and slim's "
    "MobileNetV2 (`mobilenet_v2_1.0_224.ckpt`), with and without top",
    files=_ZOO,
    proof="twins in TensorFlow's own functions, 4.1e-7",
    source=_SOURCE,
    license="Apache-2.0",
    formats=slim.FORMATS,
    preprocessing="inception",
    networks=(
        *map(_classifier, ("xception65", "xception41", "xception71")),
        *map(_beta, (50, 101)),
        FamilyNetwork(
            "mobilenet_v2",
            table((*_mobilenet_rows(), _MOBILENET_TOP)),
            "MobilenetV2/Conv/weights",
            light_variables.mobilenet_v2,
            widest=light_variables.MOBILENET_V2_WIDEST,
            complete=r"(stem|block\d+|top)_.*",
            classes="MobilenetV2/Logits/Conv2d_1c_1x1/weights",
            options=_MOBILENET,
        ),
    ),
    classes="xception_65/logits/weights",
    head=r"predictions/.*",
    conventions=("previous",),
)

# ----------------------------------------------------------------------------------------------------------- slim's VGG


def _vgg(depth: int) -> FamilyNetwork:
    prefix = f"vgg_{depth}"
    rows = (
        (f"{prefix}/conv{{s}}/conv{{s}}_{{i}}", "conv{s}_{i}", "tf_conv"),
        (f"{prefix}/fc6", "fc6", "tf_conv7x7"),
        (f"{prefix}/fc7", "fc7", "tf_dense1x1"),
        (f"{prefix}/fc8", "fc8", "tf_dense1x1"),
    )
    return dataclasses.replace(
        vgg.vgg(depth, table(rows, slim.MEAN), "/weights"),
        first=f"{prefix}/conv1/conv1_1/weights",
        classes=f"{prefix}/fc8/weights",
    )


VGG = dataclasses.replace(
    vgg.VGG,
    name="tensorflow/slim-vgg",
    source="https://github.com/google-research/tf-slim",
    license="Apache-2.0",
    covers="VGG 16 and 19 (`vgg_16.ckpt`)",
    files="https://github.com/tensorflow/models/tree/master/research/slim#pre-trained-models",
    formats=slim.FORMATS,
    preprocessing="slim",
    networks=tuple(map(_vgg, (16, 19))),
    options={},
    classes="vgg_16/fc8/weights",
    proof="a twin in TensorFlow's own functions, 4.6e-7",
)
