"""The decoders of segmentation_models.pytorch: rows of their names, and what the shapes of their tensors tell.

Source of the facts: https://github.com/qubvel-org/segmentation_models.pytorch, versions 0.1 to 0.6: decoders/*/,
base/modules.py and base/heads.py.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from converters.names.tables import Row
from converters.types import Shapes

_LOGITS = ("segmentation_head.0", "logits", "conv")


@dataclasses.dataclass(frozen=True)
class Decoder:
    """One decoder.

    Attributes:
        public: name of its class.
        rows: rows of its names.
        read: function of the shapes of a file that gives the options of `tfseg.build` that they tell.
        requires: key that every file of it has.
        options: options of `tfseg.build` that it has in every file.
    """

    public: str
    rows: tuple[Row, ...]
    read: Callable[[Shapes], dict[str, Any]]
    requires: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def _unit(source: str, target: str) -> tuple[Row, Row]:
    """The rows of a `Conv2dReLU`."""
    return (f"{source}.0", f"{target}_conv", "conv"), (f"{source}.1", f"{target}_bn", "norm")


def _named_unit(source: str, target: str) -> tuple[Row, Row]:
    """The rows of PAN's `ConvBnRelu`."""
    return (f"{source}.conv", f"{target}_conv", "conv"), (f"{source}.bn", f"{target}_bn", "norm")


def _scse(source: str, target: str) -> tuple[Row, ...]:
    """The rows of a block's two attentions."""
    return tuple(
        (f"{source}.attention{{a}}.attention.{part}", f"{target}_attention{{a}}_{layer}", "conv")
        for part, layer in (("cSE.1", "cse_1"), ("cSE.3", "cse_2"), ("sSE.0", "sse"))
    )


def _fpn_branches() -> tuple[Row, ...]:
    """The rows of FPN's branches, which that library counts from the coarsest."""
    return tuple(
        row
        for index, level in enumerate((5, 4, 3, 2))
        for row in (
            (f"decoder.seg_blocks.{index}.block.{{i}}.block.0", f"seg{level}_{{i}}_conv", "conv"),
            (f"decoder.seg_blocks.{index}.block.{{i}}.block.1", f"seg{level}_{{i}}_gn", "norm"),
        )
    )


def _filters(shapes: Shapes, key: str) -> tuple[int, ...]:
    """The output channels of the kernels `key` for i = 0, 1, 2 and so on, coarsest first."""
    filters: list[int] = []
    while shape := shapes.get(key.format(i=len(filters))):
        filters.append(shape[0])
    return tuple(filters)


def _read_unet(shapes: Shapes) -> dict[str, Any]:
    options: dict[str, Any] = {"filters": _filters(shapes, "decoder.blocks.{i}.conv1.0.weight")}
    if "decoder.center.0.0.weight" in shapes:
        options["center"] = True
    return options | _attention(shapes, "decoder.blocks.0")


def _read_unetplusplus(shapes: Shapes) -> dict[str, Any]:
    # The nodes that begin at the coarsest map have the widths; all others those of the encoder's maps.
    filters = _filters(shapes, "decoder.blocks.x_0_{i}.conv1.0.weight")
    return {"filters": filters} | _attention(shapes, "decoder.blocks.x_0_0")


def _attention(shapes: Shapes, block: str) -> dict[str, Any]:
    return {"attention": "scse"} if f"{block}.attention2.attention.sSE.0.weight" in shapes else {}


def _read_fpn(shapes: Shapes) -> dict[str, Any]:
    pyramid, filters = (
        _first(shapes, "decoder.p5.weight"),
        _first(shapes, "decoder.seg_blocks.0.block.0.block.0.weight"),
    )
    joined = shapes.get("segmentation_head.0.weight", (0, filters))[1]
    return {"pyramid_filters": pyramid, "filters": filters, "merge": "add" if joined == filters else "cat"}


