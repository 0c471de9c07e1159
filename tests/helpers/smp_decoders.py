"""Which tensor of segmentation_models.pytorch is which variable of `tfseg`'s decoders, as data, and what uses it."""

import types

from helpers.torchvision_cpu import import_torchvision

from converters.families.heads import aspp, separated
from converters.families.pytorch.torchvision import vgg_network
from converters.families.trunks import trunk
from converters.names.tables import Row, table
from converters.proof.compare import compare_layers
from converters.proof.references import run_torch
from converters.weights.fill_model import variable_shapes
from converters.weights.plan import plan_import
from tfseg import specs

ENCODERS = ("encoder.", "segformer.", "backbone.")  # where public networks have their backbone
IGNORED = ((r".*num_batches_tracked", "counts the batches that BatchNorm saw"),)


def unit(source: str, target: str) -> tuple[Row, Row]:
    """The rows of a `Conv2dReLU`."""
    return (f"{source}.0", f"{target}_conv", "conv"), (f"{source}.1", f"{target}_bn", "norm")


def named_unit(source: str, target: str) -> tuple[Row, Row]:
    """The rows of PAN's `ConvBnRelu`."""
    return (f"{source}.conv", f"{target}_conv", "conv"), (f"{source}.bn", f"{target}_bn", "norm")


def scse(source: str, target: str) -> tuple[Row, ...]:
    """The rows of a block's two attentions."""
    return tuple(
        (f"{source}.attention{{a}}.attention.{part}", f"{target}_attention{{a}}_{layer}", "conv")
        for part, layer in (("cSE.1", "cse_1"), ("cSE.3", "cse_2"), ("sSE.0", "sse"))
    )


def fpn_branches() -> list[Row]:
    """The rows of FPN's branches, which that library counts from the coarsest."""
    return [
        row
        for index, level in enumerate((5, 4, 3, 2))
        for row in (
            (f"decoder.seg_blocks.{index}.block.{{i}}.block.0", f"seg{level}_{{i}}_conv", "conv"),
            (f"decoder.seg_blocks.{index}.block.{{i}}.block.1", f"seg{level}_{{i}}_gn", "norm"),
        )
    ]


LOGITS = ("segmentation_head.0", "logits", "conv")
ROWS: dict[str, list[Row]] = {
    "Unet": [
        *unit("decoder.blocks.{i}.conv{c}", "decoder_{i}_conv{c}"),
        *unit("decoder.center.{i}", "center_{i+1}"),
        *scse("decoder.blocks.{i}", "decoder_{i}"),
    ],
    "UnetPlusPlus": [
        *unit("decoder.blocks.x_{d}_{l}.conv{c}", "decoder_x_{d}_{l}_conv{c}"),
        *scse("decoder.blocks.x_{d}_{l}", "decoder_x_{d}_{l}"),
    ],
    "Linknet": [
        *unit("decoder.blocks.{i}.block.0", "decoder_{i}_reduce"),
        ("decoder.blocks.{i}.block.1.0", "decoder_{i}_up_conv", "upconv"),
        ("decoder.blocks.{i}.block.1.1", "decoder_{i}_up_bn", "norm"),
        *unit("decoder.blocks.{i}.block.2", "decoder_{i}_expand"),
    ],
    "FPN": [
        ("decoder.p5", "p5", "conv"),
        ("decoder.p{n}.skip_conv", "p{n}", "conv"),
        *fpn_branches(),
    ],
    "MAnet": [
        ("decoder.center.top_conv", "center_top_conv", "conv"),
        ("decoder.center.center_conv", "center_center_conv", "conv"),
        ("decoder.center.bottom_conv", "center_bottom_conv", "conv"),
        ("decoder.center.out_conv", "center_out_conv", "conv"),
        *unit("decoder.blocks.{i}.hl_conv.{c}", "decoder_{i}_hl_{c}"),
        ("decoder.blocks.{i}.SE_hl.1", "decoder_{i}_se_hl_1", "conv"),
        ("decoder.blocks.{i}.SE_hl.3", "decoder_{i}_se_hl_2", "conv"),
        ("decoder.blocks.{i}.SE_ll.1", "decoder_{i}_se_ll_1", "conv"),
        ("decoder.blocks.{i}.SE_ll.3", "decoder_{i}_se_ll_2", "conv"),
        *unit("decoder.blocks.{i}.conv{c}", "decoder_{i}_conv{c}"),
    ],
    "PAN": [
        *named_unit("decoder.fpa.branch1.1", "fpa_branch1"),
        *named_unit("decoder.fpa.mid.0", "fpa_mid"),
        *named_unit("decoder.fpa.down{i}.1", "fpa_down{i}"),
        *named_unit("decoder.fpa.down3.2", "fpa_conv3"),
        *named_unit("decoder.fpa.conv{i}", "fpa_conv{i}"),
        *named_unit("decoder.gau{i}.conv1.1", "gau{i}_conv1"),
        *named_unit("decoder.gau{i}.conv2", "gau{i}_conv2"),
    ],
    "UPerNet": [
        ("decoder.feature_norms.{i}", "norm_{i}", "norm"),
        *(
            row
            for index, side in enumerate((1, 2, 3, 6))
            for row in unit(f"decoder.psp.blocks.{index}.1", f"psp_{side}")
        ),
        *unit("decoder.psp.out_conv", "psp_out"),
        *unit("decoder.fpn_lateral_blocks.{i}.conv_norm_relu", "lateral_{i}"),
        *unit("decoder.fpn_conv_blocks.{i}", "fpn_{i}"),
        *unit("decoder.fusion_block", "fusion"),
    ],
    "DeepLabV3Plus": [
        *aspp("decoder.aspp.0", separable=True),
        *aspp("decoder.aspp.0"),
        *separated("decoder.aspp.1", "aspp_out"),
        ("decoder.aspp.2", "aspp_out_bn", "norm"),
        *unit("decoder.block1", "low_level"),
        *separated("decoder.block2.0", "decoder"),
        ("decoder.block2.1", "decoder_bn", "norm"),
    ],
    "Segformer": [
        ("decoder.mlp_stage.{i}.linear", "mlp_{i}", "dense"),
        *unit("decoder.fuse_stage", "fuse"),
    ],
}


