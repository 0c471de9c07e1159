"""The training loop: the same under each backend, on one device and on many, and resumable bit for bit.

It does not use `model.fit`, for two reasons. `fit` fails under MultiWorkerMirroredStrategy
(https://github.com/keras-team/keras/issues/20585). And on each device it divides the loss by that device's number of
valid pixels, so that two devices do not train as one would.
"""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import keras
import numpy as np

from tfseg.data.datasets import Dataset
from tfseg.data.findings import shared_photographs
from tfseg.training.averages import averaged, take_averages
from tfseg.training.configurations import configuration, described
from tfseg.training.devices import agreed, check_accumulation, check_distribution, has_several_processes, is_chief
from tfseg.training.inputs import training_batches
from tfseg.training.interrupts import interrupted_afterwards
from tfseg.training.moved_parameters import accepts_moved_parameters
from tfseg.training.network_facts import default_recipe, with_fitting_crop
from tfseg.training.objectives import make_losses
from tfseg.training.preparation import adapt_to_dataset, compile_model, prepare
from tfseg.training.recipes import Recipe, find_recipe
from tfseg.training.reporting import Report
from tfseg.training.runs import Progress, Row, RunFolder
from tfseg.training.schedules import last_rate, planned_steps, stretch
from tfseg.training.step import make_step
from tfseg.training.validation import validate
from tfseg.types import Path, Size


