"""A process that trains one plan under JAX, and writes its class maps, its curves and its weights.

    python -m benchmarks.gpu.train_job SETTINGS

SETTINGS is a JSON text of `Settings`.
"""

import dataclasses
import json
import pathlib
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gpu.plans import PLANS
from benchmarks.gpu.records import Records

if TYPE_CHECKING:
    import keras

    from tfseg.data import Dataset
    from tfseg.training import Recipe

PACE_EPOCHS = 4  # the first two compile the step and the validation


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the process is told.

    Attributes:
        plan: a name of `PLANS`.
        data: directory of CamVid.
        weights: path of the weights that the network begins with, or None for random ones.
        records: path of the records.
        folder: folder for what the training writes.
        crop: height and width of the crop, in pixels.
        batch: images in a step.
        dtype: "mixed_bfloat16" or "float32".
        width: factor of the channels of FCN-8s.
        fc_units: units of fc6 and fc7 of FCN-8s.
        passes: how often an epoch goes through the photographs; each epoch is validated and saved.
        epochs: number of epochs; 0: only the pace of the training is measured.
    """

    plan: str
    data: str
    weights: str | None
    records: str
    folder: str
    crop: tuple[int, int]
    batch: int
    dtype: str
    width: float
    fc_units: int
    passes: int
    epochs: int


def build(settings: Settings, num_classes: int) -> "keras.Model":
    """The network to start with.

    Args:
        settings: what the process is told.
        num_classes: number of classes.
    """
    import converters
    import tfseg

    plan = PLANS[settings.plan]
    options = dict(plan.options)
    if plan.fc_units:
        options["width"] = settings.width
    if settings.weights:
        model = converters.warm_start(settings.weights, num_classes, network=plan.network, options=options).model
    else:
        model = tfseg.build(plan.network, num_classes=num_classes, **options)
    return with_fc_units(model, settings.fc_units) if plan.fc_units else model


def with_fc_units(model: "keras.Model", units: int) -> "keras.Model":
    """An FCN whose fc6 and fc7 have so many units; they and the scores of fc7 begin again, the rest keeps its weights.

    Args:
        model: an FCN.
        units: number of units.
    """
    import keras

    def clone_layer(layer: keras.Layer) -> keras.Layer:
        changes = {"filters": units} if layer.name in ("fc6", "fc7") else {}
        return type(layer).from_config(layer.get_config() | changes)

    copy = keras.models.clone_model(model, clone_function=clone_layer)
    for variable, value in zip(copy.weights, model.weights, strict=True):
        if not variable.path.startswith(("fc6/", "fc7/", "score_fr/")):
            variable.assign(value)
    return copy


def recipe_of(settings: Settings) -> "Recipe":
    """The recipe of the plan, with the crop, the batch and the dtype that the process is told.

    Args:
        settings: what the process is told.
    """
    from tfseg import training

    plan, recipe = PLANS[settings.plan], training.RECIPES[PLANS[settings.plan].recipe]
    augmentation = dataclasses.replace(recipe.augmentation, **plan.augmentation)
    changes = {"batch_size": settings.batch, "dtype": settings.dtype, **plan.changes}
    return dataclasses.replace(recipe, augmentation=augmentation, **changes).with_crop(settings.crop)


def measure_pace(settings: Settings, train_set: "Dataset", val_set: "Dataset", begin: float) -> dict[str, float]:
    """The seconds of a pass, of saving a state, of a validation, and of what comes before: building and compiling.

    Args:
        settings: what the process is told.
        train_set: the data set to train on.
        val_set: the data set to validate on.
        begin: when the process began.
    """
    from tfseg import training
    from tfseg.training.runs import RunFolder

    times: list[float] = []  # when each epoch was validated and saved

    def note(line: str) -> None:
        print(line, flush=True)
        if line.startswith("epoch "):
            times.append(time.monotonic() - begin)

    run = pathlib.Path(settings.folder, "pace")
    shutil.rmtree(run, ignore_errors=True)
    began: list[float] = []
    options: dict[str, Any] = {"epochs": PACE_EPOCHS, "validation": val_set, "validate_every": 2, "log": note}
    options["started"] = lambda: began.append(time.monotonic() - begin)
    training.train(build(settings, train_set.num_classes), train_set, run, recipe=recipe_of(settings), **options)
    (steps_ended,) = (row["seconds"] for row in RunFolder(run).rows if row["epoch"] == 3)
    shutil.rmtree(run)
    _, second, third, fourth = times  # the second and the fourth epoch are validated
    epoch = third - second
    save = min(max(0.0, third - began[0] - steps_ended), epoch)  # the log's seconds are those before saving
    validation = max(0.0, fourth - third - epoch)
    return {
        "pass_seconds": epoch - save,
        "save_seconds": save,
        "validation_seconds": validation,
        "start_seconds": max(0.0, second - 2 * epoch - validation),
    }


def finish(settings: Settings, run: pathlib.Path, val_set: "Dataset") -> dict[str, Any]:
    """Writes the best state's weights in float16, its class maps and its curves, and scores the maps.

    Args:
        settings: what the process is told.
        run: folder of the run.
        val_set: the data set to measure on.
    Returns: scores, and what was written.
    """
    import converters
    import tfseg
    from benchmarks.gpu.scoring import score_maps, write_maps
    from tfseg.training.precision import with_dtype
    from tfseg.training.runs import RunFolder

    folder = pathlib.Path(settings.folder)
    state = run / "best.keras" if (run / "best.keras").exists() else run / "last.keras"
    model = with_dtype(tfseg.load(state), "float32")
    for variable in model.weights:  # the maps are those of the file
        if "float" in variable.dtype:
            variable.assign(np.asarray(variable, "float16").astype("float32"))
    weights = folder / "weights.safetensors"
    converters.export_weights(model, weights, family="tfseg/paths", dtype="float16", overwrite=True)
    write_maps(model, val_set, folder / "classes")
    for name in ("log.csv", "curves.png", "config.json"):
        if (run / name).exists():
            shutil.copy(run / name, folder / name)
    rows = RunFolder(run).rows
    scored = [row for row in rows if "mean_iou" in row]
    best = max(scored, key=lambda row: row["mean_iou"]) if scored else {}
    return {
        **score_maps(val_set, folder / "classes"),
        "best_epoch": best.get("epoch"),
        "mean_iou_of_the_log": best.get("mean_iou"),
        "epochs_done": len(rows),
        "last_loss": rows[-1]["loss"] if rows else None,
        "parameters": model.count_params(),
        "weights_bytes": weights.stat().st_size,
    }


def main(settings: Settings) -> None:
    """Measures the pace of a plan, or trains it.

    Args:
        settings: what the process is told.
    """
    begin = time.monotonic()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
    from tfseg import data, training

    records = Records(settings.records)
    train_set, val_set = (data.camvid(settings.data, split) for split in ("train", "val"))
    entries = {"plan": settings.plan, "crop": list(settings.crop), "batch": settings.batch, "dtype": settings.dtype}
    if not settings.epochs:
        records.add("pace", **entries, **measure_pace(settings, train_set, val_set, begin))
        return
    run, interrupted = pathlib.Path(settings.folder, "run"), False
    repeated = dataclasses.replace(train_set, pairs=train_set.pairs * settings.passes)
    recipe = recipe_of(settings)
    try:
        training.train(
            lambda: build(settings, train_set.num_classes),
            repeated,
            run,
            recipe=recipe,
            epochs=settings.epochs,
            validation=val_set,
            origin=dataclasses.asdict(settings),
        )
    except KeyboardInterrupt:  # the time is over: what is there is worth a score
        interrupted = True
    trained = time.monotonic() - begin
    result = finish(settings, run, val_set)
    records.add(
        "segmenters",
        **entries,
        epochs=settings.epochs,
        passes=settings.passes,
        photographs=len(train_set.pairs),
        interrupted=interrupted,
        recipe=recipe.summary(),
        loss=recipe.loss,
        started_from=None if settings.weights is None else pathlib.Path(settings.weights).name,
        training_seconds=round(trained, 1),
        seconds=round(time.monotonic() - begin, 1),
        **result,
    )


if __name__ == "__main__":
    values = json.loads(sys.argv[1])
    main(Settings(**values | {"crop": tuple(values["crop"])}))
