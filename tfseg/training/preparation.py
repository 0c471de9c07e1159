"""A model made ready for a recipe: what is frozen, what BatchNorm does, optimizer and losses."""

import re

import keras
from keras import ops

from tfseg import losses, metrics, optimizers
from tfseg.layers import set_metadata
from tfseg.prediction.model import check_segmenter, preprocessing_of
from tfseg.training.recipes import RECIPES

# Variables that a pretrained trunk brings along, in any network of tfseg.
TRUNK = r"(conv[1-5]|level\d)_.*|fc[67]/.*"
HEAD = rf"(?!{TRUNK}).*"
BATCH_NORMS = ("plain", "frozen", "synchronised")


@keras.saving.register_keras_serializable("tfseg")
class Poly(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that rises over the first steps and then falls as `(1 - step / steps) ^ power`.

    Args:
        learning_rate: without either.
        steps: all of them.
        power: 0: it stays.
        warmup: steps of the rise, a straight line from 0.
    """

    def __init__(self, learning_rate, steps, power=0.9, warmup=0):
        self.learning_rate, self.steps, self.power, self.warmup = learning_rate, steps, power, warmup

    def __call__(self, step):
        step = ops.cast(step, "float32")
        left = ops.maximum(1 - step / self.steps, 0.0)
        rate = self.learning_rate * left**self.power if self.power else ops.full_like(step, self.learning_rate)
        return rate * ops.minimum((step + 1) / self.warmup, 1.0) if self.warmup else rate

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "steps": self.steps,
            "power": self.power,
            "warmup": self.warmup,
        }


def prepare(model, *, batch_norm="plain", frozen=(), momentum=0.9):
    """Sets, in place, what of a model is trained, and what its BatchNorm layers do.

    Args:
        model: a Keras model.
        batch_norm: "plain": statistics of each device's share of a batch; "synchronised": of the whole batch over all
            devices; "frozen": the layers keep their statistics, scale and offset, as is best for batches of a few.
        frozen: regular expressions of whole variable paths that are not trained, as `conv[12]_.*`.
        momentum: how much of the running statistics stays in a step; PyTorch's 0.1 is Keras's 0.9, and Keras's own
            default of 0.99 is too slow for a fine-tuning.
    Raises:
        ValueError: another `batch_norm`, or a pattern that no variable matches.
    """
    if batch_norm not in BATCH_NORMS:
        raise ValueError(f"batch_norm is one of {', '.join(map(repr, BATCH_NORMS))}. Received: {batch_norm!r}")
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = batch_norm != "frozen"
            layer.synchronized = batch_norm == "synchronised"
            layer.momentum = momentum
    for pattern in frozen:
        if not any(re.fullmatch(pattern, variable.path) for variable in model.weights):
            raise ValueError(
                f"No variable is called {pattern!r}: a pattern is of the whole path, as in r'conv[12]_.*'. Received: a "
                f"model with {model.weights[0].path}, ..., {model.weights[-1].path}"
            )
    for layer in model.layers:
        stay = [one for one in layer.weights if any(re.fullmatch(pattern, one.path) for pattern in frozen)]
        for variable in stay:
            variable.trainable = False
        if stay and len(stay) == len(layer.weights):  # the statistics of a BatchNorm then stay, too
            layer.trainable = False


def prepared(model, dataset, dtype="float32"):
    """The model to train on a data set: its classes' names and colours in it, computing in another type if asked to.

    Raises:
        ValueError: another number of classes than the data set's, or a model that is no segmenter.
    """
    check_segmenter(model)
    preprocessing_of(model)
    found = outputs_of(model)[0].shape[-1]
    if found != dataset.num_classes:
        raise ValueError(
            f"The data set {dataset.name!r} has {dataset.num_classes} classes, the model {model.name!r} {found}. Build "
            f"it with num_classes={dataset.num_classes}, and leave the imported head out: skip=['score', ...]."
        )
    if dtype != "float32":
        model = with_dtype(model, dtype)
    set_metadata(model, classes=dataset.classes, colors=dataset.colors)
    return model


def with_dtype(model, dtype):
    """A copy that computes in another type and keeps weights and outputs in float32.

    Args:
        dtype: "mixed_bfloat16" or "mixed_float16".
    Returns: a model of the same layers and weights. The last layers, and small convolutions with a bias, compute in
        float32 as before.
    """
    outputs = {tensor._keras_history.operation.name for tensor in outputs_of(model)}

    def stays(layer):
        """The last layers, what stands before everything, and small convolutions with a bias, as of scores.

        TensorFlow 2.21 on a CPU writes past the end of a bias's bfloat16 gradient whose length is no multiple of 16,
        and later crashes on it.
        """
        small = getattr(layer, "use_bias", False) and getattr(layer, "filters", 16) % 16
        return small or layer.name in outputs or isinstance(layer, keras.layers.InputLayer)

    def copied(layer):
        config = layer.get_config()
        if not stays(layer):
            config["dtype"] = dtype
        return layer.__class__.from_config(config)

    copy = keras.models.clone_model(model, clone_function=copied)
    for variable, value in zip(copy.weights, model.weights, strict=True):
        variable.assign(value)
    return copy


def compile_model(model, recipe="poly", steps=None, *, ignore_class=255, class_weights=None, **options):
    """Makes a model ready for `model.fit` by a recipe: optimizer, losses, metrics, what is frozen.

    Args:
        model: a segmenter; one with an auxiliary head wants `(images, (masks, masks))`: `batches(outputs=2)`.
        recipe: a name of `RECIPES`, or a `Recipe`.
        steps: of the whole training, for rates that fall.
        ignore_class, class_weights: of the losses, and of the confusion matrix.
        options: of the optimizer (`clipnorm`, `gradient_accumulation_steps`), and of `model.compile` (`jit_compile`:
            under TensorFlow False, as XLA cannot compile the metric).
    """
    recipe = RECIPES[recipe] if isinstance(recipe, str) else recipe
    prepare(model, batch_norm=recipe.batch_norm, frozen=recipe.frozen)
    of_compile = {key: options.pop(key) for key in ("jit_compile", "steps_per_execution") if key in options}
    if keras.backend.backend() == "tensorflow":  # XLA, Keras's choice beside a GPU, cannot compile the confusion matrix
        of_compile.setdefault("jit_compile", False)
    pixel_losses, weights = make_losses(model, recipe, ignore_class=ignore_class, class_weights=class_weights)
    metric = metrics.ConfusionMatrix(outputs_of(model)[0].shape[-1], ignore_class)
    single = len(pixel_losses) == 1
    optimizer = make_optimizer(recipe, steps, **options)
    if any(layer.dtype_policy.name == "mixed_float16" for layer in model.layers):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)  # float16's small gradients would vanish
    model.compile(
        optimizer,
        pixel_losses[0] if single else pixel_losses,
        loss_weights=None if single else weights,
        metrics=[metric] if single else [[metric], *([] for _ in weights[1:])],
        **of_compile,
    )


def make_optimizer(recipe, steps, **options):
    """The optimizer of a recipe, with its schedule."""
    if recipe.power and not steps:
        raise ValueError("The rate falls until the last step: pass steps=, their number.")
    rate = recipe.learning_rate
    if recipe.power or recipe.warmup:
        rate = Poly(rate, steps, recipe.power, round(recipe.warmup * steps))
    factors = {HEAD: recipe.head_factor, r".*/bias": recipe.bias_factor}
    factors = {pattern: factor for pattern, factor in factors.items() if factor != 1}
    shared = {"factors": factors, "decay": recipe.decay, **options}
    if recipe.optimizer not in ("sgd", "adamw"):
        raise ValueError(f"optimizer is 'sgd' or 'adamw'. Received: {recipe.optimizer!r}")
    if recipe.optimizer == "sgd":
        return optimizers.SGD(rate, momentum=recipe.momentum, **shared)
    return optimizers.AdamW(rate, epsilon=1e-8, **shared)  # PyTorch's


def make_losses(model, recipe, **options):
    """`(losses, weights)`, one of each an output of the model."""
    count = len(outputs_of(model))
    made = [losses.CrossEntropy(reduction=recipe.reduction, **options) for _ in range(count)]
    return made, [1.0] + [recipe.aux_weight] * (count - 1)


def outputs_of(model):
    return list(model.output) if isinstance(model.output, list | tuple) else [model.output]
