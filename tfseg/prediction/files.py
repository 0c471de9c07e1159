"""Many photographs through one model: read ahead, seen in batches of one size, written behind."""

import collections
import concurrent.futures
import contextlib
import json
import math
import os
import pathlib
import re
from typing import NamedTuple

import numpy as np

from tfseg import drawing
from tfseg.images import MAX_PIXELS, find_images, image_size, read_image
from tfseg.layers import metadata
from tfseg.prediction import folders
from tfseg.prediction.model import check_segmenter, class_maps, preprocessing_of
from tfseg.prediction.windows import slide, views
from tfseg.preprocessing import preprocess
from tfseg.progress import track
from tfseg.writing import replacing

CHUNK = 32  # jobs that may share batches: wherever a chunk is worked on, its batches are the same
_SIDE = 60_000  # pixels of an overlay with its legend: a JPEG ends at 65,535
_THREADS = min(8, os.cpu_count() or 1)


class Outcome(NamedTuple):
    """What became of a folder.

    Attributes:
        predicted: how many images were predicted.
        kept: how many had their results already.
        failed: sorted `(path, reason)` of the images that could not be read or predicted.
        failures: the file that lists them; None if there are none.
    """

    predicted: int
    kept: int
    failed: list
    failures: pathlib.Path | None


class Settings(NamedTuple):
    """How images are seen, as in `predict_files`."""

    preprocessing: object
    scales: tuple = (1.0,)
    flip: bool = False
    window: tuple | None = None
    overlap: float = 1 / 3
    pixels: int = 2**22
    max_pixels: int = MAX_PIXELS

    def check(self):
        """Raises ValueError now for what every image would stumble over."""
        if min(self.pixels, self.max_pixels) < 1:
            raise ValueError(f"pixels and max_pixels are at least 1. Received: {self.pixels} and {self.max_pixels}")
        one = np.zeros((1, 1, 1, 3), "uint8")
        preprocess(one, self.preprocessing)
        slide(views(None, self.scales, self.flip), one, self.window or (1, 1), self.overlap)


def predict_files(
    model,
    pattern,
    out,
    *,
    shard=(0, 1),
    overlays=True,
    overwrite=False,
    preprocessing=None,
    engine=None,
    progress=True,
    **seeing,
):
    """Masks and overlays of a folder of any size, written so that an interrupted run goes on where it stopped.

    Writes `out/<stem>.png`, a mask whose values are the classes, and `out/<stem>_overlay.jpg`, whole files or none.
    Results that exist are kept. What failed is listed in `out/failures.json` (of a shard: `failures-0-of-4.json`), and
    tried again by the next run.

    Args:
        model: segmenter; its class names and colours are used.
        pattern: a directory of pictures, or a pattern of files, as `photos/**/*.jpg`.
        out: directory of the results, made if need be.
        shard: `(i, n)`: every n-th image from the i-th on, for n runs on one machine or several.
        overlays: whether there are overlays, or masks alone.
        overwrite: whether results that exist are made anew.
        preprocessing: as in `tfseg.predict`.
        engine: what works on it: None, this process; or a `tfseg.prediction.ray.Ray`.
        progress: whether stderr tells how far it is, how fast, and the time left.
        **seeing: `scales`, `flip`, `window`, `overlap` as in `tfseg.predict`;
            `pixels` that the model sees at once, 4 million by default: images of one size share a batch up to it, and
            without a `window` a larger image is seen through windows of so many pixels; its overlay is drawn smaller;
            `max_pixels` of an image, as in `tfseg.read_image`: an image of more fails.
    Returns: `Outcome`.
    Raises:
        ValueError: no images, images that would become one file, or what is wrong with the model or the arguments.
        OSError: results cannot be written.
    """
    check_segmenter(model)
    settings = Settings(preprocessing or preprocessing_of(model), **seeing)
    settings.check()
    images, out = find_images(pattern), pathlib.Path(out)
    folders.check(images, out)  # all shards alike
    images = folders.share(images, shard)
    jobs = folders.plan(images, out, overlays=overlays, overwrite=overwrite)
    failed = []
    if jobs:
        out.mkdir(parents=True, exist_ok=True)
        with contextlib.closing((engine or predict_jobs)(model, jobs, settings)) as results:
            for image, reason in track(results, progress, total=len(jobs)):
                if reason:
                    failed.append((image, reason))
        folders.sweep(jobs)
    failed.sort()
    name = "failures.json" if shard[1] == 1 else f"failures-{shard[0]}-of-{shard[1]}.json"
    return Outcome(len(jobs) - len(failed), len(images) - len(jobs), failed, _list_failures(out / name, failed))


