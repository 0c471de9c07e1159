"""Learning rates and weight decay by variable give PyTorch's numbers with parameter groups."""

import keras
import numpy as np
import pytest
from helpers.references import relative

from tfseg import optimizers

torch = pytest.importorskip("torch")

FACTORS = {"head/.*": 10.0, ".*/bias": 2.0, "frozen/.*": 0.0}
NAMES = ("trunk", "frozen", "head")
RATE, DECAY, STEPS = 0.03, 0.1, 6


def starting_values():
    random = np.random.default_rng(0)
    shapes = {f"{name}/{part}": shape for name in NAMES for part, shape in (("kernel", (3, 4)), ("bias", (4,)))}
    values = {path: random.normal(size=shape).astype("float32") for path, shape in shapes.items()}
    gradients = [
        {path: random.normal(size=value.shape).astype("float32") for path, value in values.items()}
        for _ in range(STEPS)
    ]
    return values, gradients


def torch_values(make):
    values, gradients = starting_values()
    parameters = {path: torch.nn.Parameter(torch.tensor(value)) for path, value in values.items()}
    groups = [
        {
            "params": [parameter],
            "lr": RATE * (10 if "head" in path else 1) * (2 if "bias" in path else 1) * ("frozen" not in path),
            "weight_decay": DECAY if "kernel" in path else 0.0,
        }
        for path, parameter in parameters.items()
    ]
    optimizer = make(groups)
    for step in gradients:
        for path, gradient in step.items():
            parameters[path].grad = torch.tensor(gradient)
        optimizer.step()
    return {path: parameter.detach().numpy() for path, parameter in parameters.items()}


def keras_values(optimizer):
    values, gradients = starting_values()
    layers = {name: keras.layers.Dense(4, name=name) for name in NAMES}
    for layer in layers.values():
        layer.build((None, 3))
    variables = [variable for layer in layers.values() for variable in layer.weights]
    for variable in variables:
        variable.assign(values[variable.path])
    for step in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(step[variable.path]) for variable in variables], variables)
    return {variable.path: np.array(variable) for variable in variables}


PAIRS = {
    "SGD": (
        lambda: optimizers.SGD(RATE, momentum=0.9, factors=FACTORS, decay=DECAY),
        lambda groups: torch.optim.SGD(groups, lr=RATE, momentum=0.9),
    ),
    "AdamW": (
        lambda: optimizers.AdamW(RATE, epsilon=1e-8, factors=FACTORS, decay=DECAY),
        lambda groups: torch.optim.AdamW(groups, lr=RATE, eps=1e-8),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_steps_are_pytorchs(name):
    make, make_reference = PAIRS[name]
    values, expected = keras_values(make()), torch_values(make_reference)
    # Keras adds epsilon to Adam's root before the correction of its bias, PyTorch after it.
    bound = 1e-6 if name == "SGD" else 1e-5
    for path, value in expected.items():
        assert relative(values[path], value) <= bound, path
    np.testing.assert_array_equal(values["frozen/kernel"], starting_values()[0]["frozen/kernel"])


@pytest.mark.parametrize("name", PAIRS)
def test_optimizers_survive_serialization(name):
    optimizer = PAIRS[name][0]()
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    first, second = keras_values(optimizer), keras_values(copy)
    for path, value in first.items():
        np.testing.assert_array_equal(value, second[path])


def test_a_negative_factor_is_refused():
    with pytest.raises(ValueError, match=r"at least 0. Received: 'head': -1"):
        optimizers.SGD(0.1, factors={"head": -1})
