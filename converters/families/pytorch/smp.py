"""segmentation_models.pytorch: DeepLabV3, DeepLabV3+ and PSPNet on torchvision's ResNets.

Source of the facts: https://github.com/qubvel-org/segmentation_models.pytorch, versions 0.0.3 to 0.6.0:
decoders/deeplabv3, decoders/pspnet, encoders/resnet.py, encoders/_utils.py and base/heads.py. It refuses images whose
sides are not multiples of the encoder's stride; ours takes any size, and computes the same for those.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

from converters.families.family import Family, FamilyNetwork
from converters.families.heads import aspp, separated
from converters.families.pytorch.public_torchvision import import_torchvision
from converters.families.trunks import HEAD, network, trunk
from converters.names.tables import Row
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
_RATES = {"rates": (12, 24, 36)}  # whatever the output stride
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
}
# `aux_params` builds it; the segmenter's logits do not depend on it.
_BESIDE = (
    (r"classification_head\.3\.(weight|bias)", "the classification head beside the segmenter, which is not built"),
)
_UNREAD = ((r"encoder\.layer[34]\..*", "part of a stage of the encoder that this PSPNet does not compute"),)


def _deeplab(title: str, rows: tuple[Row, ...], public: str, **options: Any) -> Iterator[FamilyNetwork]:
    for name in _ENCODERS:
        spec = specs.RESNETS[name]
        named = [*trunk(spec, "encoder."), *rows]
        yield network(
            f"{title}_{name}", spec, named, ignored=_BESIDE, public=f"{public}_{name}", options=options | _RATES
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


def _public(name: str, *, num_classes: int, output_stride: int, aux: bool) -> Any:
    import_torchvision()  # which timm imports
    import segmentation_models_pytorch

    head, _, encoder = name.partition("_")
    options = {} if head == "PSPNet" else {"encoder_output_stride": output_stride}
    return getattr(segmentation_models_pytorch, head)(encoder, encoder_weights=None, classes=num_classes, **options)


SMP = Family(
    name="qubvel/segmentation_models.pytorch",
    covers="DeepLabV3, DeepLabV3+ and PSPNet on ResNet-18 to -152, ResNeXt-50 32x4d and -101 32x8d",
    files="https://huggingface.co/models?library=segmentation-models-pytorch",
    proof="segmentation_models_pytorch, 2.4e-6",
    source="https://github.com/qubvel-org/segmentation_models.pytorch",
    license="MIT",
    formats=("PyTorch zip", "PyTorch legacy stream", "safetensors"),
    preprocessing="torch",
    networks=(
        *_deeplab("deeplabv3", _DEEPLABV3, "DeepLabV3", output_stride=8),
        *_deeplab("deeplabv3plus", _DEEPLABV3PLUS, "DeepLabV3Plus", output_stride=16),
        *map(_pspnet, _ENCODERS),
    ),
    classes="segmentation_head.0.weight",
    head=HEAD,
    features=r"conv[35]_block\d+_out",
    trunk={"output_stride": 32},
    options={"convention": "new", "upsampling": "bilinear_align_corners"},
    conventions=("new",),
    public=_public,
    multiple_of=16,
)
