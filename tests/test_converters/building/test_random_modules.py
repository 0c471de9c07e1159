"""Random small torch modules: each is built exactly, or refused; none is wrong."""

import random as randomness

import hypothesis
import keras
import pytest
from helpers.random_modules import excess, images_that_run, random_module
from hypothesis import strategies

from converters import ConversionError
from converters.building.build import build_from_module

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's and torch.export's own

_MOST_REFUSED = 0.05


def is_built(random):
    """Whether a random module was built; a wrong result fails here, with the module's text."""
    module = random_module(random)
    try:
        model, receipt = build_from_module(module, channels=3)
    except ConversionError:
        return False
    multiple = next((int(note.rsplit(" ", 1)[1]) for note in receipt.notes if "multiples of" in note), 1)
    assert images_that_run(module, multiple), module.text()
    assert excess(module, model, multiple) <= 1, module.text()
    keras.backend.clear_session()
    return True


@hypothesis.settings(
    max_examples=4, derandomize=True, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
)
@hypothesis.given(strategies.randoms(use_true_random=False))
def test_random_modules_are_exact_or_refused(random):
    is_built(random)


@pytest.mark.full
@pytest.mark.parametrize("part", range(5))
def test_few_random_modules_are_refused(part):
    """Part 0 is a quick one of 8; the others are 2,000 together."""
    seeds = range(8) if part == 0 else range(500 * (part - 1), 500 * part)
    refused = [seed for seed in seeds if not is_built(randomness.Random(seed))]
    assert len(refused) <= max(1, _MOST_REFUSED * len(seeds)), refused