def smp():
    """The module `segmentation_models_pytorch`; skips the calling test if it is not installed."""
    import pytest

    import_torchvision()
    return pytest.importorskip("segmentation_models_pytorch")


def rows(decoder, encoder):
    """All rows of a network on a ResNet of `tfseg.specs.RESNETS`, or on a VGG of `tfseg.specs.VGGS`."""
    if encoder in specs.VGGS:
        named = vgg_network(encoder, *specs.VGGS[encoder]).table.rows
        trunk_rows = [(f"encoder.{source}", *rest) for source, *rest in named if source.startswith("features.")]
    else:
        trunk_rows = trunk(specs.RESNETS[encoder], "encoder.")
    return (*trunk_rows, *ROWS[decoder], LOGITS)


def lraspp_rows(encoder):
    """All rows of torchvision's LRASPP on a ResNet."""
    head = "segmenter.classifier"
    return (
        *trunk(specs.RESNETS[encoder], "segmenter.backbone."),
        *unit(f"{head}.cbr", "cbr"),
        (f"{head}.scale.1", "scale_conv", "conv"),
        (f"{head}.low_classifier", "low_logits", "conv"),
        (f"{head}.high_classifier", "logits", "conv"),
    )


def fill(model, module, names, filled=None):
    """Copies all tensors of a torch module by rows of names: each has one variable of its shape, and none is left.

    Args:
        model: Keras model to fill.
        module: torch module.
        names: rows of `ROWS`.
        filled: the model's backbone, if that has its weights; then the module's encoder is left out.
    """
    done = {variable.path for variable in filled.variables} if filled else set()
    state = {
        key: value.detach().numpy()
        for key, value in module.state_dict().items()
        if not (filled and key.startswith(ENCODERS))
    }
    shapes = {key: value.shape for key, value in state.items()}
    wanted = {path: shape for path, shape in variable_shapes(model).items() if path not in done}
    plan = plan_import(table(tuple(names), IGNORED), shapes, wanted)
    assert not plan.problems, (plan.missing, plan.unexpected, plan.misshapen, plan.duplicates)
    assert {assignment.path for assignment in plan.assignments} == {
        variable.path for variable in model.variables if "seed" not in variable.path and variable.path not in done
    }
    variables = {variable.path: variable for variable in model.variables}
    for key, path, layout in plan.assignments:
        variables[path].assign(layout.apply(state[key], tuple(variables[path].shape)))
    return model


def compare_decoders(model, module, names, pixels):
    """Every layer of a decoder beside the public network's module of that name, and the output: a `ModelComparison`.

    Args:
        model: Keras model.
        module: torch module.
        names: rows of the decoder's names. Fully connected layers, which read rows of pixels there, are left out.
        pixels: images `(batch, height, width, channels)`.
    """
    network = types.SimpleNamespace(table=table(tuple(row for row in names if row[2] != "dense"), IGNORED))
    return compare_layers(model, run_torch(module, pixels, types.SimpleNamespace(outputs=slice(None)), network), pixels)
