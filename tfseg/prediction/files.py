"""A folder of any size through one model, in this process or on a cluster."""

import contextlib
import json
import pathlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import keras

from tfseg.images import MAX_PIXELS, find_images
from tfseg.prediction import folders
from tfseg.prediction.batches import Cluster, PredictionSettings, predict_tasks
from tfseg.prediction.model import check_segmenter, preprocessing_of
from tfseg.progress import ProgressOption, track
from tfseg.types import Path, Preprocessing, Size
from tfseg.writing import atomic, remove_unfinished


class PredictionOutcome(NamedTuple):
    """What `predict_files` did.

    Attributes:
        predicted: how many images were predicted.
        kept: how many images had their results already.
        failed: sorted `(path, reason)` of the images that could not be read or predicted.
        failures: the file that lists the failed images; None if there are none.
    """

    predicted: int
    kept: int
    failed: list[tuple[pathlib.Path, str]]
    failures: pathlib.Path | None


def predict_files(
    model: keras.Model,
    images: Path | Iterable[Path],
    out: Path,
    *,
    shard: tuple[int, int] = (0, 1),
    overlays: bool = True,
    overwrite: bool = False,
    preprocessing: Preprocessing | None = None,
    cluster: Cluster | None = None,
    progress: ProgressOption = True,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    window: Size | None = None,
    overlap: float = 1 / 3,
    pixels: int = 2**22,
    max_pixels: int = MAX_PIXELS,
) -> PredictionOutcome:
    """Masks and overlays of a folder of any size. An interrupted run continues where it stopped.

    Writes `out/<stem>.png`, a mask whose values are the classes, and `out/<stem>_overlay.jpg`; a file is whole or not
    there. Results that exist are kept. Images that failed are listed in `out/failures.json`, or for a shard in
    `failures-0-of-4.json`; the next run tries them again.

    Args:
        model: segmentation model; its class names and colors are used.
        images: a directory of images, a file, a pattern of files such as `photos/**/*.jpg`, or several of these.
        out: directory of the results; it is created if it does not exist. Here and in `images`, `~` is the home
            directory.
        shard: `(i, n)`: every n-th image from the i-th on, for n runs on one machine or several.
        overlays: whether to draw overlays, or to write masks alone.
        overwrite: whether to replace results that exist.
        preprocessing: a name of `tfseg.specs.PREPROCESSING`, or a dictionary like those in it; by default, the one that
            the model carries.
        cluster: who works on the images: None for this process, or a `tfseg.prediction.ray.Ray`.
        progress: True shows on stderr how many images are done, how fast, and the time left. A function is called with
            the numbers of images done and in all.
        scales: factors by which the sides of an image are resized; the probabilities at all scales are averaged.
        flip: whether the model sees the mirrored image, too.
        window: `(height, width)` in pixels of the window that slides over a larger image, see `tfseg.predict`.
        overlap: how much of its side a window shares with the next one, at least 0 and below 1.
        pixels: number of pixels that the model sees at once. Images of one size share a batch up to it. Without a
            `window`, a larger image is seen through windows of that many pixels, and its overlay is drawn smaller.
        max_pixels: largest number of pixels of an image, see `tfseg.read_image`; larger images fail.
    Raises:
        ValueError: there are no images, two images would become one file, or the model or an argument is invalid.
        OSError: results cannot be written.

    Example:
        >>> model = tfseg.load("street.pth")
        >>> outcome = tfseg.predict_files(model, "street.png", "maps", progress=False)
        >>> outcome.predicted, outcome.kept, outcome.failed
        (1, 0, [])
        >>> sorted(path.name for path in pathlib.Path("maps").iterdir())
        ['street.png', 'street_overlay.jpg']
    """
    check_segmenter(model)
    if cluster is not None and not callable(cluster):
        raise ValueError(f"cluster is None or a tfseg.prediction.ray.Ray. Received: {cluster!r}")
    settings = PredictionSettings(
        preprocessing or preprocessing_of(model), scales, flip, window, overlap, pixels, max_pixels
    )
    settings.check()
    paths, out = find_images(images), pathlib.Path(out).expanduser()
    folders.check_images(paths, out)  # all of them, so that every shard refuses the same folder
    selected = folders.share(paths, shard)
    tasks = folders.plan(selected, out, overlays=overlays, overwrite=overwrite)
    failed = []
    if tasks:
        out.mkdir(parents=True, exist_ok=True)
        with contextlib.closing((cluster or predict_tasks)(model, tasks, settings)) as results:
            for image, reason in track(results, progress, total=len(tasks)):
                if reason:
                    failed.append((image, reason))
        remove_unfinished(path for task in tasks for path in (task.mask, task.overlay) if path)
    failed.sort()
    name = "failures.json" if shard[1] == 1 else f"failures-{shard[0]}-of-{shard[1]}.json"
    failures = _list_failures(out / name, failed)
    return PredictionOutcome(len(tasks) - len(failed), len(selected) - len(tasks), failed, failures)


def _list_failures(path: pathlib.Path, failed: list[tuple[pathlib.Path, str]]) -> pathlib.Path | None:
    """Writes `{image: reason}` and returns the path; without failures, the list of an earlier run is removed."""
    if not failed:
        path.unlink(missing_ok=True)
        return None
    with atomic(path, overwrite=True) as unfinished:
        unfinished.write_text(json.dumps({str(image): reason for image, reason in failed}, indent=1))
    return path
