"""Many images through one model: read ahead, seen in batches of one size, and written in the background."""

import collections
import dataclasses
import math
import os
import pathlib
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import keras
import numpy as np

from tfseg import drawing, specs
from tfseg.drawing.overlays import check_alpha
from tfseg.engines.runner import EngineRunner, checked_runner
from tfseg.engines.table import check_engine
from tfseg.georeference import TIFF_SUFFIXES, write_mask_tiff
from tfseg.images import MAX_PIXELS, image_size, read_image
from tfseg.layers.metadata import ModelMetadata, metadata
from tfseg.left_out import warn_of_left_out
from tfseg.missing_data import NoData, black_border, check_no_data, missing_pixels
from tfseg.outputs import logits_of
from tfseg.prediction.fingerprint import ImageMark, image_mark, plain
from tfseg.prediction.folders import ImageTask
from tfseg.prediction.model import predict_batch, predict_probabilities, with_void
from tfseg.prediction.probabilities import check_threshold, sure_classes, void_of
from tfseg.prediction.windows import slide, views
from tfseg.preprocessing import channels_of, is_stored, preprocess
from tfseg.stored_channels import channels_size, read_channels
from tfseg.types import Preprocessing, Size
from tfseg.writing import atomic

CHUNK = 32  # tasks that may share batches: whoever works on a chunk makes the same batches of it
_LONGEST_SIDE = 60_000  # pixels of an overlay with its legend: a JPEG has at most 65,535
_THREADS = min(8, os.cpu_count() or 1)


class TaskResult(NamedTuple):
    """What became of a task.

    Attributes:
        image: path of the image.
        reason: why it failed; None if its files are written.
        mark: what tells the image that was read from another one; None if it failed.
    """

    image: pathlib.Path
    reason: str | None
    mark: ImageMark | None = None


class ReadImage(NamedTuple):
    """An image as it was read.

    Attributes:
        pixels: the image, or what reading it raised; None for a large image, which is read when it has the memory to
            itself.
        mark: what tells the file from another one, from before it was read.
        missing: which pixels have no data, booleans `(height, width)`; None: all have some.
    """

    pixels: np.ndarray | Exception | None
    mark: ImageMark | None = None
    missing: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class PredictionSettings:
    """How the model sees the images of a folder.

    Attributes:
        preprocessing: a name of `tfseg.specs.PREPROCESSING`, or a dictionary like those in it.
        scales: factors by which the sides of an image are resized.
        flip: whether the model sees the mirrored image, too.
        window: `(height, width)` of the window that slides over a larger image. None: the whole image, or a window of
            `pixels` if the image has more.
        overlap: how much of its side a window shares with the next one, at least 0 and below 1.
        pixels: number of pixels that the model sees at once.
        max_pixels: largest number of pixels of an image; larger images fail.
        threshold: smallest probability of a class; less probable pixels become void. None: every pixel has a class.
        image_bits: bits of images in files of 16 bits, such as 12; None: 16.
        no_data: value of pixels without data, which become void; None: what a TIFF says; "none": there are none.
        engine: what computes the logits: a name, "auto", or None for the model itself, see `tfseg.predict`.
        explain: whether to print which engine computes, and why.
        alpha: weight of the colors in overlays, see `tfseg.drawing.overlay`.
        side_by_side: whether the image itself stands beside its overlay.
    """

    preprocessing: Preprocessing
    scales: Sequence[float] = (1.0,)
    flip: bool = False
    window: Size | None = None
    overlap: float = 1 / 3
    pixels: int = 2**22
    max_pixels: int = MAX_PIXELS
    threshold: float | None = None
    image_bits: int | None = None
    no_data: NoData = None
    engine: EngineRunner | str | None = None
    explain: bool = False
    alpha: float = drawing.ALPHA
    side_by_side: bool = False

    def check(self) -> None:
        """Raises ValueError now for what would otherwise fail for every image."""
        if min(self.pixels, self.max_pixels) < 1:
            raise ValueError(f"pixels and max_pixels are at least 1. Received: {self.pixels} and {self.max_pixels}")
        check_threshold(self.threshold)
        if isinstance(self.engine, str):
            check_engine(self.engine)
        check_no_data(self.no_data)
        check_alpha(self.alpha)
        if self.image_bits is not None and not 8 <= self.image_bits <= 16:
            raise ValueError(f"Images in files of 16 bits have 8 to 16 bits. Received: image_bits={self.image_bits}")
        if self.image_bits is not None and is_stored(self.preprocessing):
            raise ValueError("The model takes images as they are stored, so that image_bits= changes nothing")
        black = np.zeros((1, 1, 1, channels_of(self.preprocessing)), "uint8")
        preprocess(black, self.preprocessing)
        slide(views(lambda images: images, self.scales, self.flip), black, self.window or (1, 1), self.overlap)

    def that_change_results(self) -> dict[str, Any]:
        """The settings on which results depend, as JSON stores them."""
        preprocessing = self.preprocessing
        named = specs.PREPROCESSING.get(preprocessing) if isinstance(preprocessing, str) else preprocessing
        values = dataclasses.asdict(dataclasses.replace(self, preprocessing=named or preprocessing, engine=None))
        # Results of runs before these existed stay what they are.
        for name, default in (("no_data", None), ("alpha", drawing.ALPHA), ("side_by_side", False)):
            if values[name] == default:
                del values[name]
        if isinstance(self.engine, EngineRunner) and self.engine.dtype != "float32":  # others change rounding alone
            values["dtype"] = self.engine.dtype
        return plain({name: value for name, value in values.items() if name not in ("max_pixels", "engine", "explain")})

    def read(self, path: pathlib.Path) -> tuple[np.ndarray, np.ndarray | None]:
        """An image as the model takes it, and which of its pixels have no data; None: all have some.

        Args:
            path: path of the file.
        Raises:
            ValueError, OSError: it cannot be read.
        """
        if is_stored(self.preprocessing):
            channels = channels_of(self.preprocessing)
            image = read_channels(path, channels, no_data=self.no_data, max_pixels=self.max_pixels)
            return image, missing_pixels(image)
        image = read_image(path, max_pixels=self.max_pixels, bits=self.image_bits)
        warn_of_left_out(path)
        return image, black_border(path, image, self.no_data)

    def size(self, path: pathlib.Path) -> tuple[int, int]:
        """`(width, height)` of an image, of which nothing is decoded.

        Args:
            path: path of the file.
        """
        return channels_size(path) if is_stored(self.preprocessing) else image_size(path)


