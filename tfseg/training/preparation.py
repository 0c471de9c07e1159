"""Preparation of a model for a recipe: its data set, frozen variables, BatchNorm, and what `model.compile` wants."""

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any

import keras

from tfseg import metrics
from tfseg.data.datasets import Dataset
from tfseg.layers.metadata import set_metadata, size_multiple
from tfseg.outputs import trained_keys, trained_outputs
from tfseg.prediction.model import check_images, preprocessing_of
from tfseg.prediction.probabilities import ending_of
from tfseg.training.network_facts import default_recipe, head_pattern
from tfseg.training.objectives import make_losses, make_optimizer
from tfseg.training.precision import with_dtype
from tfseg.training.recipes import UPSCORES, Recipe, checked_batch_norm, find_recipe
from tfseg.training.states import freeze
from tfseg.types import ClassIds

_SIDE = 256  # pixels of an image that every stride divides


def prepare(
    model: keras.Model, *, batch_norm: str = "plain", frozen: Iterable[str] = (), momentum: float = 0.9
) -> None:
    """Sets, in place, which variables of a model are trained, and what its BatchNorm layers do.

    Args:
        model: a Keras model.
        batch_norm: "plain": each device uses the statistics of its part of a batch. "synchronized": all devices use
            those of the whole batch, as always under JAX. "frozen": the layers keep their moving averages, scale
            and offset, which is best for small batches. "synchronised" is an alias.
        frozen: regular expressions of complete variable paths that are not trained, such as `conv[12]_.*`.
        momentum: share of the moving averages that a step keeps. PyTorch's 0.1 is 0.9 in Keras; Keras's default of 0.99
            is too slow for fine-tuning.
    Raises:
        ValueError: an unknown `batch_norm`, or a pattern that no variable matches.
    Example:
        >>> model = tfseg.FCN(tfseg.ResNet(18, width=1 / 16), 3)
        >>> tfseg.training.prepare(model, batch_norm="frozen", frozen=["conv1_.*"])
        >>> model.get_layer("conv1_conv").trainable, model.get_layer("logits").trainable
        (False, True)
    """
    batch_norm, frozen = checked_batch_norm(batch_norm), tuple(frozen)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = batch_norm != "frozen"
            # Elsewhere, all devices compute as one, or there is one: the statistics are those of the whole batch.
            layer.synchronized = batch_norm == "synchronized" and keras.config.backend() == "tensorflow"
            layer.momentum = momentum
    for pattern in frozen:
        if not any(re.fullmatch(pattern, variable.path) for variable in model.weights):
            if pattern == UPSCORES:
                raise ValueError(
                    "The recipe fcn-heavy is for FCN-32s, FCN-16s and FCN-8s, which have upscore layers. Received: the "
                    f"model {model.name!r} without one. Its own recipe is {default_recipe(model)!r}."
                )
            raise ValueError(
                f"No variable is called {pattern!r}: a pattern matches the whole path, as in r'conv[12]_.*'. Received: "
                f"a model with {model.weights[0].path}, ..., {model.weights[-1].path}"
            )
    freeze(model, frozen)


def adapt_to_dataset(model: keras.Model, dataset: Dataset, dtype: str = "float32") -> keras.Model:
    """The model to train on a data set: it carries the classes' names and colors, and computes in `dtype`.

    Args:
        model: a segmenter.
        dataset: `Dataset` to train on.
        dtype: "float32", "mixed_bfloat16" or "mixed_float16".
    Returns: the same model, or a copy if it computes in another dtype.
    Raises:
        ValueError: a number of classes or channels that is not the data set's, or a model that is no segmenter.
    """
    check_images(model, preprocessing_of(model), dataset.photographs.channels, dataset.name)
    given = (output.shape[-1] for output in trained_outputs(model.output))
    model_classes = next((count for count in given if count != dataset.num_classes), None)
    if model_classes is not None:
        raise ValueError(
            f"The data set {dataset.name!r} has {dataset.num_classes} classes, the model {model.name!r} "
            f"{model_classes}. Give it a head for them: tfseg.renew_head(model, {dataset.num_classes}). `tfseg train "
            "--weights=` does that by itself."
        )
    _check_size(model)
    if (ending := next(filter(None, map(ending_of, trained_outputs(model.output))), None)) is not None:
        raise ValueError(
            f"The model {model.name!r} ends with a {ending}, and losses take logits, the scores before it. Train "
            "keras.Model(model.input, scores), where scores is the tensor that it reads. For an activation of the last "
            "layer, set layer.activation = keras.activations.linear."
        )
    # A model that was trained in half the bits computes in them, until it is told otherwise.
    if dtype != "float32" or any(layer.dtype_policy.name.startswith("mixed_") for layer in model._flatten_layers()):
        model = with_dtype(model, dtype)
    set_metadata(model, classes=dataset.classes, colors=dataset.colors)
    return model


