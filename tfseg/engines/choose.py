""" "auto": every engine is measured once for a model, a size of images, a precision and a machine."""

import hashlib
import importlib.metadata
import statistics
import time

import keras

from tfseg.engines import machine
from tfseg.engines.build import BuiltEngine, EngineKey, as_it_is, build_engine, forget_engine, weights_mark
from tfseg.engines.choices import Choice, keep_choice, read_choice
from tfseg.engines.job import EngineError, Run
from tfseg.engines.parity import noise, size_class
from tfseg.engines.table import ENGINES, Engine
from tfseg.prediction.fingerprint import model_mark
from tfseg.types import Size

BUDGET = 60.0  # seconds after which no further engine is tried
ROUNDS = 3
# Seconds: after a round that takes longer, there is no other.
_LONG = 5.0
GAIN = 0.95  # an engine must take less than this share of the time of the model as it is: it needs memory, too
AS_IT_IS = "as it is"


def choice_key(model: keras.Model, dtype: str, size: Size | None, shape: tuple[int, ...]) -> str:
    """What a choice depends on, as one text: also on the engines that are installed, and on their versions.

    Args:
        model: segmentation model.
        dtype: precision.
        size: height and width of all images; None for any size.
        shape: shape of the batch at hand.
    """
    installed = [f"{engine.name} {_versions(engine)}" for engine in ENGINES.values() if engine.is_installed]
    fixed = "any size" if size is None else f"{size[0]}x{size[1]}"
    facts = [model_mark(model), dtype, fixed, f"2^{size_class(shape)} pixels", f"{machine.cores()} cores"]
    facts += [str(machine.threads()), machine.processor(), machine.instructions(), _devices(), *installed]
    return hashlib.blake2b("\n".join(facts).encode(), digest_size=16).hexdigest()


def known_choice(key: str, dtype: str) -> Choice | None:
    """What an earlier process measured; None if nothing is known.

    Args:
        key: result of `choice_key`.
        dtype: precision.
    """
    return read_choice(key, {engine.name for engine in _candidates(dtype)})


def measured_choice(
    model: keras.Model, key: str, dtype: str, size: Size | None, shape: tuple[int, ...], budget: float = BUDGET
) -> Choice:
    """The fastest engine, measured now: one call each in turn, and the medians of these rounds.

    Args:
        model: segmentation model.
        key: result of `choice_key`.
        dtype: precision.
        size: height and width of all images; None for any size.
        shape: shape of the batch at hand.
        budget: seconds after which no further engine is tried.
    """
    begin, mark, left_out = time.perf_counter(), weights_mark(model), {}
    engines: dict[str, BuiltEngine] = {}
    images = noise(model, shape)
    runs: dict[str, Run] = {AS_IT_IS: as_it_is(model)} if dtype == "float32" else {}
    for engine in ENGINES.values():
        spent = time.perf_counter() - begin
        if dtype not in engine.rewrites:
            continue
        if not engine.is_installed:
            left_out[engine.name] = f"not installed: {engine.remedy} ({engine.gain}, where it was measured)"
        elif spent > budget:
            left_out[engine.name] = f"not tried: {spent:.0f} s were over, of {budget:.0f} s for all"
        else:
            try:
                engines[engine.name] = build_engine(model, EngineKey(engine.name, dtype, size), shape, mark)
            except EngineError as error:
                left_out[engine.name] = str(error)
    runs |= {name: _run_of(model, engine) for name, engine in engines.items()}
    times: dict[str, list[float]] = {}
    for name, run in list(runs.items()):
        try:
            times[name] = [_seconds(run, images)]  # of the first call, which compiles
        except EngineError as error:
            left_out[name] = str(error)
            del runs[name]
    for turn in range(ROUNDS):
        started = time.perf_counter()
        for name, run in runs.items():
            times[name] = [*times[name][turn == 0 :], _seconds(run, images)]
        if time.perf_counter() - started > _LONG:
            break
    seconds = {name: statistics.median(values) for name, values in times.items()}
    best = min(seconds, key=seconds.__getitem__, default=AS_IT_IS)
    if AS_IT_IS in seconds and seconds[best] > GAIN * seconds[AS_IT_IS]:
        best = AS_IT_IS
    for name in engines:
        if name != best:
            forget_engine(model, EngineKey(name, dtype, size))
    built = {name: engine.seconds for name, engine in engines.items()}
    choice = Choice(None if best == AS_IT_IS else best, seconds, built, left_out)
    keep_choice(key, choice)
    return choice


def explained(choice: Choice, model: keras.Model, dtype: str, shape: tuple[int, ...]) -> str:
    """Lines that say which engine was chosen, and why.

    Args:
        choice: the choice.
        model: segmentation model.
        dtype: precision.
        shape: shape of the batch at hand.
    """
    batch, height, width, _ = shape
    lines = [
        f"{model.name}, {dtype}, about {height}x{width} pixels, batch {batch}, {machine.processor()}, "
        f"{machine.cores()} cores: {choice.name or AS_IT_IS}"
    ]
    for name, seconds in sorted(choice.seconds.items(), key=lambda item: item[1]):
        built = f", built in {choice.built[name]:.1f} s" if name in choice.built else ""
        lines.append(f"    {name:12} {seconds * 1e3:8.1f} ms{built}")
    lines += [f"    {name:12} {reason}" for name, reason in choice.left_out.items()]
    return "\n".join(lines)


def _candidates(dtype: str) -> list[Engine]:
    return [engine for engine in ENGINES.values() if dtype in engine.rewrites and engine.is_installed]


def _run_of(model: keras.Model, engine: BuiltEngine) -> Run:
    return lambda batch: engine.run(model, batch)


def _seconds(run: Run, images: object) -> float:
    begin = time.perf_counter()
    run(images)  # type: ignore[arg-type]
    return time.perf_counter() - begin


def _versions(engine: Engine) -> str:
    versions = []
    for module in engine.modules or ("tensorflow",):
        try:
            versions.append(importlib.metadata.version(module.replace("_", "-")))
        except importlib.metadata.PackageNotFoundError:
            versions.append("?")
    return " ".join(versions)


def _devices() -> str:
    if keras.config.backend() != "tensorflow":
        return ""
    import tensorflow as tf

    return " ".join(device.name for device in tf.config.list_physical_devices("GPU"))
