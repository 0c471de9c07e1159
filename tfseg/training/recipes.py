"""Recipes: how papers train segmenters, as data."""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tfseg.data.augmentation import Augmentation, check_augmentation
from tfseg.types import Size

BATCH_NORMS = ("plain", "frozen", "synchronized")
BATCH_NORM_ALIASES = {"synchronised": "synchronized"}
DTYPES = ("float32", "mixed_bfloat16", "mixed_float16")
REDUCTIONS = ("mean", "sum")
UPSCORES = r"upscore.*"  # variables of the learned upsampling of an FCN
OPTIMIZERS = ("sgd", "adamw")
LOSSES = ("cross_entropy", "focal", "online_hard_examples", "dice", "lovasz")
LOSS_ALIASES = {"ohem": "online_hard_examples", "lovász": "lovasz", "lovasz_softmax": "lovasz", "ce": "cross_entropy"}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that decides how a model is trained, apart from the data and the number of epochs.

    Change a recipe with `dataclasses.replace(recipe, batch_size=4)`, and its crop with `recipe.with_crop((320, 320))`.

    Attributes:
        optimizer: "sgd" or "adamw".
        learning_rate: learning rate at the beginning, after the warm-up.
        momentum: momentum of SGD.
        decay: weight decay; it applies to kernels only.
        power: exponent of the polynomial by which the rate falls to 0 at the last step; 0: the rate stays.
        warmup: share of all steps in which the rate rises from 0.
        head_factor: factor of the learning rate for everything outside the pretrained trunk.
        bias_factor: factor of the learning rate for biases.
        reduction: "mean" over pixels, or "sum" (no division by the number of pixels).
        batch_size: images per step, over all devices.
        batch_norm: "plain", "frozen" or "synchronized" (see `prepare`); "synchronised" is an alias.
        frozen: regular expressions of variable paths that are not trained.
        aux_weight: weight of the loss of an auxiliary head.
        augmentation: `tfseg.data.Augmentation`; most users set its crop.
        class_weights: weight of each class in the loss, or None; stored as a tuple of floats.
        clipnorm: largest norm of a gradient, or None.
        accumulate: number of steps whose gradients are averaged before the weights change. A machine with little
            memory can train with large batches this way.
        dtype: "float32", "mixed_bfloat16" or "mixed_float16"; weights and logits stay in float32.
        loss: a name of `LOSSES`, or a sum such as "cross_entropy+dice" and "cross_entropy+0.5*lovasz".
        ema: share of the moving average of the weights that a step keeps, such as 0.999. The averages are validated,
            kept as `best.keras`, and returned. None: there are none.
    Raises:
        ValueError: an unknown optimizer, reduction, BatchNorm mode, dtype or loss, or a number out of range.
    Example:
        >>> import dataclasses
        >>> recipe = dataclasses.replace(tfseg.training.RECIPES["poly"], batch_size=4, batch_norm="frozen")
        >>> recipe.optimizer, recipe.batch_size
        ('sgd', 4)
    """

    optimizer: str = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.9
    decay: float = 1e-4
    power: float = 0.9
    warmup: float = 0.0
    head_factor: float = 1.0
    bias_factor: float = 1.0
    reduction: str = "mean"
    batch_size: int = 8
    batch_norm: str = "plain"
    frozen: tuple[str, ...] = ()
    aux_weight: float = 0.4
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    class_weights: Iterable[float] | None = None
    clipnorm: float | None = None
    accumulate: int = 1
    dtype: str = "float32"
    loss: str = "cross_entropy"
    ema: float | None = None

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer is 'sgd' or 'adamw'. Received: {self.optimizer!r}")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype is one of {', '.join(map(repr, DTYPES))}. Received: {self.dtype!r}")
        if self.reduction not in REDUCTIONS:
            raise ValueError(f"reduction is 'mean' or 'sum'. Received: {self.reduction!r}")
        for name in ("batch_size", "accumulate"):
            count = getattr(self, name)
            if not isinstance(count, int | np.integer) or count < 1:
                raise ValueError(f"{name} is a whole number above 0. Received: {count!r}")
        for name in ("momentum", "decay", "power", "head_factor", "bias_factor", "aux_weight"):
            _check_number(name, getattr(self, name), "at least 0")
        for name in ("learning_rate", "clipnorm"):
            if getattr(self, name) is not None:
                _check_number(name, getattr(self, name), "above 0", above=True)
        loss_terms(self.loss)
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"ema is a share above 0 and below 1, such as 0.999. Received: {self.ema!r}")
        if not 0 <= self.warmup <= 1:
            raise ValueError(f"warmup is a share of all steps, from 0 to 1. Received: {self.warmup!r}")
        if isinstance(self.frozen, str):  # it would become a tuple of its letters
            raise ValueError(f"frozen holds regular expressions, such as (r'conv1.*',). Received: {self.frozen!r}")
        # Equal recipes must compare equal, whatever kind of sequence the caller has.
        weights = self.class_weights
        object.__setattr__(self, "class_weights", None if weights is None else tuple(float(value) for value in weights))
        object.__setattr__(self, "frozen", tuple(self.frozen))
        object.__setattr__(self, "batch_norm", checked_batch_norm(self.batch_norm))

    def with_crop(self, crop: Size) -> "Recipe":
        """The same recipe with another crop.

        Args:
            crop: `(height, width)` of the random crop, in pixels.
        Raises:
            ValueError: an invalid crop.
        Example:
            >>> tfseg.training.RECIPES["poly"].with_crop((320, 320)).augmentation.crop
            (320, 320)
        """
        check_augmentation(dataclasses.replace(self.augmentation, crop=crop))
        height, width = crop
        return dataclasses.replace(self, augmentation=dataclasses.replace(self.augmentation, crop=(height, width)))

    def summary(self) -> str:
        """What decides how fast a model learns, in one line.

        Example:
            >>> tfseg.training.RECIPES["poly"].summary()
            'sgd at 0.007 (head: 0.07), falling to 0, after a warm-up in 2 % of the steps; batches of 8'
        """
        head = f" (head: {self.learning_rate * self.head_factor:.3g})" if self.head_factor != 1 else ""
        fall = ", falling to 0" if self.power else ""
        rise = f", after a warm-up in {100 * self.warmup:.3g} % of the steps" if self.warmup else ""
        return f"{self.optimizer} at {self.learning_rate:.3g}{head}{fall}{rise}; batches of {self.batch_size}"

    def as_config(self) -> dict[str, Any]:
        """The recipe as nested dictionaries of plain values, for JSON."""
        return dataclasses.asdict(self)


def loss_terms(loss: str) -> list[tuple[str, float]]:
    """The names and the factors of a sum of losses, such as "cross_entropy+0.5*dice".

    Args:
        loss: a name of `LOSSES`, or a sum of them.
    Raises:
        ValueError: an unknown name, or a factor that is no number above 0.
    Example:
        >>> tfseg.training.recipes.loss_terms("cross_entropy + 0.5*dice")
        [('cross_entropy', 1.0), ('dice', 0.5)]
    """
    terms = []
    for term in str(loss).split("+"):
        factor, times, name = term.rpartition("*")
        name = LOSS_ALIASES.get(name.strip().lower(), name.strip().lower())
        try:
            number = float(factor) if times else 1.0
        except ValueError:
            number = 0.0
        if name not in LOSSES or not (math.isfinite(number) and number > 0):
            raise ValueError(
                f"loss is one of {', '.join(LOSSES)}, or a sum such as cross_entropy+dice or cross_entropy+0.5*dice. "
                f"Received: {loss!r}"
            )
        terms.append((name, number))
    return terms


def _check_number(name: str, value: Any, expected: str, *, above: bool = False) -> None:
    """Refuses a value that is no finite number of at least 0, or above 0."""
    is_number = isinstance(value, int | float | np.number) and math.isfinite(value)
    if not is_number or value < 0 or (above and value == 0):
        raise ValueError(f"{name} is a number {expected}. Received: {value!r}")


def checked_batch_norm(batch_norm: str) -> str:
    """The name of a BatchNorm mode in the spelling of `BATCH_NORMS`.

    Args:
        batch_norm: one of `BATCH_NORMS` or `BATCH_NORM_ALIASES`.
    Raises:
        ValueError: another name.
    """
    mode = BATCH_NORM_ALIASES.get(batch_norm, batch_norm)
    if mode not in BATCH_NORMS:
        raise ValueError(f"batch_norm is one of {', '.join(map(repr, BATCH_NORMS))}. Received: {batch_norm!r}")
    return mode


def find_recipe(recipe: str | Recipe) -> Recipe:
    """The recipe that a name stands for; a `Recipe` is returned as it is.

    Args:
        recipe: a name of `RECIPES`, or a `Recipe`.
    Raises:
        ValueError: an unknown name.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in RECIPES:
        raise ValueError(f"recipe is a Recipe or one of {', '.join(map(repr, RECIPES))}. Received: {recipe!r}")
    return RECIPES[recipe]


