"""Hugging Face transformers' ResNet: timm's weights under other names.

Source of the facts: https://github.com/huggingface/transformers: models/resnet/modeling_resnet.py.
"""

from converters.families.family import Family
from converters.families.trunks import network
from tfseg import specs

_ROWS = (
    ("resnet.embedder.embedder.convolution", "conv1_conv", "conv"),
    ("resnet.embedder.embedder.normalization", "conv1_bn", "norm"),
    ("resnet.encoder.stages.{s}.layers.{b}.shortcut.convolution", "conv{s+2}_block{b+1}_0_conv", "conv"),
    ("resnet.encoder.stages.{s}.layers.{b}.shortcut.normalization", "conv{s+2}_block{b+1}_0_bn", "norm"),
    ("resnet.encoder.stages.{s}.layers.{b}.layer.{c}.convolution", "conv{s+2}_block{b+1}_{c+1}_conv", "conv"),
    ("resnet.encoder.stages.{s}.layers.{b}.layer.{c}.normalization", "conv{s+2}_block{b+1}_{c+1}_bn", "norm"),
    ("classifier.1", "predictions", "dense"),
)

RESNET = Family(
    name="huggingface/resnet",
    covers="ResNet 18 to 152",
    files="https://huggingface.co/models?other=resnet",
    proof="transformers, 1.0e-6",
    source="https://github.com/huggingface/transformers/blob/main/src/transformers/models/resnet/modeling_resnet.py",
    license="Apache-2.0",
    formats=("safetensors", "PyTorch zip"),
    preprocessing="torch",
    networks=tuple(
        network(f"resnet{depth}", specs.RESNETS[f"resnet{depth}"], _ROWS) for depth in (18, 34, 50, 101, 152)
    ),
    classes="classifier.1.weight",
    head=r"predictions/.*",
)
