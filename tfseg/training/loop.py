"""The training loop: the same on one device and on many, and resumable with bit-identical results.

It does not use `model.fit`, for two reasons. `fit` fails under MultiWorkerMirroredStrategy
(https://github.com/keras-team/keras/issues/20585). And on each device it divides the loss by that device's number of
valid pixels, so that two devices do not train as one would.
"""

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tfseg.data.datasets import Dataset
from tfseg.data.findings import shared_photographs
from tfseg.data.pipeline import batches
from tfseg.evaluation import evaluate
from tfseg.metrics import SCORES
from tfseg.prediction.model import preprocessing_of
from tfseg.training.devices import has_several_processes, is_chief
from tfseg.training.moved_parameters import accepts_moved_parameters
from tfseg.training.preparation import adapt_to_dataset, compile_model, prepare
from tfseg.training.recipes import Recipe, find_recipe
from tfseg.training.runs import Row, RunFolder
from tfseg.training.step import make_step
from tfseg.types import Path

if TYPE_CHECKING:
    import tensorflow as tf

_SECONDS_BETWEEN_LINES = 60.0  # within an epoch


@accepts_moved_parameters
def train(
    model: keras.Model | Callable[[], keras.Model] | None,
    dataset: Dataset,
    run: Path,
    *,
    recipe: str | Recipe = "poly",
    epochs: int = 50,
    validation: Dataset | None = None,
    validate_every: int = 1,
    seed: int = 0,
    jit_compile: bool = False,
    skip_unreadable: bool = False,
    log: Callable[[str], object] = print,
) -> keras.Model:
    """The trained model; an interrupted run is resumed.

    The run folder holds everything that decides the result, a log, curves, and the best and the last state. A second
    call with the same arguments continues from the last state, with bit-identical results. Ctrl-C saves the state
    first.

    Under a `tf.distribute` strategy, call this function within `strategy.scope()`, with equal arguments in every
    process. The loss is divided by the number of valid pixels on all devices together. If BatchNorm is frozen or
    synchronized, all devices train as one device with the whole batch would.

    Args:
        model: the model, or a function that builds it; None is enough for a run that is resumed.
        dataset: `tfseg.data.Dataset` to train on.
        run: path of the run folder.
        recipe: a name of `RECIPES`, or a `Recipe`: batch size, crop, learning rate, class weights, dtype and more.
        epochs: passes over the data.
        validation: `Dataset` to validate on, or None; the model with the best mean IoU is kept as `best.keras`.
        validate_every: number of epochs between two validations.
        seed: seed of order, augmentation and dropout.
        jit_compile: whether XLA compiles the step.
        skip_unreadable: whether unreadable images are skipped, with a warning.
        log: function called with one line of text after each epoch, and once a minute within an epoch.
    Returns: the model after the last step.
    Raises:
        ValueError: a model that does not fit the data, a run of another configuration, or a loss that is not finite.
        OSError: a state cannot be written; the previous one still exists.
    Example:
        >>> import dataclasses
        >>> pair = tfseg.data.Pair(pathlib.Path("street.png"), pathlib.Path("street_classes.png"))
        >>> dataset = tfseg.data.Dataset("streets", (pair,), tfseg.data.Labels(11))
        >>> image = keras.Input((None, None, 3))
        >>> x = tfseg.layers.Metadata(tfseg.specs.PREPROCESSING["torch"])(image)
        >>> model = keras.Model(image, keras.layers.Conv2D(11, 1, name="logits")(x))
        >>> recipe = dataclasses.replace(tfseg.training.RECIPES["poly"], batch_size=1).with_crop((32, 32))
        >>> model = tfseg.training.train(model, dataset, "run", recipe=recipe, epochs=2)
        epoch 1  step 1  learning_rate ...  loss ...  seconds ...
        epoch 2  step 2  learning_rate ...  loss ...  seconds ...
        >>> sorted(path.name for path in pathlib.Path("run").glob("*.keras"))
        ['last.keras']
    """
    import tensorflow as tf

    recipe = find_recipe(recipe)
    steps_per_epoch = len(dataset.pairs) / recipe.batch_size
    steps = math.ceil(steps_per_epoch * epochs)
    strategy = tf.distribute.get_strategy()
    folder = RunFolder(run, _configuration(recipe, dataset, steps, seed), writes=is_chief(strategy))
    if validation and folder.writes:
        _tell_shared(dataset, validation, log)
    keras.utils.set_random_seed(seed)
    trained_model, done = _initial_state(model, dataset, recipe, steps, folder)
    step = make_step(trained_model, recipe, seed=seed, jit_compile=jit_compile, ignore_class=dataset.labels.void_id)
    examples = iter(_distributed_batches(dataset, trained_model, recipe, seed, done, steps, skip_unreadable))
    best = max((row.get("mean_iou", -1) for row in folder.rows), default=-1)
    start = time.monotonic()
    losses: list[float] = []
    line_time, line_step = start, done
    with folder.created():
        try:
            while done < steps:
                loss = float(step(next(examples), tf.constant(done, tf.int64)))
                losses.append(_check_finite(loss, done + 1, folder))
                done += 1
                epoch = round(done / steps_per_epoch)
                now = time.monotonic()
                if done != min(steps, math.ceil(epoch * steps_per_epoch)):  # within an epoch
                    if folder.writes and now - line_time > _SECONDS_BETWEEN_LINES:
                        pace = (now - line_time) / (done - line_step)
                        log(f"step {done} of {steps}  loss {np.mean(losses):.5g}  {pace:.3g} s per step")
                        line_time, line_step = now, done
                    continue
                row: Row = {
                    "epoch": epoch,
                    "step": done,
                    "learning_rate": float(keras.ops.convert_to_numpy(trained_model.optimizer.learning_rate)),
                    "loss": float(np.mean(losses)),
                    "seconds": now - start,
                }
                if validation and (epoch % validate_every == 0 or done == steps):
                    scores = evaluate(trained_model, validation).scores
                    row |= {name: scores[name] for name in SCORES}
                folder.save(trained_model, done, best=row.get("mean_iou", -1) > best)
                best = max(best, row.get("mean_iou", -1))
                folder.add_row(row)
                if folder.writes:
                    log("  ".join(f"{key} {value:.5g}" for key, value in row.items()))
                losses, line_time, line_step = [], time.monotonic(), done
        except KeyboardInterrupt:
            if done and not has_several_processes(strategy):  # several processes would all have to save together
                folder.save(trained_model, done)
                log(f"interrupted after step {done} of {steps}; the same command continues from {folder.last}")
            raise
    return trained_model


