"""Hugging Face transformers' MobileNetV2 and its DeepLabV3, which have the padding and the numbers of TensorFlow.

Source of the facts: https://github.com/huggingface/transformers: models/mobilenet_v2/modeling_mobilenet_v2.py and
configuration_mobilenet_v2.py.
"""

from typing import Any

from converters.families import light_variables
from converters.families.family import COUNTER, Family, FamilyNetwork
from converters.families.light_trunks import unit
from converters.families.pytorch.public_torchvision import import_torchvision
from converters.families.pytorch.public_transformers import only_logits
from converters.families.trunks import HEAD_OF_LIGHT
from converters.names.tables import Row, table

SEGMENTER_CLASS = "MobileNetV2ForSemanticSegmentation"
CLASSIFIER_CLASS = "MobileNetV2ForImageClassification"
TRUNK_CLASS = "MobileNetV2Model"
_NET, _HEAD = "mobilenet_v2", "segmentation_head"
_FORM: dict[str, Any] = {"padding": "same", "epsilon": 1e-3}
_ASSUMED = (
    "the tensors do not tell the padding, the epsilon of the norms or the activation: they are the defaults of "
    "transformers. Give the folder of save_pretrained if its config.json has others"
)


def _named(source: str, target: str) -> tuple[Row, Row]:
    return unit(source, target, "convolution", "normalization")


def _block(source: str, target: str) -> tuple[Row, ...]:
    return (
        *_named(f"{source}.expand_1x1", f"{target}_expand"),
        (f"{source}.conv_3x3.convolution", f"{target}_dwconv", "depthwise"),
        (f"{source}.conv_3x3.normalization", f"{target}_bn", "norm"),
        *_named(f"{source}.reduce_1x1", f"{target}_project"),
    )


_TRUNK = (
    *_named(f"{_NET}.conv_stem.first_conv", "stem"),
    *_block(f"{_NET}.conv_stem", "block1")[2:],
    *_block(f"{_NET}.layer.{{b}}", "block{b+2}"),
)
_FIRST = f"{_NET}.conv_stem.first_conv.convolution.weight"
_FILES = "https://huggingface.co/models?other=mobilenet_v2"
_SOURCE = "https://github.com/huggingface/transformers/blob/main/src/transformers/models/mobilenet_v2/"


def public_transformers(name: str, *, num_classes: int, output_stride: int, aux: bool) -> Any:
    """A module of transformers whose only result are its logits.

    Args:
        name: name of its class.
        num_classes: number of classes.
        output_stride: input pixels per pixel of its last map.
        aux: not read.
    """
    import_torchvision()  # which transformers may import
    import transformers

    config = transformers.MobileNetV2Config(num_labels=num_classes, output_stride=output_stride)
    return only_logits(getattr(transformers, name)(config))


DEEPLABV3 = Family(
    name="huggingface/deeplabv3_mobilenet_v2",
    covers="DeepLabV3 on MobileNetV2 of every width (google/deeplabv3_mobilenet_v2_1.0_513)",
    files=_FILES,
    proof="transformers, 1.9e-6",
    source=f"{_SOURCE}modeling_mobilenet_v2.py",
    license="Apache-2.0",
    formats=("safetensors", "PyTorch zip", "PyTorch legacy stream"),
    preprocessing="inception",
    networks=(
        FamilyNetwork(
            "deeplabv3_mobilenet_v2",
            table(
                (
                    *_TRUNK,
                    *_named(f"{_HEAD}.conv_pool", "aspp_pool"),
                    *_named(f"{_HEAD}.conv_aspp", "aspp_0"),
                    *_named(f"{_HEAD}.conv_projection", "aspp_project"),
                    (f"{_HEAD}.classifier.convolution", "logits", "conv"),
                ),
                (COUNTER, (rf"{_NET}\.conv_1x1\..*", "the convolution before a classifier, which no segmenter reads")),
            ),
            _FIRST,
            light_variables.mobilenet_v2_without_top,
            widest=light_variables.MOBILENET_V2_WIDEST,
            complete=r"(stem|block\d+|top)_.*",
            requires={f"{_HEAD}.conv_projection.convolution.weight": ""},
            public=SEGMENTER_CLASS,
            assumed=_ASSUMED,
            assumed_stride="the tensors do not tell the output stride: it is 8, as in Google's files; transformers has "
            "32 by default, for which give output_stride=32",
        ),
    ),
    classes=f"{_HEAD}.classifier.convolution.weight",
    head=HEAD_OF_LIGHT,
    features=r"block\d+_(add|project_bn)",
    options={"output_stride": 8, "top_conv": False, "rates": (), "pool_first": True, "head_kernel": None, **_FORM},
    conventions=("previous",),
    datasets=("voc",),
    public=public_transformers,
    ends_at_logits=True,
)
CLASSIFIER = Family(
    name="huggingface/mobilenet_v2",
    covers="MobileNetV2 of every width (google/mobilenet_v2_1.0_224)",
    files=_FILES,
    proof="transformers, 1.2e-6",
    source=f"{_SOURCE}modeling_mobilenet_v2.py",
    license="Apache-2.0",
    formats=DEEPLABV3.formats,
    preprocessing="inception",
    networks=(
        FamilyNetwork(
            _NET,
            table((*_TRUNK, *_named(f"{_NET}.conv_1x1", "top"), ("classifier", "predictions", "dense")), (COUNTER,)),
            _FIRST,
            light_variables.mobilenet_v2,
            widest=light_variables.MOBILENET_V2_WIDEST,
            complete=r"(stem|block\d+|top)_.*",
            public=CLASSIFIER_CLASS,
            assumed=_ASSUMED,
        ),
    ),
    classes="classifier.weight",
    head=r"predictions/.*",
    options=_FORM,
    conventions=("previous",),
    public=public_transformers,
)