def _check_size(model: keras.Model) -> None:
    """Refuses a model whose logits are smaller than the image, before a step fails on the masks."""
    multiple = size_multiple(model)
    side = -(-_SIDE // multiple) * multiple
    rows, columns = (known or side for known in model.input_shape[1:3])
    outputs = model.compute_output_spec(keras.KerasTensor((1, rows, columns, model.input_shape[-1])))
    sizes = (tuple(output.shape[1:3]) for output in trained_outputs(outputs))
    size = next((size for size in sizes if None not in size and size != (rows, columns)), None)
    if size is not None:
        raise ValueError(
            f"The model {model.name!r} has no logits for every pixel: {size[0]} x {size[1]} of an image of {rows} x "
            f"{columns}. Enlarge them: tfseg.layers.ResizeLike()([model.output, model.input]) is the output of a model "
            "that has, and auxiliary outputs need it, too."
        )


def compile_model(
    model: keras.Model,
    recipe: str | Recipe = "poly",
    steps: int | None = None,
    *,
    ignore_class: ClassIds = 255,
    **options: Any,
) -> None:
    """Compiles a model for `model.fit` by a recipe: optimizer, losses, metrics, and frozen variables.

    Args:
        model: a segmenter. One with an auxiliary head is trained on `(images, (masks, masks))`: `batches(outputs=2)`.
        recipe: a name of `RECIPES`, or a `Recipe`. Its batch size, augmentation and dtype are left to the caller.
        steps: number of steps of the whole training, for recipes with a falling rate.
        ignore_class: id, or several ids, of ignored pixels in the masks.
        options: options of `model.compile`, such as `jit_compile`. Under TensorFlow it is False by default, because XLA
            cannot compile the metric.
    Raises:
        ValueError: a recipe with a falling rate, without `steps`. Later, `fit` with `class_weight`.
    Example:
        >>> model = tfseg.FCN(tfseg.ResNet(18, width=1 / 16), 3)
        >>> tfseg.training.compile_model(model, "adamw", steps=100)
        >>> type(model.optimizer).__name__
        'AdamW'
    """
    recipe = find_recipe(recipe)
    prepare(model, batch_norm=recipe.batch_norm, frozen=recipe.frozen)
    if keras.backend.backend() == "tensorflow":  # on a GPU Keras chooses XLA, which cannot compile the metric
        options.setdefault("jit_compile", False)
    pixel_losses, loss_weights = make_losses(model, recipe, ignore_class=ignore_class)
    metric = metrics.ConfusionMatrix(trained_outputs(model.output)[0].shape[-1], ignore_class)
    optimizer = make_optimizer(recipe, steps, head_pattern(model))
    if any(layer.dtype_policy.name == "mixed_float16" for layer in model._flatten_layers()):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)  # small gradients would become 0 in float16
    if isinstance(model.output, Mapping):
        keys = trained_keys(model.output)
        options |= {"loss": dict(zip(keys, pixel_losses, strict=True)), "metrics": {keys[0]: [metric]}}
        options["loss_weights"] = dict(zip(keys, loss_weights, strict=True))
    elif len(pixel_losses) > 1:
        options |= {"loss": pixel_losses, "metrics": [[metric], *([] for _ in loss_weights[1:])]}
        options["loss_weights"] = loss_weights
    else:
        options |= {"loss": pixel_losses[0], "metrics": [metric]}
    model.compile(optimizer, **options)
    _refuse_class_weight(model)


def _refuse_class_weight(model: keras.Model) -> None:
    """Lets `model.fit(class_weight=...)` end in a sentence: Keras itself looks for one class per image, and fails."""
    fit = type(model).fit

    @functools.wraps(fit)
    def fit_without(*args: Any, class_weight: object = None, **kwargs: Any) -> Any:
        if class_weight is not None:
            raise ValueError(
                "class_weight of fit is for one class per image, and masks have one per pixel. Weigh the classes in "
                "the loss: dataclasses.replace(recipe, class_weights=[...]) for compile_model and train, "
                "tfseg.losses.CrossEntropy(class_weights=[...]), or --class_weights of tfseg train. Received: "
                f"class_weight={class_weight!r}"
            )
        return fit(model, *args, **kwargs)

    model.fit = fit_without
