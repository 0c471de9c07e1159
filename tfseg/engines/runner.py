"""The logits of one model on the engine that a user asks for, with a way back to the model itself."""

import dataclasses
import functools
import time
import warnings
import weakref

import keras

from tfseg.engines.build import BuiltEngine, EngineKey, as_it_is, build_engine, weights_mark
from tfseg.engines.choices import Choice
from tfseg.engines.choose import choice_key, explained, known_choice, measured_choice
from tfseg.engines.job import EngineError
from tfseg.engines.parity import noise, size_class
from tfseg.engines.table import AUTO, check_engine
from tfseg.prediction.sizes import checked_size
from tfseg.types import Array, Size

PATIENCE = 20.0  # seconds that a model computes as it is, before "auto" measures the engines
_LOOK = 1.0  # seconds after which "auto" looks for an earlier measurement


class EngineWarning(UserWarning):
    """An engine does not run a model, and the model itself computes."""


@dataclasses.dataclass
class _History:
    """What is known of a model in this process, for one precision and size.

    Attributes:
        seconds: class of size -> how long the model has computed as it is.
        keys: class of size -> key of its choice.
        choices: class of size -> the choice.
        failed: engine -> hash of the weights with which it failed.
    """

    seconds: dict[int, float] = dataclasses.field(default_factory=dict)
    keys: dict[int, str] = dataclasses.field(default_factory=dict)
    choices: dict[int, Choice] = dataclasses.field(default_factory=dict)
    failed: dict[str, str] = dataclasses.field(default_factory=dict)


_histories: weakref.WeakKeyDictionary[keras.Model, dict[tuple[str, Size | None], _History]]
_histories = weakref.WeakKeyDictionary()


class EngineRunner:
    """A function from a preprocessed batch to logits, float32 `(batch, height, width, num_classes)`.

    Args:
        model: segmentation model. An engine that was built with other weights than those of now is built again.
        engine: name of an engine, or "auto".
        dtype: "float32" or "bfloat16".
        size: height and width of all images; None for any size.
        explain: whether to print which engine computes, and why.
        patience: seconds that the model computes as it is, before "auto" measures.
    Raises:
        ValueError: the engine is unknown or not installed, or has no such dtype.
    """

    def __init__(
        self,
        model: keras.Model,
        engine: str,
        *,
        dtype: str = "float32",
        size: Size | None = None,
        explain: bool = False,
        patience: float = PATIENCE,
    ) -> None:
        check_engine(engine, dtype)
        self.model, self.asked, self.dtype, self.size = model, engine, dtype, size
        self._explain, self._patience = explain, patience
        self._history = _histories.setdefault(model, {}).setdefault((dtype, size), _History())
        self._engines: dict[str, BuiltEngine] = {}
        self._said: set[str] = set()

    @functools.cached_property
    def mark(self) -> str:
        """The hash of the weights at the first batch that an engine computes."""
        return weights_mark(self.model)

    def __call__(self, batch: Array) -> Array:
        """The logits of a batch.

        Args:
            batch: preprocessed images, float32 `(batch, height, width, channels)`.
        Raises:
            ValueError: the model does not take images of this size.
        """
        checked_size(self.model, batch)
        if self.size is not None and tuple(batch.shape[1:3]) != tuple(self.size):
            raise ValueError(f"This function takes images of {tuple(self.size)}. Received: {batch.shape[1:3]}")
        name = self._chosen(batch) if self.asked == AUTO else self.asked
        if name is not None and self._history.failed.get(name) != self.mark:
            try:
                logits = self._engine(name, batch).run(self.model, batch)
                self._say(f"{self.model.name}: computed by {name}, in {self.dtype}")
                return logits
            except EngineError as error:
                self._history.failed[name] = self.mark
                message = f"{self.model.name} computes as it is, without the engine {name}: {error}"
                warnings.warn(message, EngineWarning, stacklevel=2)
        self._say(f"{self.model.name}: computed as it is, by Keras's backend {keras.config.backend()}")
        begin = time.perf_counter()
        logits = as_it_is(self.model)(batch)
        kind, spent = size_class(batch.shape), time.perf_counter() - begin
        self._history.seconds[kind] = self._history.seconds.get(kind, 0.0) + spent
        return logits

    def prepare(self, shape: tuple[int, ...]) -> None:
        """Builds the engine now, and with "auto" measures the engines now, for images about as large as these.

        Args:
            shape: shape of a batch.
        """
        self(noise(self.model, shape))

    def engine_for(self, shape: tuple[int, ...]) -> str | None:
        """The name of the engine that computes a batch; None: the model as it is.

        Args:
            shape: shape of the batch.
        """
        choice = self._history.choices.get(size_class(shape))
        chosen = choice.name if choice else None
        name = chosen if self.asked == AUTO else self.asked
        return None if name is None or self._history.failed.get(name) == self.mark else name

    def _engine(self, name: str, batch: Array) -> BuiltEngine:
        if name not in self._engines:
            self._engines[name] = build_engine(
                self.model, EngineKey(name, self.dtype, self.size), batch.shape, self.mark
            )
        return self._engines[name]

    def _chosen(self, batch: Array) -> str | None:
        """The engine that was fastest; None while nothing is known, and measuring would take longer than the work."""
        history, kind = self._history, size_class(batch.shape)
        choice, spent = history.choices.get(kind), history.seconds.get(kind, 0.0)
        if choice is None and spent >= min(_LOOK, self._patience):
            if kind not in history.keys:
                history.keys[kind] = choice_key(self.model, self.dtype, self.size, batch.shape)
            known = known_choice(history.keys[kind], self.dtype)
            if known and (known.name is None or spent >= min(self._patience, known.built[known.name])):
                choice = known
            elif known is None and spent >= self._patience:
                choice = measured_choice(self.model, history.keys[kind], self.dtype, self.size, batch.shape)
            if choice:
                history.choices[kind] = choice
                if self._explain:
                    print(explained(choice, self.model, self.dtype, batch.shape))
        return choice.name if choice else None

    def _say(self, line: str) -> None:
        if self._explain and line not in self._said:
            self._said.add(line)
            print(line)


def runner_of(model: keras.Model, engine: EngineRunner | str | None) -> EngineRunner | None:
    """What computes the logits of a model; None for the model itself.

    Args:
        model: segmentation model.
        engine: name of an engine, "auto", a runner, or None.
    Raises:
        ValueError: the engine is unknown or not installed, or the runner is of another model.
    """
    if isinstance(engine, EngineRunner):
        if engine.model is not model:
            raise ValueError(f"The engine was compiled for another model, {engine.model.name!r}, not {model.name!r}")
        return engine
    return None if engine is None else EngineRunner(model, engine)


def checked_runner(
    model: keras.Model, engine: EngineRunner | str | None, *, explain: bool = False
) -> EngineRunner | None:
    """What computes the logits of a model, for a function that users call: a runner must have the weights of now.

    Args:
        model: segmentation model.
        engine: name of an engine, "auto", a runner, or None.
        explain: whether to print which engine computes, and why.
    Raises:
        ValueError: as `runner_of`, or the weights of the model have changed since `tfseg.compile`.
    """
    if isinstance(engine, str):
        return EngineRunner(model, engine, explain=explain)
    runner = runner_of(model, engine)
    if runner is None:
        if explain:
            print(f"{model.name}: computed as it is, by Keras's backend {keras.config.backend()}")
    elif runner.mark != weights_mark(model):
        raise ValueError(f"The weights of {model.name!r} have changed since tfseg.compile: compile the model again")
    return runner