@accepts_moved_parameters
def train(
    model: keras.Model | Callable[[], keras.Model] | None,
    dataset: Dataset,
    run: Path,
    *,
    recipe: str | Recipe | Callable[[keras.Model], Recipe] | None = None,
    epochs: int = 50,
    validation: Dataset | None = None,
    validate_every: int = 1,
    validation_window: Size | None = None,
    patience: int | None = None,
    seed: int = 0,
    jit_compile: bool = False,
    skip_unreadable: bool = False,
    origin: Mapping[str, Any] | None = None,
    log: Callable[[str], object] = print,
    progress: bool = True,
    started: Callable[[], object] | None = None,
) -> keras.Model:
    """The trained model; an interrupted run is resumed.

    The run folder holds everything that decides the result, a log, curves, and the best and the last state. A second
    call with the same arguments continues from the last state, with bit-identical results. Ctrl-C saves the state
    first. More epochs prolong a run, finished or not: from there on, the learning rate follows the longer schedule.

    It trains under each backend of Keras: TensorFlow, JAX and PyTorch (`KERAS_BACKEND`). They see the same batches,
    and their losses are equal up to rounding, apart from dropout. A run is resumed under its own backend. JAX compiles
    the step for each size of images: there a recipe without a crop is for photographs of one size.

    Under a `tf.distribute` strategy, call this function within `strategy.scope()`, with equal arguments in every
    process. The loss is divided by the number of valid pixels on all devices together. If BatchNorm is frozen or
    synchronized, all devices train as one device with the whole batch would; but Dice, Lovász and the hardest examples
    compare the pixels of each device's part. Under JAX, build the model after
    `keras.distribution.set_distribution(keras.distribution.DataParallel())`, in one process: there BatchNorm is always
    synchronized. PyTorch trains on one device. `tfseg.training.devices.all_devices` is a context that does this.

    Args:
        model: the model, or a function that builds it; None is enough for a run that is resumed.
        dataset: `tfseg.data.Dataset` to train on.
        run: path of the run folder.
        recipe: a name of `RECIPES`, or a `Recipe`: batch size, crop, learning rate, class weights, dtype and more; or a
            function that gives a `Recipe` for the model. None: `default_recipe` of the model.
        epochs: passes over the data.
        validation: `Dataset` to validate on, or None; the model with the best mean IoU is kept as `best.keras`. The log
            has its scores, and the recipe's loss of its whole photographs, without auxiliary outputs.
        validate_every: number of epochs between two validations.
        validation_window: `(height, width)` in pixels of the window that slides over a photograph in validation. None:
            only photographs above 4 million pixels are seen through windows.
        patience: number of validations without a better mean IoU after which the run ends; None: it never ends early.
        seed: seed of order, augmentation and dropout.
        jit_compile: whether XLA compiles the step. JAX always does; under PyTorch it is refused.
        skip_unreadable: whether unreadable images are skipped, with a warning.
        origin: what the model was made from, as plain values: its name, its options, a hash of its weights. It is
            written into the run's configuration and compared on resuming. None: the models' layers are compared.
        log: function called with one line of text after each epoch, and once a minute within an epoch.
        progress: whether a terminal shows a bar with loss, learning rate and time left, on stderr.
        started: function called when there are steps to train: not for a run that is refused or finished.
    Returns: the model after the last step; with `Recipe.ema`, it has the moving averages of the weights.
    Raises:
        ValueError: a model that does not fit the data, a run of another configuration or of more epochs, or a loss that
            is not finite.
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
    check_distribution()
    folder = RunFolder(run, writes=is_chief())
    keras.utils.set_random_seed(seed)
    restored, state = folder.restore()
    if restored is None and model is None:
        raise ValueError(f"{folder.path} holds no state to resume: pass a model, or a function that builds it.")
    if restored is None or origin is None:
        model = model() if callable(model) and not isinstance(model, keras.Model) else model
    known = origin or (described(model) if isinstance(model, keras.Model) else None)
    trained_model = restored if restored is not None else model
    assert isinstance(trained_model, keras.Model)

    if not isinstance(recipe, Recipe) and callable(recipe):
        recipe = recipe(trained_model)
    recipe = with_fitting_crop(find_recipe(recipe or default_recipe(trained_model)), trained_model)
    steps_per_epoch = Fraction(len(dataset.pairs), recipe.batch_size)
    steps = math.ceil(steps_per_epoch * epochs)
    check_accumulation(recipe.accumulate, steps)
    config = configuration(
        recipe,
        dataset,
        epochs=epochs,
        steps=steps,
        seed=seed,
        model=known,
        validation=validation,
        validation_window=validation_window,
    )
    folder.configure(config)
    report = Report(log, steps=steps, done=state.step, progress=progress, silent=not folder.writes)
    if restored is None:
        trained_model = adapt_to_dataset(trained_model, dataset, recipe.dtype)
        compile_model(trained_model, recipe, steps, ignore_class=dataset.labels.void_id)
    else:
        prepare(trained_model, batch_norm=recipe.batch_norm, frozen=recipe.frozen)
        _prolong(trained_model, folder, state, steps, report)

    if (validations := _validations_without_gain(state)) and patience and validations >= patience:
        report.say(f"{folder.path} has ended early: {validations} validations without a better mean IoU")
    elif state.step >= steps and not state.losses:
        report.say(f"{folder.path} is finished: {epochs} epochs, {steps} steps. More epochs (--epochs) prolong it")
    else:
        if started:
            started()
        if rest := steps % recipe.accumulate:
            report.say(f"the last {rest} steps change no weights: the gradients of {recipe.accumulate} are gathered")
        if validation:
            _tell_shared(dataset, validation, report)
        step = make_step(trained_model, recipe, seed=seed, jit_compile=jit_compile, ignore_class=dataset.labels.void_id)
        examples = training_batches(
            dataset,
            trained_model,
            recipe,
            seed=seed,
            start=state.step,
            steps=steps,
            skip_unreadable=skip_unreadable,
        )

        def score(epoch: int, done: int) -> Row:
            if not validation or (epoch % validate_every and done != steps):
                return {}
            losses, _ = make_losses(trained_model, recipe, ignore_class=validation.labels.void_id)
            with averaged(trained_model):
                return agreed(validate(trained_model, validation, validation_window, losses[0]))

        def run_step(example: Any, done: int) -> float:
            return float(step(example, np.array(done, "int64")))

        plan = _Plan(steps, epochs, steps_per_epoch, patience, keeps_last=bool(recipe.ema and not validation))
        _run_steps(trained_model, folder, state, plan, run_step, examples, score, report)
    if recipe.ema:
        take_averages(trained_model)
    return trained_model


@dataclasses.dataclass(frozen=True)
class _Plan:
    """How long a training is, and which state of it is the best.

    Attributes:
        steps: number of steps of the whole training.
        epochs: number of its epochs.
        steps_per_epoch: number of steps of an epoch; it need not be whole.
        patience: number of validations without a better mean IoU after which the run ends, or None.
        keeps_last: whether the last state is the best one.
    """

    steps: int
    epochs: int
    steps_per_epoch: Fraction
    patience: int | None
    keeps_last: bool

    def ended_epoch(self, done: int) -> int | None:
        """The number of the last epoch that ends with a step, or None.

        Args:
            done: number of steps so far.
        """
        epoch = self._epochs_by(done)
        return epoch if epoch > self._epochs_by(done - 1) else None

    def _epochs_by(self, done: int) -> int:
        return self.epochs if done >= self.steps else int(done // self.steps_per_epoch)


def _run_steps(
    model: keras.Model,
    folder: RunFolder,
    state: Progress,
    plan: _Plan,
    run_step: Callable[[Any, int], float],
    examples: Any,
    score: Callable[[int, int], Row],
    report: Report,
) -> None:
    """Trains to the end of the plan; after each epoch the scores, the state and the row of the log."""
    done, losses, start = state.step, list(state.losses), time.monotonic()
    saved = done
    with folder.created():
        try:
            while done < plan.steps or losses:
                # An epoch whose steps are done may wait for its end: Ctrl-C came while it was validated.
                epoch = plan.ended_epoch(done) if losses else None
                if epoch is None:
                    example = next(examples)
                    # A step that is half done, or not counted, could not be resumed. The first one since a saved
                    # state needs not be; it may take minutes, because it is compiled.
                    with interrupted_afterwards() if done > saved else contextlib.nullcontext():
                        loss = run_step(example, done)
                        losses.append(_check_finite(loss, done + 1, folder))
                        done += 1
                    if plan.ended_epoch(done) is None:
                        report.step(done, losses, model.optimizer)
                    continue
                row: Row = {
                    "epoch": epoch,
                    "step": done,
                    "learning_rate": last_rate(model.optimizer),
                    "loss": float(np.mean(losses)),
                    "seconds": time.monotonic() - start,
                }
                row |= score(epoch, done)
                best = max((earlier.get("mean_iou", -1) for earlier in state.rows), default=-1)
                is_best = row.get("mean_iou", -1) > best or (plan.keeps_last and done == plan.steps)
                best_step = done if is_best else state.best_step
                state, losses = Progress(done, (*state.rows, row), best_step), []
                folder.save(model, state)
                saved = done
                report.row(row)
                report.begin(done)
                if plan.patience and _validations_without_gain(state) >= plan.patience:
                    report.say(f"ended early: {plan.patience} validations without a better mean IoU")
                    break
        except KeyboardInterrupt:
            # Several processes would all have to save together.
            if done > saved and not has_several_processes():
                folder.save(model, Progress(done, state.rows, state.best_step, losses))
                saved = done
            if saved and not has_several_processes():
                report.say(
                    f"interrupted after step {saved} of {plan.steps}; the same command continues from {folder.last}"
                )
            raise


def _prolong(model: keras.Model, folder: RunFolder, state: Progress, steps: int, report: Report) -> None:
    """Gives a run of fewer steps the longer schedule, and says so; a shorter one is refused."""
    # The state decides: a kill may come between the configuration of a longer run and its first state.
    planned = planned_steps(model.optimizer) or folder.planned_steps
    if planned is None or steps == planned:
        return
    if steps < planned:
        raise ValueError(
            f"{folder.path} is planned for {planned} steps (--epochs={folder.planned_epochs or '...'}), and its rate "
            f"falls over them. Received: {steps} steps. Resume it with its number of epochs, or name another folder."
        )
    stretch(model.optimizer, steps)
    report.say(
        f"prolonged from {planned} steps to {steps}: from step {state.step} on, the learning rate follows the longer "
        "schedule"
    )


def _validations_without_gain(state: Progress) -> int:
    """The number of validations since the best one."""
    scores = [row["mean_iou"] for row in state.rows if "mean_iou" in row]
    return len(scores) - 1 - scores.index(max(scores)) if scores else 0


def _tell_shared(dataset: Dataset, validation: Dataset, report: Report) -> None:
    """Says once which photographs both are trained on and measured."""
    shared = shared_photographs(dataset, validation)
    if shared:
        report.say(
            f"{len(shared)} photographs are in training ({dataset.name}) and in validation ({validation.name}): "
            "its scores say little: "
            f"{shared[0][1].image.name}{', ...' if len(shared) > 1 else ''}"
        )


def _check_finite(loss: float, step: int, folder: RunFolder) -> float:
    if math.isfinite(loss):
        return loss
    state = folder.last if folder.last.exists() else "the one before this run"
    raise ValueError(
        f"The loss of step {step} is {loss}: the training diverged. Try a lower learning rate (a tenth), "
        "clipnorm=1, a longer warm-up, or float32 instead of float16. Check the masks with tfseg inspect-data. "
        f"The last good state is {state}."
    )
