"""A search for the learning rate: losses of a few steps whose rate rises."""

import dataclasses
import math

import keras
import numpy as np

from tfseg.data.datasets import Dataset
from tfseg.progress import ProgressOption, track
from tfseg.training.devices import check_distribution
from tfseg.training.inputs import training_batches
from tfseg.training.network_facts import default_recipe, with_fitting_crop
from tfseg.training.preparation import adapt_to_dataset, compile_model
from tfseg.training.recipes import Recipe, find_recipe
from tfseg.training.step import make_step

_SMOOTHING = 0.9  # share of the mean loss that a step keeps
_DIVERGED = 4.0  # times the smallest loss


@dataclasses.dataclass(frozen=True)
class Rates:
    """What `find_rate` measured. As text, it is a table of ten rates with the proposal.

    Attributes:
        rates: learning rates, rising.
        losses: the smoothed loss of the step with each rate.
        proposal: the rate at which the loss falls fastest.

    Example:
        >>> rates = tfseg.training.Rates((1e-4, 1e-3, 1e-2), (2.0, 1.5, 3.0), 1e-3)
        >>> print(rates)
        learning_rate 0.0001  loss 2
        learning_rate 0.001  loss 1.5
        learning_rate 0.01  loss 3
        proposal: --learning_rate=0.001
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    proposal: float

    def __str__(self) -> str:
        shown = np.unique(np.linspace(0, len(self.rates) - 1, 10).round().astype(int))
        lines = [f"learning_rate {self.rates[index]:.3g}  loss {self.losses[index]:.4g}" for index in shown]
        return "\n".join([*lines, f"proposal: --learning_rate={self.proposal:.2g}"])


def find_rate(
    model: keras.Model,
    dataset: Dataset,
    *,
    recipe: str | Recipe | None = None,
    steps: int = 100,
    factor: float = 100.0,
    seed: int = 0,
    progress: ProgressOption = False,
) -> Rates:
    """Losses at learning rates from a hundredth of the recipe's to a hundred times it, in one short training.

    The training ends early where the loss is four times the smallest one. It changes the weights of the model.

    Args:
        model: the segmenter.
        dataset: `Dataset` to train on.
        recipe: a name of `RECIPES`, or a `Recipe`; None: `default_recipe` of the model.
        steps: number of steps.
        factor: how many times smaller and larger than the recipe's the rates become.
        seed: seed of order, augmentation and dropout.
        progress: where to report the steps, see `tfseg.progress.ProgressOption`.
    Raises:
        ValueError: a model that does not fit the data, or fewer than 4 steps.
    Reference: Smith 2017, https://arxiv.org/abs/1506.01186, section 3.3.
    Example:
        >>> pair = tfseg.data.Pair(pathlib.Path("street.png"), pathlib.Path("street_classes.png"))
        >>> dataset = tfseg.data.Dataset("streets", (pair,), tfseg.data.Labels(11))
        >>> model = tfseg.build("fcn_resnet18", num_classes=11, width=1 / 16)
        >>> recipe = dataclasses.replace(tfseg.training.RECIPES["poly"], batch_size=1).with_crop((32, 32))
        >>> rates = tfseg.training.find_rate(model, dataset, recipe=recipe, steps=8)
        >>> rates.rates[0] <= rates.proposal <= rates.rates[-1]
        True
    """
    if steps < 4:
        raise ValueError(f"steps is at least 4. Received: {steps}")
    check_distribution()
    recipe = with_fitting_crop(find_recipe(recipe or default_recipe(model)), model)
    constant = dataclasses.replace(recipe, power=0.0, warmup=0.0)
    model = adapt_to_dataset(model, dataset, recipe.dtype)
    compile_model(model, constant, steps, ignore_class=dataset.labels.void_id)
    step = make_step(model, constant, seed=seed, ignore_class=dataset.labels.void_id)
    examples = training_batches(dataset, model, recipe, seed=seed, steps=steps)
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    planned = recipe.learning_rate * np.geomspace(1 / factor, factor, steps)
    pairs = track(zip(planned, examples, strict=True), progress, unit="steps", total=steps)
    for number, (rate, example) in enumerate(pairs):
        optimizer.learning_rate = float(rate)
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * float(step(example, np.array(number, "int64")))
        smoothed = mean / (1 - _SMOOTHING ** (number + 1))
        if not math.isfinite(smoothed) or (losses and smoothed > _DIVERGED * min(losses)):
            break
        rates.append(float(rate))
        losses.append(smoothed)
    if len(losses) < 2:
        raise ValueError(f"The loss diverged at once, at a learning rate of {planned[0]:.3g}: start with a lower one.")
    slopes = np.gradient(losses, np.log(rates))
    return Rates(tuple(rates), tuple(losses), rates[int(np.argmin(slopes))])
