"""segmentation_models.pytorch: its decoders on torchvision's ResNets and VGGs.

Source of the facts: https://github.com/qubvel-org/segmentation_models.pytorch, versions 0.0.3 to 0.6.0:
decoders/*, encoders/resnet.py, encoders/_utils.py and base/heads.py. It refuses images whose
sides are not multiples of the encoder's stride; ours takes any size, and computes the same for those.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from converters.families.family import COUNTER, Family, FamilyNetwork
from converters.families.heads import aspp, separated
from converters.families.pytorch.public_torchvision import import_torchvision
from converters.families.pytorch.smp_decoders import DECODERS, Decoder
from converters.families.pytorch.smp_encoders import DILATING, ENCODERS, TIMM_ENCODERS, Encoder, beginning
from converters.families.trunks import network
from converters.names.tables import Ignored, Row, table
from tfseg import specs

_ALIGNED = {"upsampling": "bilinear_align_corners"}
_FORM = {"rates": (12, 24, 36), **_ALIGNED}  # whatever the output stride
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
    **_ALIGNED,
}
# `aux_params` builds it; the segmenter's logits do not depend on it.
_BESIDE = (
    (r"classification_head\.3\.(weight|bias)", "the classification head beside the segmenter, which is not built"),
)
_OTHERWISE = "the package's defaults here. If yours differ, give the folder of save_pretrained, or the module itself"
_ASSUMED = (
    "the tensors do not tell how the decoder enlarges maps, PAN's output stride, or an activation after the logits: "
    f"they are {_OTHERWISE}"
)
_ASSUMED_OF_DEEPLAB = (
    "the tensors do not tell the encoder's output stride, the rates of the pyramid, or an activation after the logits: "
    f"they are {_OTHERWISE}"
)
_ASSUMED_OF_PSPNET = (
    "the tensors do not tell how much PSPNet enlarges its map, or an activation after the logits: "
    f"they are {_OTHERWISE}"
)
_NOT_RUN = ((r"decoder\.center\..*", "a block that its U-Net++ has on VGG, and never runs"),)
_UNREAD = "part of a stage of the encoder that this PSPNet does not compute"
# The layers of encoders that are not ResNets or VGGs: a file has no others of them.
_LIGHT = r"(stem|block\d+[a-z]?|stage\d|transition\d|top)_.*"


def _deeplab(
    encoders: Sequence[Encoder], title: str, rows: tuple[Row, ...], public: str, output_stride: int
) -> Iterator[FamilyNetwork]:
    for encoder in _on(title, encoders):
        options = {"output_stride": output_stride, "convention": encoder.convention, **_FORM, **encoder.options}
        if encoder.taps and title == "deeplabv3plus":
            options["low_level"] = encoder.taps[-4]
        yield _network(title, encoder, rows, public=public, options=options, assumed=_ASSUMED_OF_DEEPLAB)


def _pspnet(encoder: Encoder) -> FamilyNetwork:
    """PSPNet, which ends at stride 8 of its encoder.

    Its files hold the whole encoder, which tells a ResNet-50 from a -101. An exported file holds the first stages
    alone; then the smallest encoder that begins so is as good as any.
    """
    options = {**_PSPNET_OPTIONS, **encoder.options}
    if encoder.spec:
        options["convention"] = encoder.convention
    if encoder.taps:
        options["features"] = encoder.taps[-3]
    return _network(
        "pspnet",
        beginning(encoder),
        _PSPNET,
        ((encoder.late, _UNREAD),),
        public="PSPNet",
        options=options,
        dilates=False,
        # An encoder alone is not taken for its beginning; the oldest names of the head are those on ResNets alone.
        requires={} if encoder.spec else {"decoder.psp.blocks.0.pool.1.0.weight": ""},
        assumed=_ASSUMED_OF_PSPNET,
        whole=_network("pspnet", encoder, _PSPNET),
    )


def _decoders(encoders: Sequence[Encoder], title: str, decoder: Decoder) -> Iterator[FamilyNetwork]:
    for encoder in _on(title, encoders):
        options = {**decoder.options, **encoder.options}
        if encoder.spec or title in DILATING:
            options["convention"] = encoder.convention
        if encoder.taps:
            options["taps"] = encoder.taps[-4:] if "taps" in decoder.options else encoder.taps
        yield _network(
            title,
            encoder,
            decoder.rows,
            _NOT_RUN if title == "unetplusplus" and encoder.name in specs.VGGS else (),
            public=decoder.public,
            options=options,
            dilates=title in DILATING,
            read=decoder.read,
            requires={decoder.requires: ""},
            assumed=_ASSUMED,
        )


def _on(title: str, encoders: Sequence[Encoder]) -> Iterator[Encoder]:
    """The encoders on which a decoder is built."""
    return (encoder for encoder in encoders if title not in encoder.decoders_without)


def _network(
    title: str,
    encoder: Encoder,
    rows: tuple[Row, ...],
    ignored: tuple[Ignored, ...] = (),
    *,
    public: str | None = None,
    **fields: Any,
) -> FamilyNetwork:
    """The record of a decoder on an encoder.

    Args:
        title: name of the decoder in `tfseg.build`.
        encoder: the encoder.
        rows: rows of the decoder's names.
        ignored: `(regular expression, why)` of keys that are left out, besides the encoder's.
        public: name of the decoder's class.
        fields: further fields of the record.
    """
    name, every = f"{title}_{encoder.name}", (*encoder.rows, *rows)
    ignored = (*encoder.ignored, *ignored, *_BESIDE)
    fields["public"] = public and f"{public}_{encoder.public}"
    if encoder.assumed:
        fields["assumed"] = f"{fields.get('assumed', '')}. {encoder.assumed}"
    if encoder.spec:
        return network(name, encoder.spec, every, ignored, **fields)
    names = table(every, (COUNTER, *ignored))
    return FamilyNetwork(name, names, encoder.first, encoder.variables, complete=_LIGHT, **fields)


def _public(name: str, *, num_classes: int, output_stride: int, aux: bool) -> Any:
    import_torchvision()  # which timm imports
    import segmentation_models_pytorch

    head, _, encoder = name.partition("_")
    options = {"encoder_output_stride": output_stride} if head in ("DeepLabV3", "DeepLabV3Plus", "PAN") else {}
    return getattr(segmentation_models_pytorch, head)(encoder, encoder_weights=None, classes=num_classes, **options)


def _networks(encoders: Sequence[Encoder]) -> tuple[FamilyNetwork, ...]:
    """Every decoder on every encoder that it can have."""
    return (
        *_deeplab(encoders, "deeplabv3", _DEEPLABV3, "DeepLabV3", 8),
        *_deeplab(encoders, "deeplabv3plus", _DEEPLABV3PLUS, "DeepLabV3Plus", 16),
        *map(_pspnet, _on("pspnet", encoders)),
        *(row for title, decoder in DECODERS.items() for row in _decoders(encoders, title, decoder)),
    )


SMP = Family(
    name="qubvel/segmentation_models.pytorch",
    covers="U-Net, U-Net++, FPN, LinkNet, MA-Net, PAN, UPerNet, SegFormer, DeepLabV3, DeepLabV3+ and PSPNet on "
    "ResNet-18 to -152, ResNeXt, SE-ResNet, SE-ResNeXt, VGG, MobileNetV2, EfficientNet-B0 to -B7 (both forms), "
    "MiT-B0 to -B5 and DenseNet, where the library has that pair",
    files="https://huggingface.co/models?library=segmentation-models-pytorch",
    proof="segmentation_models_pytorch, 3.6e-6",
    source="https://github.com/qubvel-org/segmentation_models.pytorch",
    license="MIT",
    formats=("PyTorch zip", "PyTorch legacy stream", "safetensors"),
    preprocessing="torch",
    networks=_networks(ENCODERS),
    classes="segmentation_head.0.weight",
    head=r"(?!(conv[1-5]|stem|block\d+[a-z]?|stage\d|transition\d|top)_).*",
    features=r"conv[35]_block\d+_out|pool5|top_(activation|bn)|block\d+[a-z]?_(add|project_bn)|(stage|transition)\d_out",
    trunk={"output_stride": 32},
    conventions=("new",),
    public=_public,
    multiple_of=16,
)

# Encoders whose names begin with "tu-": timm's own networks, behind one more name.
SMP_TIMM = dataclasses.replace(
    SMP,
    name="qubvel/segmentation_models.pytorch/timm",
    covers="the same decoders on timm's ResNets, encoders tu-resnet50 and so on: d and se variants, ResNeXt, wide ones",
    proof="segmentation_models_pytorch, 9.4e-7",
    networks=_networks(TIMM_ENCODERS),
    conventions=("previous",),
)