def _tell_shared(dataset: Dataset, validation: Dataset, log: Callable[[str], object]) -> None:
    """Says once which photographs both are trained on and measured."""
    shared = shared_photographs(dataset, validation)
    if shared:
        log(
            f"{len(shared)} photographs of {validation.name} are in {dataset.name} too, so that its scores say little: "
            f"{shared[0][1].image.name}{', ...' if len(shared) > 1 else ''}"
        )


def _configuration(recipe: Recipe, dataset: Dataset, steps: int, seed: int) -> dict[str, Any]:
    """Everything that decides the result of a training, as plain values."""
    return {
        "recipe": recipe.as_config(),
        "dataset": dataset.name,
        "pairs": len(dataset.pairs),
        "num_classes": dataset.num_classes,
        "steps": steps,
        "seed": seed,
    }


def _initial_state(
    model: keras.Model | Callable[[], keras.Model] | None,
    dataset: Dataset,
    recipe: Recipe,
    steps: int,
    folder: RunFolder,
) -> tuple[keras.Model, int]:
    """The compiled model to continue with, and the number of steps that it has been trained for."""
    restored, done = folder.restore()
    if restored is not None:
        prepare(restored, batch_norm=recipe.batch_norm, frozen=recipe.frozen)
        return restored, done
    if model is None:
        raise ValueError(f"{folder.path} holds no state to resume: pass a model, or a function that builds it.")
    trained_model = adapt_to_dataset(model if isinstance(model, keras.Model) else model(), dataset, recipe.dtype)
    compile_model(trained_model, recipe, steps, ignore_class=dataset.labels.void_id)
    return trained_model, done


def _distributed_batches(
    dataset: Dataset,
    model: keras.Model,
    recipe: Recipe,
    seed: int,
    done: int,
    steps: int,
    skip_unreadable: bool,
) -> "tf.distribute.DistributedDataset":
    """The batches from step `done` on, divided among the devices."""
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    devices = strategy.num_replicas_in_sync
    if recipe.batch_size % devices:
        raise ValueError(
            f"All devices get equal parts of a batch: batch_size is a multiple of {devices}. Received: "
            f"{recipe.batch_size}"
        )

    def batches_of_worker(context: "tf.distribute.InputContext") -> "tf.data.Dataset":
        return batches(
            dataset,
            recipe.batch_size,
            preprocessing_of(model),
            augmentation=recipe.augmentation,
            seed=seed,
            start=done,
            steps=steps - done,
            skip_unreadable=skip_unreadable,
            shares=devices,
            worker=(context.input_pipeline_id, context.num_input_pipelines),
        )

    return strategy.distribute_datasets_from_function(batches_of_worker)


def _check_finite(loss: float, step: int, folder: RunFolder) -> float:
    if math.isfinite(loss):
        return loss
    state = folder.last if folder.last.exists() else "the one before this run"
    raise ValueError(
        f"The loss of step {step} is {loss}: the training diverged. Try a lower learning rate (a tenth), "
        "clipnorm=1, a longer warm-up, or float32 instead of float16. Check the masks with tfseg inspect-data. "
        f"The last good state is {state}."
    )
