"""Parts "pace" and "segmenters": several trainings at once on one accelerator, each in its own process.

The pace comes first: a recipe falls to a rate of 0 at its last step, so the number of epochs is planned by the time
that there is. A training that is cut continues when the script is called again.
"""

import dataclasses
import json
import pathlib
import subprocess
from collections.abc import Callable, Sequence

from benchmarks.gpu.plans import PLANS
from benchmarks.gpu.processes import end_jobs, environment, run_job
from benchmarks.gpu.records import Budget, Record, Records
from benchmarks.gpu.train_job import Settings

FINISH_SECONDS = 25.0  # for compiling, beside the maps themselves
GRACE_SECONDS = 20.0  # for a process that is interrupted to write what it has


@dataclasses.dataclass(frozen=True)
class Trainings:
    """What is trained.

    Attributes:
        settings: the settings of each plan, with 0 epochs.
        folder: folder of results.
        backend: backend of Keras.
        most_epochs: largest number of epochs, however much time there is.
    """

    settings: Sequence[Settings]
    folder: pathlib.Path
    backend: str
    most_epochs: int

    def start(self, settings: Settings, part: str) -> "subprocess.Popen[bytes]":
        """Starts a training.

        Args:
            settings: what the process is told.
            part: name of the part, for its log.
        """
        env = environment(self.backend, self.folder / "compiled", memory_share=0.9 / len(self.settings))
        log = self.folder / "logs" / f"{part}_{settings.plan}.log"
        return run_job("train_job", json.dumps(dataclasses.asdict(settings)), env=env, log=log)


def entries_of(settings: Settings) -> Record:
    """What tells the records of a training from those of another.

    Args:
        settings: what its process is told.
    """
    crop = list(settings.crop)
    return {"plan": settings.plan, "crop": crop, "batch": settings.batch, "dtype": settings.dtype}


def measure_pace(trainings: Trainings, records: Records, budget: Budget, say: Callable[[str], None]) -> None:
    """Measures how long an epoch takes while all plans train at once.

    Args:
        trainings: what is trained.
        records: where results are written.
        budget: the time for all.
        say: called with a line of text.
    """
    missing = [each for each in trainings.settings if not records.last("pace", **entries_of(each))]
    jobs = [(each, trainings.start(each, "pace")) for each in missing if budget.left()]
    codes = end_jobs([job for _, job in jobs], budget.left(), 5)
    for (settings, _), code in zip(jobs, codes, strict=True):
        record = records.last("pace", **entries_of(settings))
        said = f"{record['pass_seconds']:.2f} s a pass" if record else f"no result, code {code}, see logs"
        say(f"pace {settings.plan}: {said}")


def planned_epochs(pace: Record, seconds: float, passes: int, most: int) -> int:
    """The number of epochs that fit into the time, at least 1.

    Args:
        pace: a record of the part "pace".
        seconds: the time for building, training and writing.
        passes: passes over the photographs in an epoch.
        most: largest number.
    """
    validation = pace["validation_seconds"]
    fixed = pace["start_seconds"] + FINISH_SECONDS + 2 * validation
    epoch = passes * pace["pass_seconds"] + pace["save_seconds"] + validation
    return max(1, min(most, int((seconds - fixed) / epoch)))


def train_all(
    trainings: Trainings, records: Records, budget: Budget, say: Callable[[str], None], epochs: int = 0
) -> None:
    """Trains all plans at once, those that have no record yet.

    Args:
        trainings: what is trained.
        records: where results are written.
        budget: the time for all.
        say: called with a line of text.
        epochs: number of epochs; 0: as many as the time allows, by the pace.
    """
    jobs = []
    for settings in trainings.settings:
        entries = entries_of(settings)
        if records.last("segmenters", **entries):
            continue
        plan = records.last("plan", **entries)  # a training that was cut keeps its number of epochs
        if plan is None:
            pace = records.last("pace", **entries)
            if not epochs and pace is None:
                say(f"segmenters {settings.plan}: its pace is not known, and there is no --epochs")
                continue
            seconds = budget.left() - GRACE_SECONDS
            count = epochs or planned_epochs(pace or {}, seconds, settings.passes, trainings.most_epochs)
            plan = records.add("plan", **entries, epochs=count, passes=settings.passes)
        say(f"segmenters {settings.plan}: {plan['epochs']} epochs of {settings.passes} passes")
        jobs.append((settings, trainings.start(dataclasses.replace(settings, epochs=plan["epochs"]), "segmenters")))
    paces = [records.last("pace", **entries_of(settings)) or {} for settings, _ in jobs]
    finish = GRACE_SECONDS + 2 * max((pace.get("validation_seconds", 0.0) for pace in paces), default=0.0)
    codes = end_jobs([job for _, job in jobs], max(0.0, budget.left() - finish), finish)
    for (settings, _), code in zip(jobs, codes, strict=True):
        record = records.last("segmenters", **entries_of(settings))
        said = f"mean IoU {100 * record['mean_iou']:.2f}" if record else f"no result, code {code}, see logs"
        say(f"segmenters {settings.plan}: {said}")


def settings_of(
    names: Sequence[str],
    sources: dict[str, str | None],
    folder: pathlib.Path,
    records: Records,
    **options: object,
) -> list[Settings]:
    """The settings of plans.

    Args:
        names: names of `PLANS`.
        sources: path of the weights by the name that a plan has for them, or None for random ones.
        folder: folder of results.
        records: the records.
        options: the other fields of `Settings`.
    """
    return [
        Settings(
            plan=name,
            weights=sources[PLANS[name].weights],
            folder=str(folder / "segmenters" / name),
            records=str(records.path),
            epochs=0,
            **options,  # type: ignore[arg-type]
        )
        for name in names
    ]