def _list_failures(path, failed):
    """Writes `{image: reason}` and returns the path; where there are none, the list of an earlier run vanishes."""
    if not failed:
        return path.unlink(missing_ok=True)
    with replacing(path) as half:
        half.write_text(json.dumps({str(image): reason for image, reason in failed}, indent=1))
    return path


def predict_jobs(model, jobs, settings):
    """Yields `(image, None)` when the files of a job are written, and `(image, reason)` where there will be none.

    Threads read images before the model wants them, and write results behind its back.

    Args:
        model: segmenter.
        jobs: list of `tfseg.prediction.folders.Job`.
        settings: `Settings`.
    Raises:
        OSError: results cannot be written.
    """
    facts = metadata(model)
    reading, writing = (concurrent.futures.ThreadPoolExecutor(_THREADS) for _ in range(2))
    unwritten = collections.deque()
    try:
        for batch in _batches(_read_ahead(reading, jobs, settings), settings.pixels):
            images = [job.image for job, _ in batch]
            try:
                pixels, maps = _maps(model, batch, settings)
            except Exception as error:  # a broken file raises nearly anything, and must not end a long run
                reason = _reason(error)
                yield from ((image, reason) for image in images)
                continue
            for (job, _), *arrays in zip(batch, pixels, maps, strict=True):
                unwritten.append((job.image, writing.submit(_write, job, *arrays, facts, settings.pixels)))
            # Large images are written before the next is read: there may not be room for two.
            room = 0 if maps[0].size > settings.pixels else CHUNK
            del batch, pixels, maps, arrays
            while unwritten and (len(unwritten) > room or unwritten[0][1].done()):
                yield _written(*unwritten.popleft())
        while unwritten:
            yield _written(*unwritten.popleft())
    finally:  # after Ctrl-C too: files that are begun are ended
        for pool in (reading, writing):
            pool.shutdown(cancel_futures=True)


_WHERE = re.compile(r'\s*$|Graph execution error|Detected at node|  File "|<stack traces')


def _reason(error):
    """The line that says what happened: TensorFlow begins with those that say where."""
    lines = [line for line in str(error).splitlines() if not _WHERE.match(line)]
    return lines[0] if lines else type(error).__name__


def _written(image, future):
    future.result()
    return image, None


def _read_ahead(pool, jobs, settings):
    """Yields `(job, future)` in order, a chunk behind what is being read."""
    waiting = collections.deque()
    for job in jobs:
        waiting.append((job, pool.submit(_read, job.image, settings)))
        if len(waiting) > CHUNK:
            yield waiting.popleft()
    while waiting:
        yield waiting.popleft()


def _read(path, settings):
    """Pixels; None for a large image, to be read when it has the memory to itself; or the exception."""
    try:
        width, height = image_size(path)
        if settings.pixels < width * height <= settings.max_pixels:
            return None
        return read_image(path, max_pixels=settings.max_pixels)
    except Exception as error:
        return error


def _batches(read, limit):
    """Yields lists of `(job, pixels)` of one size, up to `limit` pixels together; what are no pixels, alone."""
    groups = {}
    for count, (job, future) in enumerate(read, 1):
        pixels = future.result()
        if isinstance(pixels, np.ndarray):
            group = groups.setdefault(pixels.shape, [])
            group.append((job, pixels))
            if (len(group) + 1) * pixels[..., 0].size > limit:
                yield groups.pop(pixels.shape)
        else:
            yield [(job, pixels)]
        if count % CHUNK == 0:
            yield from groups.values()
            groups = {}
    yield from groups.values()


def _maps(model, batch, settings):
    """Pixels and classes of a batch: `(batch, height, width, 3)` and `(batch, height, width)`."""
    found = [pixels for _, pixels in batch]
    if isinstance(found[0], Exception):
        raise found[0]
    if found[0] is None:
        pixels = read_image(batch[0][0].image, max_pixels=settings.max_pixels)[None]
    else:
        pixels = np.stack(found)
    window = settings.window
    if window is None and pixels[0, ..., 0].size > settings.pixels:
        window = (math.isqrt(settings.pixels),) * 2
    classes = class_maps(
        model,
        pixels,
        settings.preprocessing,
        scales=settings.scales,
        flip=settings.flip,
        window=window,
        overlap=settings.overlap,
    )
    return pixels, classes


def _write(job, pixels, classes, facts, limit):
    """The files of a job; an overlay of more than `limit` pixels shows every second one, or third, and so on."""
    if job.overlay:
        step = math.ceil(max(math.sqrt(classes.size / limit), max(classes.shape) / _SIDE))
        picture = drawing.overlay(pixels[::step, ::step], classes[::step, ::step], facts["colors"], facts["classes"])
        with replacing(job.overlay) as half:
            picture.save(half, quality=92)
    if job.mask:
        with replacing(job.mask) as half:
            drawing.write_mask(half, classes, facts["colors"])
