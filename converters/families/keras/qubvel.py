"""qubvel's segmentation_models for Keras, and the ResNets of his classification_models (image-classifiers).

Source of the facts: https://github.com/qubvel/segmentation_models, version 1.0.1: models/*.py and
backbones/backbones_factory.py; https://github.com/qubvel/classification_models, version 1.0.0: models/resnet.py.
The public models need images whose sides are multiples of 32; ours take any size, and compute the same for those.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

from converters.families.family import Family, FamilyNetwork
from converters.families.keras.qubvel_encoders import ENCODERS, Encoder
from converters.names.tables import Row, table
from converters.types import Shapes

_FORMATS = ("Keras HDF5", "Keras zip")
_FORM: dict[str, Any] = {"head_epsilon": 1e-3}
_ACTIVATION = "weights alone do not tell the activation after the logits, such as a sigmoid: the logits come out"
_BILINEAR = (
    "UpSampling2D enlarges bilinearly as Keras does today; Keras 2 without tensorflow.keras aligned the corners of "
    "pixels: upsampling='bilinear_asymmetric'"
)
POOLING = (
    "the pyramid takes averages, over windows as for the size of the image; a model that was built for one size has "
    "the windows of that size"
)


def _unit(source: str, target: str) -> tuple[Row, Row]:
    return (f"{source}_conv", f"{target}_conv", "keras_conv"), (f"{source}_bn", f"{target}_bn", "keras_norm")


_CENTER = _unit("center_block{i}", "center_{i}")
_UNET = (
    *_unit("decoder_stage{i}{c:a}", "decoder_{i}_conv{c}"),
    *_CENTER,
    ("final_conv", "logits", "keras_conv"),
)
_LINKNET = (
    *(
        row
        for letter, part in (("a", "reduce"), ("b", "up"), ("c", "expand"))
        for row in _unit(f"decoder_stage{{i}}{letter}", f"decoder_{{i}}_{part}")
    ),
    *_CENTER,
    # Its last layer has no name of its own: Keras counts such layers.
    ("conv2d", "logits", "keras_conv"),
    ("conv2d_{n}", "logits", "keras_conv"),
)
_FPN = (
    ("fpn_stage_p{n}_conv", "p{n}", "keras_conv"),
    ("fpn_stage_p{n}_pre_conv", "p{n}_pre", "keras_conv"),
    *_unit("segm_stage{n}a", "seg{n}_0"),
    *_unit("segm_stage{n}b", "seg{n}_1"),
    *_unit("final_stage", "final"),
    ("head_conv", "logits", "keras_conv"),
)
_PSPNET = (
    *_unit("psp_level{n}", "ppm_{n}"),
    *_unit("aggregation", "head"),
    ("final_conv", "logits", "keras_conv"),
)


def _filters(shapes: Shapes, key: str) -> int:
    return (shapes.get(key) or (0,))[-1]


def _read_unet(shapes: Shapes) -> dict[str, Any]:
    return {"filters": tuple(_filters(shapes, f"decoder_stage{index}b_conv/kernel") for index in range(5))}


def _read_linknet(shapes: Shapes) -> dict[str, Any]:
    return {"filters": _filters(shapes, "decoder_stage4c_conv/kernel")}


def _read_fpn(shapes: Shapes) -> dict[str, Any]:
    filters = _filters(shapes, "segm_stage2a_conv/kernel")
    joined = (shapes.get("final_stage_conv/kernel") or (0, 0, filters, 0))[-2]
    pyramid = _filters(shapes, "fpn_stage_p2_conv/kernel")
    return {"pyramid_filters": pyramid, "filters": filters, "merge": "add" if joined == filters else "cat"}


def _read_pspnet(shapes: Shapes) -> dict[str, Any]:
    filters = _filters(shapes, "psp_level1_conv/kernel")
    return {"filters": filters, "branch_filters": filters}


def _network(
    title: str,
    encoder: Encoder,
    rows: tuple[Row, ...],
    first: str,
    read: Callable[[Shapes], dict[str, Any]],
    options: dict[str, Any],
    **fields: Any,
) -> FamilyNetwork:
    fields = {"variables": encoder.variables, "assumed": _ACTIVATION, **fields}
    return FamilyNetwork(
        f"{title}_{encoder.name}",
        table((*encoder.rows, *rows)),
        encoder.first,
        complete=encoder.complete,
        requires={first: ""},
        options={**_FORM, **encoder.options, **options},
        read=read,
        dilates=False,
        **fields,
    )


def _networks(encoder: Encoder) -> Iterator[FamilyNetwork]:
    """The four segmenters on one encoder."""
    center = {"center": True} if encoder.pooled else {}
    taps = {"taps": (*encoder.taps, encoder.last)}
    yield _network("unet", encoder, _UNET, "decoder_stage0a_conv/kernel", _read_unet, {**taps, **center})
    form = {**taps, **center, "interpolation": "nearest", "kernel_size": 3}
    more: dict[str, Any] = {"classes": "conv2d/kernel"}
    yield _network("linknet", encoder, _LINKNET, "decoder_stage0c_conv/kernel", _read_linknet, form, **more)
    form = {**taps, "form": "keras", "upsampling": "bilinear", "dropout": 0.0}
    more = {"classes": "head_conv/kernel", "assumed": f"{_ACTIVATION}. {_BILINEAR}"}
    yield _network("fpn", encoder, _FPN, "fpn_stage_p2_conv/kernel", _read_fpn, form, **more)
    for tap, end in encoder.ends:
        # Nothing is dilated: a PSPNet of tfseg has output stride 8 unless another one is asked for.
        form = {"features": tap, "output_stride": 32, "kernel_sizes": (1, 3), "dropout": 0.0}
        more = {
            "assumed": f"{_ACTIVATION}. {_BILINEAR}. {POOLING}",
            "variables": functools.partial(_beginning, encoder=encoder, end=end),
        }
        yield _network("pspnet", encoder, _PSPNET, "psp_level1_conv/kernel", _read_pspnet, form, **more)


@functools.cache
def _beginning(width: float, *, encoder: Encoder, end: str) -> Shapes:
    """The kernels of an encoder before the first layer whose name begins with `end`: PSPNet has no others.

    The width does not count: widened, an EfficientNet-B1 begins as B3 does.
    """
    variables = encoder.variables(1.0)
    last = next((index for index, path in enumerate(variables) if path.startswith(end)), None)
    return dict(list(variables.items())[:last])


def _family(kind: str, preprocessing: str, covers: str, proof: str) -> Family:
    return Family(
        name=f"qubvel/segmentation_models/{kind}",
        covers=f"U-Net, LinkNet, FPN and PSPNet for Keras on {covers}: `save_weights`",
        files="https://github.com/qubvel/segmentation_models",
        proof=f"segmentation_models, {proof}",
        source="https://github.com/qubvel/segmentation_models",
        license="MIT",
        formats=_FORMATS,
        preprocessing=preprocessing,
        networks=tuple(network for encoder in ENCODERS[kind] for network in _networks(encoder)),
        classes="final_conv/kernel",
        head=r"(?!conv\d|stage\d|bn|stem|block\d|top).*",
        features=r"relu1|pool5|top_activation|stage\d_unit1_relu1|relu\d_\d|block\d+a?_expand_activation",
        dilates=False,
        conventions=(),
    )


SEGMENTERS = (
    _family("resnet", "pixels", "his ResNet-18 to -152", "4.7e-7"),
    _family("vgg", "caffe", "VGG 16 and 19", "4.0e-7"),
    _family("mobilenet", "inception", "MobileNetV2", "4.5e-7"),
    _family("efficientnet", "torch", "EfficientNet-B0 to -B7", "1.1e-6"),
)


def _classifier(name: str) -> FamilyNetwork:
    (encoder,) = (encoder for encoder in ENCODERS["resnet"] if encoder.name == name)
    rows = (*encoder.rows, ("fc1", "predictions", "keras_dense"))
    return FamilyNetwork(name, table(rows), encoder.first, encoder.variables, complete=encoder.complete)


CLASSIFIER = Family(
    name="qubvel/classification_models",
    covers="ResNet-18 to -152 of image-classifiers, with and without top "
    "(`resnet18_imagenet_1000.h5`, `resnet50_imagenet_11586.h5`)",
    files="https://github.com/qubvel/classification_models/releases/tag/0.0.1",
    proof="image-classifiers, 0",
    source="https://github.com/qubvel/classification_models",
    license="MIT",
    formats=_FORMATS,
    preprocessing="pixels",
    networks=tuple(_classifier(f"preact_resnet{depth}") for depth in (18, 34, 50, 101, 152)),
    classes="fc1/bias",
    head=r"predictions/.*",
)
