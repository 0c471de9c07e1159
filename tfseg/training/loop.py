"""The loop: one step, the same on one device and on many; saved so that it can be resumed to the bit.

Not `model.fit`: that fails under MultiWorkerMirroredStrategy (https://github.com/keras-team/keras/issues/20585), and
divides the loss by each device's own count of valid pixels, so that two devices do not train as one would.
"""

import functools
import math
import time

import keras
import numpy as np

from tfseg.data.pipeline import batches
from tfseg.evaluation import evaluate
from tfseg.metrics import SCORES
from tfseg.native_operations import native_operations
from tfseg.prediction.model import preprocessing_of
from tfseg.training.preparation import compile_model, make_losses, prepare, prepared
from tfseg.training.recipes import RECIPES
from tfseg.training.runs import Run

_PATIENCE = 60.0  # seconds without a word
_DRAWS = 64  # numbers that a generator may draw in a step without those of the next


def train(
    model,
    dataset,
    run,
    *,
    recipe="poly",
    epochs=50,
    validation=None,
    validate_every=1,
    batch_size=None,
    crop=None,
    seed=0,
    class_weights=None,
    clipnorm=None,
    accumulate=1,
    dtype="float32",
    jit_compile=False,
    skip_unreadable=False,
    report=print,
):
    """Trains a segmenter, or goes on with a run that was interrupted, and returns it.

    Everything that decides the result is written down in the run's folder, with a log, curves, and the best and last
    states; called again with the same arguments it goes on from the last state as if nothing had been. Ctrl-C saves the
    state first. Under a `tf.distribute` strategy call it within `strategy.scope()`, in every process alike; the loss is
    divided by the valid pixels of all devices together, so that they train as one device with the whole batch would
    (with BatchNorm frozen or synchronised).

    Args:
        model: the model, or a function that makes it, for which there is no need when a run is resumed.
        dataset: `tfseg.data.Dataset` to train on.
        run: path of the run's folder.
        recipe: a name of `RECIPES`, or a `Recipe`.
        epochs: passes over the data.
        validation: `Dataset` to measure the model on, or None; the best by mean IoU is kept as `best.keras`.
        validate_every: epochs between two validations.
        batch_size, crop: in place of the recipe's.
        seed: of order, augmentation and dropout.
        class_weights: a number a class, or None.
        clipnorm: the largest norm of a gradient.
        accumulate: steps whose gradients are averaged before weights change, for machines that hold small batches only.
        dtype: "float32"; or "mixed_bfloat16", "mixed_float16": weights and logits stay in float32.
        jit_compile: whether XLA compiles the step.
        skip_unreadable: whether pictures that cannot be read are passed over, with a warning.
        report: called with a line of text an epoch, and once a minute between.
    Raises:
        ValueError: a model that does not fit the data, a run of another configuration, or a loss that is not finite.
        OSError: a state that cannot be written; the one before is still there.
    """
    import tensorflow as tf

    recipe = RECIPES[recipe] if isinstance(recipe, str) else recipe
    recipe = recipe._replace(
        batch_size=batch_size or recipe.batch_size,
        augmentation=recipe.augmentation._replace(crop=tuple(crop) if crop else recipe.augmentation.crop),
    )
    per_epoch = len(dataset.pairs) / recipe.batch_size
    steps = math.ceil(per_epoch * epochs)
    strategy = tf.distribute.get_strategy()
    config = {
        "recipe": recipe._replace(augmentation=recipe.augmentation._asdict())._asdict(),
        "dataset": dataset.name,
        "pairs": len(dataset.pairs),
        "num_classes": dataset.num_classes,
        "steps": steps,
        "seed": seed,
        "class_weights": None if class_weights is None else [float(weight) for weight in class_weights],
        "clipnorm": clipnorm,
        "accumulate": accumulate,
        "dtype": dtype,
    }
    folder = Run(run, config, writes=_is_chief(strategy))
    keras.utils.set_random_seed(seed)
    restored, done = folder.restore()
    model = restored or prepared(model() if not isinstance(model, keras.Model) else model, dataset, dtype)
    if restored:
        prepare(model, batch_norm=recipe.batch_norm, frozen=recipe.frozen)
    else:
        options = {"clipnorm": clipnorm, "gradient_accumulation_steps": accumulate if accumulate > 1 else None}
        compile_model(model, recipe, steps, class_weights=class_weights, **options)
    step = _step(model, recipe, class_weights, seed, jit_compile)
    examples = iter(_examples(dataset, model, recipe, seed, done, steps, skip_unreadable, strategy))
    best = max((row.get("mean_iou", -1) for row in folder.rows), default=-1)
    begun, losses = time.monotonic(), []
    told, told_step = begun, done
    try:
        while done < steps:
            losses.append(_finite(float(step(next(examples), tf.constant(done, tf.int64))), done, folder))
            done += 1
            epoch = round(done / per_epoch)
            now = time.monotonic()
            if done != min(steps, math.ceil(epoch * per_epoch)):
                if folder.writes and now - told > _PATIENCE:
                    pace = (now - told) / (done - told_step)
                    report(f"step {done} of {steps}  loss {np.mean(losses):.5g}  {pace:.3g} s a step")
                    told, told_step = now, done
                continue
            row = {
                "epoch": epoch,
                "step": done,
                "learning_rate": float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)),
                "loss": float(np.mean(losses)),
                "seconds": now - begun,
            }
            if validation and (epoch % validate_every == 0 or done == steps):
                found = evaluate(model, validation).scores
                row |= {name: found[name] for name in SCORES}
            folder.save(model, done, best=row.get("mean_iou", -1) > best)
            best = max(best, row.get("mean_iou", -1))
            folder.log(row)
            if folder.writes:
                report("  ".join(f"{key} {value:.5g}" for key, value in row.items()))
            losses, told, told_step = [], time.monotonic(), done
    except KeyboardInterrupt:
        if not getattr(strategy, "cluster_resolver", None):  # of several processes, all would have to save together
            folder.save(model, done)
            report(f"interrupted behind step {done} of {steps}; the same command goes on from {folder.last}")
        raise
    return model