RECIPES = {
    # Shelhamer et al. 2016, https://arxiv.org/abs/1605.06211, section 4.3: one image per step, whole, high momentum
    # instead of a larger batch, a learning rate for the sum over pixels.
    "fcn-heavy": Recipe(
        learning_rate=1e-10,
        momentum=0.99,
        decay=5e-4,
        power=0.0,
        bias_factor=2.0,
        reduction="sum",
        batch_size=1,
        frozen=(UPSCORES,),
        augmentation=Augmentation(scale=(1.0, 1.0), flip=False),
    ),
    # Chen et al. 2017, https://arxiv.org/abs/1706.05587, section 4.1; the head's tenfold rate is DeepLabV2's. The
    # warm-up is for new heads, whose first gradients are large.
    "poly": Recipe(learning_rate=0.007, decay=1e-4, warmup=0.02, head_factor=10.0, batch_size=8),
    # For VGG16 without BatchNorm, which diverges at higher rates. Measured on CamVid, see BUILD_NOTES.
    "vgg": Recipe(
        optimizer="adamw", learning_rate=2e-5, decay=0.01, power=1.0, warmup=0.01, head_factor=10.0, batch_size=8
    ),
    # AdamW with the schedule of Xie et al. 2021, https://arxiv.org/abs/2105.15203, section 4.1.
    "adamw": Recipe(
        optimizer="adamw", learning_rate=6e-5, decay=0.01, power=1.0, warmup=0.01, head_factor=10.0, batch_size=8
    ),
}
