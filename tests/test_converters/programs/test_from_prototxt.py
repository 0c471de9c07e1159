"""The steps of single Caffe layers."""

import pytest

from converters.programs import from_prototxt
from converters.programs.steps import StepFactory
from converters.reading.caffe.prototxt import read_prototxt

INPUT = 'input: "data" input_dim: 1 input_dim: 3 input_dim: 33 input_dim: 49\n'
CONVOLUTION = """layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
    convolution_param { num_output: 3 kernel_size: 3 pad: 1 } }"""


def describe(path, layer, *bottoms, before=CONVOLUTION):
    """The only end of a network that ends with this layer."""
    bottoms = " ".join(f'bottom: "{bottom}"' for bottom in bottoms)
    path.write_text(f'{INPUT}{before}\nlayer {{ name: "end" {bottoms} top: "end" {layer} }}')
    (end,) = from_prototxt.describe(read_prototxt(path), {"conv": "conv"}.get, {"conv"}, StepFactory((33, 49), 3))
    return end


@pytest.mark.parametrize(
    ("layer", "bottoms", "op", "facts"),
    [
        ('type: "Scale"', ["conv", "data"], "product", {}),
        ('type: "Scale" scale_param { filler { value: 2 } }', ["conv"], "multiplication", {"by": 2.0, "plus": 0.0}),
        ('type: "Scale" scale_param { bias_term: true }', ["conv"], "scale", {"scale": True, "shift": True}),
        ('type: "Power" power_param { scale: 2 shift: 3 }', ["conv"], "multiplication", {"by": 2.0, "plus": 3.0}),
        ('type: "Power" power_param { power: 2 }', ["conv"], "power", {"power": 2.0}),
        ('type: "ReLU" relu_param { negative_slope: 0.1 }', ["conv"], "leaky relu", {"slope": 0.1}),
        ('type: "Axpy"', ["data", "conv", "data"], "sum", {}),
        ('type: "Concat"', ["conv", "data"], "concatenation", {}),
        ('type: "Concat" concat_param { axis: 2 }', ["conv", "data"], "concatenation", {"axis": 2}),
        ('type: "Crop" crop_param { axis: 1 offset: 1 }', ["conv", "data"], "crop", {"axis": 1}),
        ('type: "Interp" interp_param { pad_beg: -1 }', ["conv"], "interp", {"pad_beg": -1}),
        ('type: "Interp" interp_param { height: 9 width: 7 }', ["conv"], "resize", {"to": (9, 7)}),
        ('type: "Interp" interp_param { shrink_factor: 2 }', ["conv"], "resize", {"to": (17, 25)}),
        ('type: "Sigmoid"', ["conv"], "sigmoid", {}),
        ('type: "Unheard"', ["conv"], "Unheard", {}),
    ],
)
def test_layers_become_steps(tmp_path, layer, bottoms, op, facts):
    step = describe(tmp_path / "net.prototxt", layer, *bottoms)
    assert step.op == op
    assert step.facts.items() >= facts.items()


@pytest.mark.parametrize(
    "layer",
    [
        'type: "Dropout"',
        'type: "Concat"',
        'type: "Power" power_param { scale: 1 }',
        'type: "Crop" crop_param { axis: 2 offset: 0 }',
    ],
)
def test_layers_that_change_nothing_make_no_step(tmp_path, layer):
    bottoms = ["conv", "data"] if "Crop" in layer else ["conv"]
    assert describe(tmp_path / "net.prototxt", layer, *bottoms).op == "convolution"


def test_concatenated_inputs_are_the_image(tmp_path):
    """FCN's networks for color and depth concatenate two inputs."""
    depth = 'layer { name: "d" type: "Python" top: "depth" }'
    step = describe(tmp_path / "net.prototxt", 'type: "Concat"', "data", "depth", before=depth)
    assert step.op == "image"