def _step(model, recipe, class_weights, seed, jit_compile):
    """A function of the next examples: changes the model, gives the loss."""
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    pixel_losses, weights = make_losses(model, recipe, class_weights=class_weights)
    optimizer = model.optimizer

    def replica(images, masks):
        context = tf.distribute.get_replica_context()
        everywhere = functools.partial(context.all_reduce, tf.distribute.ReduceOp.SUM)
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
            outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
            value = tf.constant(0.0)
            for loss, weight, output in zip(pixel_losses, weights, outputs, strict=True):
                total, divisor = loss.totals(masks, output)
                # What all devices together hold: each has its own number of pixels that count.
                divisor = everywhere(divisor) if recipe.reduction == "mean" else divisor
                value += weight * total / tf.maximum(divisor, 1e-12)
            scaled = optimizer.scale_loss(value)
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(scaled, variables), variables)
        return value

    compiled = tf.function(replica, jit_compile=jit_compile or None)

    # Dropout's generators, which no file holds: their state is made a function of the seed and the step.
    generators = [one for one in model.non_trainable_variables if one.path.endswith("seed_generator_state")]

    @tf.function
    def step(examples, number):
        for index, generator in enumerate(generators):
            state = tf.stack([tf.constant(seed * len(generators) + index, tf.int64), number * _DRAWS])
            generator.assign(tf.cast(state, generator.dtype))
        with native_operations(model, gradients=True):
            return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(compiled, args=examples), axis=None)

    return step


def _examples(dataset, model, recipe, seed, done, steps, skip_unreadable, strategy):
    """Every device's share of every batch."""
    devices = strategy.num_replicas_in_sync
    if recipe.batch_size % devices:
        raise ValueError(
            f"A batch is shared by all devices alike: batch_size is a multiple of {devices}. Received: "
            f"{recipe.batch_size}"
        )

    def share(context):
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

    return strategy.distribute_datasets_from_function(share)


def _finite(loss, done, folder):
    if math.isfinite(loss):
        return loss
    raise ValueError(
        f"The loss of step {done + 1} is {loss}: the training has come apart. Try a lower learning rate (a tenth), "
        "clipnorm=1, a longer warm-up, or float32 in place of float16; and see with tfseg-inspect-data that the masks "
        f"are what they should be. The last good state is {folder.last if folder.last.exists() else 'that before it'}."
    )


def _is_chief(strategy):
    """Whether this process writes: the first of several, or the only one."""
    resolver = getattr(strategy, "cluster_resolver", None)
    if resolver is None or not resolver.task_type:
        return True
    first = "chief" if "chief" in resolver.cluster_spec().jobs else "worker"
    return (resolver.task_type, resolver.task_id) == (first, 0)