Cluster = Callable[[keras.Model, Sequence[ImageTask], PredictionSettings], Generator[TaskResult, None, None]]
"""Who works on the tasks of a folder: `predict_tasks` in this process, or `tfseg.prediction.ray.Ray`."""


def predict_tasks(
    model: keras.Model, tasks: Iterable[ImageTask], settings: PredictionSettings
) -> Generator[TaskResult, None, None]:
    """Yields a `TaskResult` when the files of a task are written, or when it failed.

    Threads read images before the model needs them, and write results while it computes.

    Args:
        model: segmentation model.
        tasks: images, and the files to write for them.
        settings: how the model sees the images.
    Raises:
        OSError: results cannot be written.
    """
    facts = _with_void(metadata(model), logits_of(model.output).shape[-1])
    engine = checked_runner(model, settings.engine, explain=settings.explain)
    reading, writing = (ThreadPoolExecutor(_THREADS) for _ in range(2))
    unwritten: collections.deque[tuple[TaskResult, Future[None]]] = collections.deque()
    try:
        for batch in _batches(_read_ahead(reading, tasks, settings), settings.pixels):
            try:
                images, classes, probabilities = _predicted(model, batch, settings, engine)
            except Exception as error:  # a broken file raises nearly anything, and must not end a long run
                reason = _reason(error)
                yield from (TaskResult(task.image, reason) for task, _ in batch)
                continue
            for index, (task, read) in enumerate(batch):
                result = TaskResult(task.image, None, read.mark)
                part = None if probabilities is None else probabilities[index]
                unwritten.append(
                    (result, writing.submit(_write, task, images[index], classes[index], part, facts, settings))
                )
            # Large images are written before the next one is read: two may not fit in memory.
            large = classes[0].size > settings.pixels or probabilities is not None
            most_unwritten = 0 if large else CHUNK
            del batch, images, classes, probabilities, read, part
            while unwritten and (len(unwritten) > most_unwritten or unwritten[0][1].done()):
                yield _written(*unwritten.popleft())
        while unwritten:
            yield _written(*unwritten.popleft())
    finally:  # also after Ctrl-C: files that are begun are finished
        for pool in (reading, writing):
            pool.shutdown(cancel_futures=True)


def _with_void(facts: ModelMetadata, num_classes: int) -> ModelMetadata:
    """Metadata in which void has a name, for the legend."""
    void, names = void_of(num_classes), facts["classes"] or []
    numbered = [f"class {index}" for index in range(len(names), void)]
    return {**facts, "classes": [*names, *numbered, "void"]}


# Lines in which TensorFlow says where an error happened; they come before the line that says what happened.
_WHERE = re.compile(r'\s*$|Graph execution error|Detected at node|  File "|<stack traces')


def _reason(error: Exception) -> str:
    """The line of an error message that says what happened."""
    lines = [line for line in str(error).splitlines() if not _WHERE.match(line)]
    return lines[0] if lines else type(error).__name__


def _written(result: TaskResult, future: Future[None]) -> TaskResult:
    future.result()
    return result


