"""segmentation_models.pytorch: its decoders on torchvision's ResNets and VGGs.

Source of the facts: https://github.com/qubvel-org/segmentation_models.pytorch, versions 0.0.3 to 0.6.0:
decoders/*, encoders/resnet.py, encoders/_utils.py and base/heads.py. It refuses images whose
sides are not multiples of the encoder's stride; ours takes any size, and computes the same for those.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

from converters.families import variables
from converters.families.family import COUNTER, Family, FamilyNetwork
from converters.families.heads import aspp, separated
from converters.families.pytorch.public_torchvision import import_torchvision
from converters.families.pytorch.smp_decoders import DECODERS, Decoder
from converters.families.pytorch.torchvision import vgg_features
from converters.families.trunks import HEAD, network, trunk
from converters.names.tables import Row, table
from tfseg import specs

_ENCODERS = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
)
_ALIGNED = {"upsampling": "bilinear_align_corners"}
_FORM = {"rates": (12, 24, 36), "convention": "new", **_ALIGNED}  # whatever the output stride
_ON_VGG = ("unet", "unetplusplus", "linknet", "fpn", "manet", "upernet", "segformer")  # PAN dilates its encoder
_LOGITS = ("segmentation_head.0", "logits", "conv")

_DEEPLABV3 = (
    *aspp("decoder.aspp"),
    ("decoder.conv", "head_conv", "conv"),
    ("decoder.bn", "head_bn", "norm"),
    # The names in versions before 0.5; exports write the names above.
    *aspp("decoder.0"),
    ("decoder.1", "head_conv", "conv"),
    ("decoder.2", "head_bn", "norm"),
    _LOGITS,
)
_DEEPLABV3PLUS = (
    *aspp("decoder.aspp.0", separable=True),
    *separated("decoder.aspp.1", "aspp_out"),
    ("decoder.aspp.2", "aspp_out_bn", "norm"),
    ("decoder.block1.0", "low_level_conv", "conv"),
    ("decoder.block1.1", "low_level_bn", "norm"),
    *separated("decoder.block2.0", "decoder"),
    ("decoder.block2.1", "decoder_bn", "norm"),
    _LOGITS,
)


def _psp(stages: str, convolution: str) -> tuple[Row, ...]:
    """The pyramid's rows in one version.

    Args:
        stages: name of the branches.
        convolution: name of the sequence that holds a convolution and its norm.
    """
    branches = [(f"decoder.psp.{stages}.{index}.pool.1{convolution}", bins) for index, bins in enumerate((1, 2, 3, 6))]
    return (
        *((f"{source}.0", f"ppm_{bins}_conv", "conv") for source, bins in branches),
        *((f"{source}.1", f"ppm_{bins}_bn", "norm") for source, bins in branches if bins > 1),
        (f"decoder.conv{convolution}.0", "head_conv", "conv"),
        (f"decoder.conv{convolution}.1", "head_bn", "norm"),
    )


_PSPNET = (
    *_psp("blocks", ""),
    _LOGITS,
    # The names in versions before 0.1.
    *_psp("stages", ".block"),
    ("decoder.final_conv", "logits", "conv"),
)
_PSPNET_OPTIONS = {
    "features": "conv3",
    "order": "features_last",
    "kernel_sizes": (1, 3),
    "norm_single_bin": False,
    "dropout": 0.2,
    "convention": "new",
    **_ALIGNED,
}
# `aux_params` builds it; the segmenter's logits do not depend on it.
_BESIDE = (
    (r"classification_head\.3\.(weight|bias)", "the classification head beside the segmenter, which is not built"),
)
_ASSUMED = (
    "the tensors do not tell how the decoder enlarges maps, PAN's output stride, or an activation after the logits: "
    "they are the package's defaults here. If yours differ, give the folder of save_pretrained, or the module itself"
)
_NOT_RUN = ((r"decoder\.center\..*", "a block that its U-Net++ has on VGG, and never runs"),)
_UNREAD = ((r"encoder\.layer[34]\..*", "part of a stage of the encoder that this PSPNet does not compute"),)


def _deeplab(title: str, rows: tuple[Row, ...], public: str, **options: Any) -> Iterator[FamilyNetwork]:
    for name in _ENCODERS:
        spec = specs.RESNETS[name]
        named = [*trunk(spec, "encoder."), *rows]
        yield network(
            f"{title}_{name}", spec, named, ignored=_BESIDE, public=f"{public}_{name}", options=options | _FORM
        )


def _pspnet(name: str) -> FamilyNetwork:
    """PSPNet, which ends with the second stage of its encoder.

    Its files hold the whole encoder, which tells a ResNet-50 from a -101. An exported file holds the two stages alone;
    then the smallest encoder that begins so is as good as any.
    """
    title, spec = f"pspnet_{name}", specs.RESNETS[name]
    stages = [
        (source.replace("{s}", str(stage)), target.replace("{s+1}", str(stage + 1)), kind)
        for source, target, kind in trunk(spec, "encoder.")
        for stage in ((1, 2) if "{s}" in source else (0,))
    ]
    return network(
        title,
        dataclasses.replace(spec, blocks=spec.blocks[:2]),
        [*stages, *_PSPNET],
        ignored=_UNREAD + _BESIDE,
        public=f"PSPNet_{name}",
        options=_PSPNET_OPTIONS,
        dilates=False,
        whole=network(title, spec, [*trunk(spec, "encoder."), *_PSPNET], ignored=_BESIDE),
    )


def _decoders(title: str, decoder: Decoder) -> Iterator[FamilyNetwork]:
    fields: dict[str, Any] = {"read": decoder.read, "requires": {decoder.requires: ""}, "assumed": _ASSUMED}
    for name in _ENCODERS:
        spec = specs.RESNETS[name]
        rows = [*trunk(spec, "encoder."), *decoder.rows]
        public = f"{decoder.public}_{name}"
        options = {"convention": "new", **decoder.options}
        yield network(
            f"{title}_{name}", spec, rows, _BESIDE, public=public, options=options, dilates=title == "pan", **fields
        )
    for name, (depth, batch_norm) in specs.VGGS.items() if title in _ON_VGG else ():
        ignored = (COUNTER, *_BESIDE, *(_NOT_RUN if title == "unetplusplus" else ()))
        yield FamilyNetwork(
            f"{title}_{name}",
            table((*vgg_features(depth, batch_norm, "encoder."), *decoder.rows), ignored),
            "encoder.features.0.weight",
            functools.partial(variables.vgg, depth=depth, batch_norm=batch_norm),
            public=f"{decoder.public}_{name}",
            dilates=False,
            **fields,
        )


def _public(name: str, *, num_classes: int, output_stride: int, aux: bool) -> Any:
    import_torchvision()  # which timm imports
    import segmentation_models_pytorch

    head, _, encoder = name.partition("_")
    options = {"encoder_output_stride": output_stride} if head in ("DeepLabV3", "DeepLabV3Plus", "PAN") else {}
    return getattr(segmentation_models_pytorch, head)(encoder, encoder_weights=None, classes=num_classes, **options)


SMP = Family(
    name="qubvel/segmentation_models.pytorch",
    covers="U-Net, U-Net++, FPN, LinkNet, MA-Net, PAN, UPerNet, SegFormer, DeepLabV3, DeepLabV3+ and PSPNet on "
    "ResNet-18 to -152, ResNeXt-50 32x4d and -101 32x8d; all but the last three and PAN on VGG, too",
    files="https://huggingface.co/models?library=segmentation-models-pytorch",
    proof="segmentation_models_pytorch, 3.6e-6",
    source="https://github.com/qubvel-org/segmentation_models.pytorch",
    license="MIT",
    formats=("PyTorch zip", "PyTorch legacy stream", "safetensors"),
    preprocessing="torch",
    networks=(
        *_deeplab("deeplabv3", _DEEPLABV3, "DeepLabV3", output_stride=8),
        *_deeplab("deeplabv3plus", _DEEPLABV3PLUS, "DeepLabV3Plus", output_stride=16),
        *map(_pspnet, _ENCODERS),
        *(network for title, decoder in DECODERS.items() for network in _decoders(title, decoder)),
    ),
    classes="segmentation_head.0.weight",
    head=HEAD,
    features=r"conv[35]_block\d+_out|pool5",
    trunk={"output_stride": 32},
    conventions=("new",),
    public=_public,
    multiple_of=16,
)
