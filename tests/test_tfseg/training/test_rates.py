"""The search for a learning rate: it stops where the loss explodes, and proposes a rate below that."""

import dataclasses

import pytest
from helpers.data_sets import scenes
from helpers.training_models import RECIPE, small_model

from tfseg import training


@pytest.mark.full
def test_the_proposal_is_below_the_rate_that_diverges(tmp_path):
    recipe = dataclasses.replace(RECIPE, learning_rate=1.0, momentum=0.0)
    rates = training.find_rate(small_model(), scenes(tmp_path), recipe=recipe, steps=30, factor=1e4)
    assert rates.rates[0] == pytest.approx(1e-4)
    assert rates.rates[0] <= rates.proposal < rates.rates[-1]
    assert len(rates.rates) == len(rates.losses)
    assert str(rates).splitlines()[-1].startswith("proposal: --learning_rate=")


def test_too_few_steps_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"steps is at least 4. Received: 3"):
        training.find_rate(small_model(), scenes(tmp_path), steps=3)