def _read_ahead(
    pool: ThreadPoolExecutor, tasks: Iterable[ImageTask], settings: PredictionSettings
) -> Iterator[tuple[ImageTask, Future[ReadImage]]]:
    """Yields tasks and the futures of their images in order, a chunk after what is being read."""
    waiting: collections.deque[tuple[ImageTask, Future[ReadImage]]] = collections.deque()
    for task in tasks:
        waiting.append((task, pool.submit(_read, task.image, settings)))
        if len(waiting) > CHUNK:
            yield waiting.popleft()
    while waiting:
        yield waiting.popleft()


def _read(path: pathlib.Path, settings: PredictionSettings) -> ReadImage:
    try:
        mark = image_mark(path)  # before it is read: a file that changes meanwhile is another one the next time
        width, height = settings.size(path)
        if settings.pixels < width * height <= settings.max_pixels:
            return ReadImage(None, mark)
        pixels, missing = settings.read(path)
        return ReadImage(pixels, mark, missing)
    except Exception as error:
        return ReadImage(error)


Batch = list[tuple[ImageTask, ReadImage]]


def _batches(reading: Iterable[tuple[ImageTask, Future[ReadImage]]], limit: int) -> Iterator[Batch]:
    """Yields tasks with images of one size, up to `limit` pixels together. A task without an image is a batch."""
    groups: dict[tuple[int, ...], Batch] = {}
    for count, (task, future) in enumerate(reading, 1):
        read = future.result()
        if isinstance(read.pixels, np.ndarray):
            shape = read.pixels.shape
            group = groups.setdefault(shape, [])
            group.append((task, read))
            if (len(group) + 1) * read.pixels[..., 0].size > limit:
                yield groups.pop(shape)
        else:
            yield [(task, read)]
        if count % CHUNK == 0:
            yield from groups.values()
            groups = {}
    yield from groups.values()


def _predicted(
    model: keras.Model, batch: Batch, settings: PredictionSettings, engine: EngineRunner | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Images `(batch, height, width, channels)`, their classes, and their probabilities if wanted."""
    arrays, without_data = [], []
    for task, read in batch:
        if isinstance(read.pixels, Exception):
            raise read.pixels
        pixels, missing = settings.read(task.image) if read.pixels is None else (read.pixels, read.missing)
        arrays.append(pixels)
        without_data.append(np.zeros(pixels.shape[:2], bool) if missing is None else missing)
    images = arrays[0][None] if len(arrays) == 1 else np.stack(arrays)
    missing = np.stack(without_data) if any(map(np.any, without_data)) else None
    window = settings.window
    if window is None and images[0, ..., 0].size > settings.pixels:
        window = (math.isqrt(settings.pixels), math.isqrt(settings.pixels))
    how: dict[str, Any] = {"scales": settings.scales, "flip": settings.flip}
    how |= {"window": window, "overlap": settings.overlap, "engine": engine}
    if any(task.probabilities for task, _ in batch):
        probabilities = predict_probabilities(model, images, settings.preprocessing, **how)
        return images, with_void(sure_classes(probabilities, settings.threshold), missing, model), probabilities
    classes = predict_batch(model, images, settings.preprocessing, **how, threshold=settings.threshold)
    return images, with_void(classes, missing, model), None


def _write(
    task: ImageTask,
    image: np.ndarray,
    classes: np.ndarray,
    probabilities: np.ndarray | None,
    facts: ModelMetadata,
    settings: PredictionSettings,
) -> None:
    """Writes the files of a task. The overlay of an image of more than `pixels` pixels shows every n-th one."""
    if task.probabilities and probabilities is not None:
        with atomic(task.probabilities, overwrite=True, sweep=False) as unfinished:
            np.save(unfinished, probabilities)
    if task.overlay:
        longest = _LONGEST_SIDE // (1 + settings.side_by_side)
        step = math.ceil(max(math.sqrt(classes.size / settings.pixels), max(classes.shape) / longest))
        small = drawing.as_photograph(image[::step, ::step]), classes[::step, ::step]
        picture = drawing.overlay(
            *small,
            facts["colors"],
            facts["classes"],
            settings.alpha,
            side_by_side=settings.side_by_side,
            void=len(facts["classes"] or ()) - 1,  # the last name is its own
        )
        with atomic(task.overlay, overwrite=True, sweep=False) as unfinished:
            picture.save(unfinished, quality=92)
    if task.mask:
        with atomic(task.mask, overwrite=True, sweep=False) as unfinished:
            if task.mask.suffix in TIFF_SUFFIXES:
                void = len(facts["classes"] or ()) - 1  # the last name is its own
                no_data = void if void <= np.iinfo(classes.dtype).max else None
                write_mask_tiff(unfinished, classes, task.image, colors=facts["colors"], no_data=no_data)
            else:
                drawing.write_mask(unfinished, classes, facts["colors"])
