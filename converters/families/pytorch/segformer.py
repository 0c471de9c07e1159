"""SegFormer and its classifier, the MiT: transformers' and the authors' own.

Source of the facts: https://github.com/huggingface/transformers: models/segformer/modeling_segformer.py, whose norms
have an epsilon of 1e-5 whatever the configuration says; https://github.com/NVlabs/SegFormer:
mmseg/models/backbones/mix_transformer.py and decode_heads/segformer_head.py.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from converters.families import light_variables
from converters.families.family import COUNTER, Family, FamilyNetwork
from converters.families.light_trunks import authors_mit, published_mit, transformers_mit
from converters.families.pytorch.public_torchvision import import_torchvision
from converters.families.pytorch.public_transformers import only_logits
from converters.names.tables import Ignored, Row, table
from converters.types import Shapes
from tfseg import specs

_TAPS = tuple(f"stage{stage}_out" for stage in range(1, 5))
_TRUNK = r"stage\d_.*"
_OF_TRANSFORMERS: dict[str, Any] = {"epsilon": 1e-5}
_JOINED: dict[str, Any] = {"joined": True}
_ASSUMED = (
    "the tensors do not tell the heads of the attention or the strides: they are those of the paper, 1, 2, 5 and 8, "
    "and 4, 2, 2 and 2"
)


def _head(names: Iterable[str], fuse: tuple[str, str], logits: str) -> tuple[Row, ...]:
    """The rows of the head.

    Args:
        names: names of the fully connected layers, from the finest map to the coarsest.
        fuse: names of the convolution of all maps and of its norm.
        logits: name of the last convolution.
    """
    layers = ((name, f"mlp_{3 - index}", "dense") for index, name in enumerate(names))
    return *layers, (fuse[0], "fuse_conv", "conv"), (fuse[1], "fuse_bn", "norm"), (logits, "logits", "conv")


def _of_transformers(projections: str) -> tuple[Row, ...]:
    """The head of transformers, whose first layers have another name in its files than in its modules."""
    names = (f"decode_head.{projections}.{index}.proj" for index in range(4))
    return _head(names, ("decode_head.linear_fuse", "decode_head.batch_norm"), "decode_head.classifier")


def _networks(
    title: str,
    trunk: tuple[Row, ...],
    head: tuple[Row, ...],
    *,
    joined: bool = False,
    public: str = "",
    ignored: tuple[Ignored, ...] = (),
    **fields: Any,
) -> Iterator[FamilyNetwork]:
    """The networks of all sizes in one naming.

    Args:
        title: text before "mit_b0" in the network's name.
        trunk: rows of the backbone, that of its first convolution first.
        head: rows of the head.
        joined: whether keys and values are one layer.
        public: class of the public implementation.
        ignored: `(regular expression, why)` of keys that are left out, besides the counters of batches.
        fields: further fields of the records.
    """
    first = f"{trunk[0][0].replace('{s}', str(int(joined)))}.weight"  # the authors count stages from 1
    for name, spec in specs.MITS.items():
        yield FamilyNetwork(
            f"{title}{name}",
            table((*trunk, *head), (COUNTER, *ignored)),
            first,
            functools.partial(light_variables.mit, spec=spec, joined=joined),
            complete=_TRUNK,
            dilates=False,
            assumed=_ASSUMED,
            public=f"{public}-{name}" if public else None,
            **fields,
        )


def _filters(key: str) -> Callable[[Shapes], dict[str, Any]]:
    """A function that reads the channels of the head off one kernel."""
    return lambda shapes: {"filters": shapes[key][0]} if key in shapes else {}


def _public(name: str, *, num_classes: int, output_stride: int, aux: bool) -> Any:
    import_torchvision()  # which transformers may import
    import transformers

    head, _, size = name.partition("-")
    spec = specs.MITS[size]
    config = transformers.SegformerConfig(
        depths=list(spec.blocks),
        hidden_sizes=list(spec.filters),
        num_labels=num_classes,
        decoder_hidden_size=256 if size in ("mit_b0", "mit_b1") else 768,
    )
    return only_logits(getattr(transformers, head)(config))


_FILES = "https://huggingface.co/models?other=segformer"
_SOURCE = "https://github.com/huggingface/transformers/blob/main/src/transformers/models/segformer/"
_FORMATS = ("safetensors", "PyTorch zip", "PyTorch legacy stream")
_SEGMENTER: dict[str, Any] = {"upsampling": "bilinear", "taps": _TAPS}

# Files have the first names, and modules of transformers 5 the second ones: trunk, head, class of such modules.
_NAMINGS = (
    (published_mit("segformer."), _of_transformers("linear_c"), ""),
    (transformers_mit("segformer."), _of_transformers("linear_projections"), "SegformerForSemanticSegmentation"),
)
# The same of classifiers; a file of the trunk alone lacks the first part of the names.
_MIT_NAMINGS = (
    (published_mit("segformer."), ""),
    (transformers_mit("segformer."), "SegformerForImageClassification"),
    (published_mit(), ""),
    (transformers_mit(), ""),
)

SEGFORMER = Family(
    name="huggingface/segformer",
    covers="SegFormer-B0 to -B5: NVIDIA's files and what others made of them",
    files=_FILES,
    proof="transformers, 3.8e-6",
    source=f"{_SOURCE}modeling_segformer.py",
    license="Apache-2.0",
    formats=_FORMATS,
    preprocessing="torch",
    networks=tuple(
        network
        for trunk, head, public in _NAMINGS
        for network in _networks(
            "segformer_",
            trunk,
            head,
            public=public,
            options=_SEGMENTER | _OF_TRANSFORMERS,
            read=_filters("decode_head.linear_fuse.weight"),
        )
    ),
    classes="decode_head.classifier.weight",
    head=rf"(?!{_TRUNK}).*",
    features="stage4_out",
    dilates=False,
    datasets=("cityscapes", "ade20k"),
    public=_public,
    ends_at_logits=True,
)
MIT = Family(
    name="huggingface/mit",
    covers="MiT-B0 to -B5, SegFormer's backbone as a classifier",
    files=_FILES,
    proof="transformers, 3.6e-6",
    source=f"{_SOURCE}modeling_segformer.py",
    license="Apache-2.0",
    formats=_FORMATS,
    preprocessing="torch",
    networks=tuple(
        network
        for trunk, public in _MIT_NAMINGS
        for network in _networks(
            "",
            trunk,
            (("classifier", "predictions", "dense"),),
            public=public,
            options=_OF_TRANSFORMERS,
        )
    ),
    classes="classifier.weight",
    head=r"predictions/.*",
    dilates=False,
    public=_public,
)

_AUTHORS = "https://github.com/NVlabs/SegFormer"
_UNREAD = (
    r"decode_head\.conv_seg\.(weight|bias)",
    "the last layer of mmsegmentation's heads, which this head replaces",
)

NVLABS = Family(
    name="nvlabs/segformer",
    covers="SegFormer-B0 to -B5, the authors' own files",
    files=_AUTHORS,
    proof="a twin of it, 2.7e-6",
    source=_AUTHORS,
    license="NVIDIA Source Code License (research only)",
    formats=_FORMATS[1:],
    preprocessing="torch",
    networks=tuple(
        _networks(
            "segformer_",
            authors_mit("backbone."),
            _head(
                [f"decode_head.linear_c{level}.proj" for level in range(1, 5)],
                ("decode_head.linear_fuse.conv", "decode_head.linear_fuse.bn"),
                "decode_head.linear_pred",
            ),
            joined=True,
            ignored=(_UNREAD,),
            options=_SEGMENTER | _JOINED,
            read=_filters("decode_head.linear_fuse.conv.weight"),
            # Copies of this network with another epsilon in the head lack this layer.
            requires={"decode_head.conv_seg.weight": ""},
        )
    ),
    classes="decode_head.linear_pred.weight",
    head=rf"(?!{_TRUNK}).*",
    features="stage4_out",
    dilates=False,
    datasets=("cityscapes", "ade20k"),
    ends_at_logits=True,
)
NVLABS_MIT = Family(
    name="nvlabs/mit",
    covers="MiT-B0 to -B5 that the authors trained on ImageNet",
    files=_AUTHORS,
    proof="a twin of it, 1.8e-6",
    source=_AUTHORS,
    license="NVIDIA Source Code License (research only)",
    formats=_FORMATS[1:],
    preprocessing="torch",
    networks=tuple(_networks("", authors_mit(), (("head", "predictions", "dense"),), joined=True, options=_JOINED)),
    classes="head.weight",
    head=r"predictions/.*",
    dilates=False,
)
