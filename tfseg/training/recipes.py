"""How papers train segmenters, as data."""

from typing import NamedTuple

from tfseg.data.pipeline import Augmentation


class Recipe(NamedTuple):
    """Everything about a training that is not its data.

    Attributes:
        optimizer: "sgd" or "adamw".
        learning_rate: at the beginning, behind the warm-up.
        momentum: of SGD.
        decay: weight decay, on kernels alone.
        power: of the polynomial by which the rate falls to 0 at the last step; 0: it stays.
        warmup: share of all steps in which the rate rises from 0.
        head_factor: of the learning rate, for what is not the pretrained trunk.
        bias_factor: of the learning rate, for biases.
        reduction: "mean" over pixels, or "sum", the unnormalised loss.
        batch_size: photographs a step, over all devices.
        batch_norm: "plain", "frozen" or "synchronised" (see `prepare`).
        frozen: regular expressions of variable paths that are not trained.
        aux_weight: of the loss of an auxiliary head.
        augmentation: `tfseg.data.Augmentation`; its crop is the user's as a rule.
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
    frozen: tuple = ()
    aux_weight: float = 0.4
    augmentation: Augmentation = Augmentation()


RECIPES = {
    # Shelhamer et al. 2016, https://arxiv.org/abs/1605.06211, section 4.3: one image a step, whole, high momentum
    # in place of a larger batch, a rate for the sum over pixels.
    "fcn-heavy": Recipe(
        learning_rate=1e-10,
        momentum=0.99,
        decay=5e-4,
        power=0.0,
        bias_factor=2.0,
        reduction="sum",
        batch_size=1,
        frozen=(r"upscore.*",),
        augmentation=Augmentation(scale=(1.0, 1.0), flip=False),
    ),
    # Chen et al. 2017, https://arxiv.org/abs/1706.05587, section 4.1; the head's tenfold rate is DeepLabV2's.
    "poly": Recipe(learning_rate=0.007, decay=1e-4, head_factor=10.0, batch_size=8),
    # AdamW under the schedule of Xie et al. 2021, https://arxiv.org/abs/2105.15203, section 4.1.
    "adamw": Recipe(
        optimizer="adamw", learning_rate=6e-5, decay=0.01, power=1.0, warmup=0.01, head_factor=10.0, batch_size=8
    ),
}
