"""Many images through one model: read ahead, seen in batches of one size, and written in the background."""

import collections
import dataclasses
import math
import os
import pathlib
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import keras
import numpy as np

from tfseg import drawing
from tfseg.images import MAX_PIXELS, image_size, read_image
from tfseg.layers.metadata import ModelMetadata, metadata
from tfseg.prediction.folders import ImageTask
from tfseg.prediction.model import predict_batch
from tfseg.prediction.windows import slide, views
from tfseg.preprocessing import preprocess
from tfseg.types import Preprocessing, Size
from tfseg.writing import atomic

CHUNK = 32  # tasks that may share batches: whoever works on a chunk makes the same batches of it
_LONGEST_SIDE = 60_000  # pixels of an overlay with its legend: a JPEG has at most 65,535
_THREADS = min(8, os.cpu_count() or 1)

TaskResult = tuple[pathlib.Path, str | None]
"""The path of an image, and why it failed; None if its files are written."""

ReadImage = np.ndarray | Exception | None
"""An image, or what reading it raised; None for a large image, which is read when it has the memory to itself."""


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
    """

    preprocessing: Preprocessing
    scales: Sequence[float] = (1.0,)
    flip: bool = False
    window: Size | None = None
    overlap: float = 1 / 3
    pixels: int = 2**22
    max_pixels: int = MAX_PIXELS

    def check(self) -> None:
        """Raises ValueError now for what would otherwise fail for every image."""
        if min(self.pixels, self.max_pixels) < 1:
            raise ValueError(f"pixels and max_pixels are at least 1. Received: {self.pixels} and {self.max_pixels}")
        black = np.zeros((1, 1, 1, 3), "uint8")
        preprocess(black, self.preprocessing)
        slide(views(lambda images: images, self.scales, self.flip), black, self.window or (1, 1), self.overlap)


Cluster = Callable[[keras.Model, list[ImageTask], PredictionSettings], Generator[TaskResult, None, None]]
"""Who works on the tasks of a folder: `predict_tasks` in this process, or `tfseg.prediction.ray.Ray`."""


def predict_tasks(
    model: keras.Model, tasks: Iterable[ImageTask], settings: PredictionSettings
) -> Generator[TaskResult, None, None]:
    """Yields `(image, None)` when the files of a task are written, and `(image, reason)` if it failed.

    Threads read images before the model needs them, and write results while it computes.

    Args:
        model: segmentation model.
        tasks: images, and the files to write for them.
        settings: how the model sees the images.
    Raises:
        OSError: results cannot be written.
    """
    facts = metadata(model)
    reading, writing = (ThreadPoolExecutor(_THREADS) for _ in range(2))
    unwritten: collections.deque[tuple[pathlib.Path, Future[None]]] = collections.deque()
    try:
        for batch in _batches(_read_ahead(reading, tasks, settings), settings.pixels):
            try:
                images, classes = _predicted(model, batch, settings)
            except Exception as error:  # a broken file raises nearly anything, and must not end a long run
                reason = _reason(error)
                yield from ((task.image, reason) for task, _ in batch)
                continue
            for (task, _), image, mask in zip(batch, images, classes, strict=True):
                unwritten.append((task.image, writing.submit(_write, task, image, mask, facts, settings.pixels)))
            # Large images are written before the next one is read: two may not fit in memory.
            most_unwritten = 0 if classes[0].size > settings.pixels else CHUNK
            del batch, images, classes, image, mask
            while unwritten and (len(unwritten) > most_unwritten or unwritten[0][1].done()):
                yield _written(*unwritten.popleft())
        while unwritten:
            yield _written(*unwritten.popleft())
    finally:  # also after Ctrl-C: files that are begun are finished
        for pool in (reading, writing):
            pool.shutdown(cancel_futures=True)


# Lines in which TensorFlow says where an error happened; they come before the line that says what happened.
_WHERE = re.compile(r'\s*$|Graph execution error|Detected at node|  File "|<stack traces')


def _reason(error: Exception) -> str:
    """The line of an error message that says what happened."""
    lines = [line for line in str(error).splitlines() if not _WHERE.match(line)]
    return lines[0] if lines else type(error).__name__


def _written(image: pathlib.Path, future: Future[None]) -> TaskResult:
    future.result()
    return image, None


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
        width, height = image_size(path)
        if settings.pixels < width * height <= settings.max_pixels:
            return None
        return read_image(path, max_pixels=settings.max_pixels)
    except Exception as error:
        return error


Batch = list[tuple[ImageTask, ReadImage]]


def _batches(read: Iterable[tuple[ImageTask, Future[ReadImage]]], limit: int) -> Iterator[Batch]:
    """Yields tasks with images of one size, up to `limit` pixels together. A task without an image is a batch."""
    groups: dict[tuple[int, ...], Batch] = {}
    for count, (task, future) in enumerate(read, 1):
        image = future.result()
        if isinstance(image, np.ndarray):
            group = groups.setdefault(image.shape, [])
            group.append((task, image))
            if (len(group) + 1) * image[..., 0].size > limit:
                yield groups.pop(image.shape)
        else:
            yield [(task, image)]
        if count % CHUNK == 0:
            yield from groups.values()
            groups = {}
    yield from groups.values()


def _predicted(model: keras.Model, batch: Batch, settings: PredictionSettings) -> tuple[np.ndarray, np.ndarray]:
    """Images `(batch, height, width, 3)` and their classes `(batch, height, width)`."""
    arrays = []
    for task, image in batch:
        if isinstance(image, Exception):
            raise image
        arrays.append(read_image(task.image, max_pixels=settings.max_pixels) if image is None else image)
    images = arrays[0][None] if len(arrays) == 1 else np.stack(arrays)
    window = settings.window
    if window is None and images[0, ..., 0].size > settings.pixels:
        window = (math.isqrt(settings.pixels), math.isqrt(settings.pixels))
    classes = predict_batch(
        model,
        images,
        settings.preprocessing,
        scales=settings.scales,
        flip=settings.flip,
        window=window,
        overlap=settings.overlap,
    )
    return images, classes


def _write(task: ImageTask, image: np.ndarray, classes: np.ndarray, facts: ModelMetadata, limit: int) -> None:
    """Writes the files of a task. If the image has more than `limit` pixels, its overlay shows every n-th pixel."""
    if task.overlay:
        step = math.ceil(max(math.sqrt(classes.size / limit), max(classes.shape) / _LONGEST_SIDE))
        picture = drawing.overlay(image[::step, ::step], classes[::step, ::step], facts["colors"], facts["classes"])
        with atomic(task.overlay, overwrite=True) as unfinished:
            picture.save(unfinished, quality=92)
    if task.mask:
        with atomic(task.mask, overwrite=True) as unfinished:
            drawing.write_mask(unfinished, classes, facts["colors"])
