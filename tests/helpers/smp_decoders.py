"""Which tensor of segmentation_models.pytorch is which variable of `tfseg`'s decoders, as data, and what uses it."""

import types

from helpers.torchvision_cpu import import_torchvision

from converters.families.heads import aspp, separated
from converters.families.pytorch.smp_decoders import DECODERS
from converters.families.pytorch.torchvision import vgg_features
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


LOGITS = ("segmentation_head.0", "logits", "conv")
ROWS: dict[str, list[Row]] = {
    **{decoder.public: [row for row in decoder.rows if row != LOGITS] for decoder in DECODERS.values()},
    "DeepLabV3Plus": [
        *aspp("decoder.aspp.0", separable=True),
        *aspp("decoder.aspp.0"),
        *separated("decoder.aspp.1", "aspp_out"),
        ("decoder.aspp.2", "aspp_out_bn", "norm"),
        *unit("decoder.block1", "low_level"),
        *separated("decoder.block2.0", "decoder"),
        ("decoder.block2.1", "decoder_bn", "norm"),
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
        trunk_rows = vgg_features(*specs.VGGS[encoder], "encoder.")
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