def _read_manet(shapes: Shapes) -> dict[str, Any]:
    filters = _filters(shapes, "decoder.blocks.{i}.conv1.0.weight")
    attention = _first(shapes, "decoder.center.top_conv.weight")
    inner, outer = shapes.get("decoder.blocks.0.SE_ll.1.weight", (16, 256))[:2]
    return {"filters": filters, "attention_filters": attention, "reduction": outer // inner}


def _read_linknet(shapes: Shapes) -> dict[str, Any]:
    return {"filters": _filters(shapes, "decoder.blocks.{i}.block.2.0.weight")[-1]}


def _first(shapes: Shapes, key: str) -> int:
    return (shapes.get(key) or (0,))[0]


def _reader(key: str) -> Callable[[Shapes], dict[str, Any]]:
    """A function that reads the number of filters off one kernel."""
    return lambda shapes: {"filters": _first(shapes, key)}


DECODERS: dict[str, Decoder] = {
    "unet": Decoder(
        "Unet",
        (
            *_unit("decoder.blocks.{i}.conv{c}", "decoder_{i}_conv{c}"),
            *_unit("decoder.center.{i}", "center_{i+1}"),
            *_scse("decoder.blocks.{i}", "decoder_{i}"),
            _LOGITS,
        ),
        _read_unet,
        "decoder.blocks.0.conv1.0.weight",
    ),
    "unetplusplus": Decoder(
        "UnetPlusPlus",
        (
            *_unit("decoder.blocks.x_{d}_{l}.conv{c}", "decoder_x_{d}_{l}_conv{c}"),
            *_scse("decoder.blocks.x_{d}_{l}", "decoder_x_{d}_{l}"),
            _LOGITS,
        ),
        _read_unetplusplus,
        "decoder.blocks.x_0_0.conv1.0.weight",
    ),
    "linknet": Decoder(
        "Linknet",
        (
            *_unit("decoder.blocks.{i}.block.0", "decoder_{i}_reduce"),
            ("decoder.blocks.{i}.block.1.0", "decoder_{i}_up_conv", "upconv"),
            ("decoder.blocks.{i}.block.1.1", "decoder_{i}_up_bn", "norm"),
            *_unit("decoder.blocks.{i}.block.2", "decoder_{i}_expand"),
            _LOGITS,
        ),
        _read_linknet,
        "decoder.blocks.0.block.2.0.weight",
    ),
    "fpn": Decoder(
        "FPN",
        (
            ("decoder.p5", "p5", "conv"),
            ("decoder.p{n}.skip_conv", "p{n}", "conv"),
            *_fpn_branches(),
            _LOGITS,
        ),
        _read_fpn,
        "decoder.p5.weight",
    ),
    "manet": Decoder(
        "MAnet",
        (
            *(
                (f"decoder.center.{part}_conv", f"center_{part}_conv", "conv")
                for part in ("top", "center", "bottom", "out")
            ),
            *_unit("decoder.blocks.{i}.hl_conv.{c}", "decoder_{i}_hl_{c}"),
            *(
                (f"decoder.blocks.{{i}}.SE_{level}.{place}", f"decoder_{{i}}_se_{level}_{index}", "conv")
                for level in ("hl", "ll")
                for index, place in enumerate((1, 3), 1)
            ),
            *_unit("decoder.blocks.{i}.conv{c}", "decoder_{i}_conv{c}"),
            _LOGITS,
        ),
        _read_manet,
        "decoder.center.top_conv.weight",
    ),
    "pan": Decoder(
        "PAN",
        (
            *_named_unit("decoder.fpa.branch1.1", "fpa_branch1"),
            *_named_unit("decoder.fpa.mid.0", "fpa_mid"),
            *_named_unit("decoder.fpa.down{i}.1", "fpa_down{i}"),
            *_named_unit("decoder.fpa.down3.2", "fpa_conv3"),
            *_named_unit("decoder.fpa.conv{i}", "fpa_conv{i}"),
            *_named_unit("decoder.gau{i}.conv1.1", "gau{i}_conv1"),
            *_named_unit("decoder.gau{i}.conv2", "gau{i}_conv2"),
            _LOGITS,
        ),
        _reader("decoder.fpa.branch1.1.conv.weight"),
        "decoder.fpa.branch1.1.conv.weight",
        {"output_stride": 16, "taps": ("conv2", "conv3", "conv4", "conv5")},
    ),
    "upernet": Decoder(
        "UPerNet",
        (
            ("decoder.feature_norms.{i}", "norm_{i}", "norm"),
            *(
                row
                for index, side in enumerate((1, 2, 3, 6))
                for row in _unit(f"decoder.psp.blocks.{index}.1", f"psp_{side}")
            ),
            *_unit("decoder.psp.out_conv", "psp_out"),
            *_unit("decoder.fpn_lateral_blocks.{i}.conv_norm_relu", "lateral_{i}"),
            *_unit("decoder.fpn_conv_blocks.{i}", "fpn_{i}"),
            *_unit("decoder.fusion_block", "fusion"),
            _LOGITS,
        ),
        _reader("decoder.psp.out_conv.0.weight"),
        "decoder.fpn_lateral_blocks.0.conv_norm_relu.0.weight",
    ),
    "segformer": Decoder(
        "Segformer",
        (("decoder.mlp_stage.{i}.linear", "mlp_{i}", "dense"), *_unit("decoder.fuse_stage", "fuse"), _LOGITS),
        _reader("decoder.fuse_stage.0.weight"),
        "decoder.fuse_stage.0.weight",
    ),
}
