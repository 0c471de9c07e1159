"""CSAILVision/semantic-segmentation-pytorch: dilated ResNets with its heads, two files for each network.

Source of the facts: https://github.com/CSAILVision/semantic-segmentation-pytorch, mit_semseg/models/models.py,
resnet.py, mit_semseg/lib/nn/modules/batchnorm.py and the history of dataset.py. Its inference ends with a softmax; the
models here give the logits before it.
"""

import dataclasses
from typing import Any

from converters.families.family import Family
from converters.families.pytorch.public_torchvision import import_torchvision
from converters.families.trunks import FEATURES, HEAD, network, trunk
from converters.names.tables import Row
from tfseg import specs

STEM = (64, 64, 128)
_SPECS = {name: dataclasses.replace(specs.RESNETS[name], stem=STEM) for name in ("resnet18", "resnet50", "resnet101")}
_OPTIONS: dict[str, Any] = {"output_stride": 8, "convention": "previous", "stem": STEM, "aux_reduction": 2}
DILATED = (
    "the tensors do not tell the output stride: it is 8, as in the published files; the code also takes "
    "dilate_scale=16, for which give output_stride=16, or an encoder that is not dilated: output_stride=32"
)
IGNORED = (
    (r".*\._tmp_running_(mean|var)", "a sum of the synchronized BatchNorm, which only training reads"),
    (r".*\._running_iter", "a count of the synchronized BatchNorm, which only training reads"),
)

_DEEPSUP = (
    ("cbr_deepsup.0", "aux_head_conv", "conv"),
    ("cbr_deepsup.1", "aux_head_bn", "norm"),
    ("conv_last_deepsup", "aux_logits", "conv"),
)
C1_ROWS = (("cbr.0", "head_conv", "conv"), ("cbr.1", "head_bn", "norm"), ("conv_last", "logits", "conv"), *_DEEPSUP)
_PPM = (
    *((f"ppm.{index}.1", f"ppm_{bins}_conv", "conv") for index, bins in enumerate((1, 2, 3, 6))),
    *((f"ppm.{index}.2", f"ppm_{bins}_bn", "norm") for index, bins in enumerate((1, 2, 3, 6))),
    ("conv_last.0", "head_conv", "conv"),
    ("conv_last.1", "head_bn", "norm"),
    ("conv_last.4", "logits", "conv"),
    *_DEEPSUP,
)


def _public(name: str, *, num_classes: int, output_stride: int, aux: bool) -> Any:
    """Encoder and decoder as one module. It returns nothing, since they give probabilities: the layers are compared."""
    import_torchvision()  # which mit_semseg imports
    from mit_semseg.models import models, resnet

    if output_stride != 8:
        raise ValueError(f"mit_semseg's {name} has output stride 8 only")
    depth, kind = name.split("dilated-")
    decoders = {"ppm": (models.PPM, models.PPMDeepsup), "c1": (models.C1, models.C1DeepSup)}
    encoder = models.ResnetDilated(getattr(resnet, depth)())
    decoder = decoders[kind][aux](num_class=num_classes, fc_dim=512 if depth == "resnet18" else 2048)
    return public_pair(encoder, decoder)


def public_pair(encoder: Any, decoder: Any) -> Any:
    """An encoder and a decoder of mit_semseg as one module, with the names of both files. It returns nothing."""
    import torch

    class Pair(torch.nn.Module):
        def forward(self, image: Any) -> dict[str, Any]:
            decoder(encoder(image, return_feature_maps=True))
            return {}

    pair = Pair()
    for part in (encoder, decoder):
        for child, module in part.named_children():
            pair.add_module(child, module)
    return pair


def _family(decoder: str, head: str, rows: tuple[Row, ...], worst: str, **fields: Any) -> Family:
    return Family(
        name=f"csailvision/{decoder}",
        covers=f"{head} on ResNet-18, -50 and -101 with a deep stem, dilated: encoder and decoder {decoder} or "
        f"{decoder}_deepsup",
        files="http://sceneparsing.csail.mit.edu/model/pytorch/",
        proof=f"mit_semseg, and a twin of it, {worst}",
        source="https://github.com/CSAILVision/semantic-segmentation-pytorch",
        license="BSD-3-Clause",
        formats=("PyTorch legacy stream", "PyTorch zip"),
        preprocessing="torch",
        preprocessing_otherwise={"fast_rcnn": "what files from before August 2019 need, those named baseline-*"},
        networks=tuple(
            network(
                f"{head.lower()}_{name}",
                spec,
                [*trunk(spec, stem="numbered"), *rows],
                ignored=IGNORED,
                public=f"{name}dilated-{decoder}",
                assumed_stride=DILATED,
            )
            for name, spec in _SPECS.items()
        ),
        aux="conv_last_deepsup.weight",
        datasets=("ade20k",),
        head=HEAD,
        features=FEATURES,
        ends_at_logits=True,
        conventions=("previous",),
        parts={"encoder": r"conv1\.", "decoder": r"conv_last"},
        public=_public,
        **fields,
    )


# This head has 512 channels everywhere, whatever the width of the encoder.
PPM = _family("ppm", "PSPNet", _PPM, "4.9e-6", classes="conv_last.4.weight", options=_OPTIONS | {"branch_filters": 512})
C1 = _family("c1", "FCN", C1_ROWS, "3.9e-6", classes="conv_last.weight", options=_OPTIONS)
