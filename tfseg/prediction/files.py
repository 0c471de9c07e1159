"""A folder of any size through one model, in this process or on a cluster."""

import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable, Sequence

import keras

from tfseg.drawing import ALPHA
from tfseg.engines.runner import EngineRunner
from tfseg.garbage import uncollected
from tfseg.halves import sweep_directories
from tfseg.image_search import search
from tfseg.images import IMAGE_SUFFIXES, MAX_PIXELS
from tfseg.missing_data import NoData
from tfseg.prediction import folders
from tfseg.prediction.batches import Cluster, PredictionSettings, predict_tasks
from tfseg.prediction.fingerprint import model_mark
from tfseg.prediction.model import check_channels, preprocessing_of
from tfseg.prediction.probabilities import check_probabilities
from tfseg.prediction.provenance import Provenance
from tfseg.prediction.records import PREFIX, Records
from tfseg.preprocessing import is_stored
from tfseg.progress import ProgressOption, track
from tfseg.stored_channels import SUFFIXES
from tfseg.types import Path, Preprocessing, Size
from tfseg.writing import atomic


@dataclasses.dataclass(frozen=True)
class PredictionOutcome:
    """What `predict_files` did.

    Attributes:
        predicted: how many images were predicted.
        kept: how many images had their results already.
        failed: sorted `(path, reason)` of the images that could not be read or predicted.
        failures: the file that lists the failed images; None if there are none.
        renewed: how many of the predicted images had results from another image, model or settings.
        unverified: sorted paths of results that were kept although it is unknown what they were made from: no run has
            written them, or they were changed afterwards.
        left_out: sorted paths of the files in directories that are no images by their suffix, and of directories that
            were not entered.
    """

    predicted: int
    kept: int
    failed: list[tuple[pathlib.Path, str]]
    failures: pathlib.Path | None
    renewed: int = 0
    unverified: list[pathlib.Path] = dataclasses.field(default_factory=list)
    left_out: list[pathlib.Path] = dataclasses.field(default_factory=list)


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
    threshold: float | None = None,
    probabilities: bool = False,
    image_bits: int | None = None,
    no_data: NoData = None,
    engine: EngineRunner | str | None = None,
    explain: bool = False,
    alpha: float = ALPHA,
    side_by_side: bool = False,
) -> PredictionOutcome:
    """Masks and overlays of a folder of any size. An interrupted run continues where it stopped.

    Writes `out/<stem>.png`, a mask whose values are the classes, and `out/<stem>_overlay.jpg`; a file is whole or not
    there. An image in a folder below the directory, or below the fixed beginning of a pattern, gets its results in the
    same folder of `out`. The mask of a GeoTIFF is `out/<stem>.tif`, with its place on Earth. Pixels without data become
    void, which is 255, or 65535 if there are more than 255 classes.

    Results that exist are kept if they were made from the same image and model and with the same settings; otherwise
    they are made again. The hidden files `out/.tfseg-results*.jsonl` say what each was made from. A file that no run
    has written, or that was changed afterwards, is never replaced without `overwrite`. Images that failed are listed in
    `out/failures.json`, or for a shard in `failures-0-of-4.json`; the next run tries them again.

    Args:
        model: segmentation model; its class names and colors are used.
        images: a directory with images at any depth, a file, a pattern of files such as `photos/**/*.jpg`, or several
            of these. Hidden directories and directories of results are not searched.
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
        threshold: smallest probability of a class, see `tfseg.predict`; less probable pixels become void.
        probabilities: whether to write `out/<stem>_probabilities.npy`, too: float32 `(height, width, num_classes)`. The
            memory must hold them for a whole image, and twice for images of one batch.
        image_bits: bits of images in files of 16 bits, such as 12, see `bits` of `tfseg.read_image`; None: 16.
        no_data: value of pixels without data; None: what a TIFF says; "none": all pixels have data.
        engine: what computes the logits: a name, the result of `tfseg.compile`, or None for the model itself, see
            `tfseg.predict`. "auto" measures the engines once the model has computed for 20 seconds, so that a short
            run is never longer for it. On a Ray cluster, every worker has its own.
        explain: whether to print which engine computes, and why.
        alpha: weight of the colors in overlays, 0..1, see `tfseg.drawing.overlay`.
        side_by_side: whether the image itself stands beside its overlay.
    Raises:
        ValueError: there are no images, two images would become one file, or the model or an argument is invalid.
        OSError: results cannot be written.

    Example:
        >>> model = tfseg.load("street.pth")
        >>> outcome = tfseg.predict_files(model, "street.png", "maps", progress=False)
        >>> outcome.predicted, outcome.kept, outcome.failed
        (1, 0, [])
        >>> sorted(path.name for path in pathlib.Path("maps").glob("[!.]*"))
        ['street.png', 'street_overlay.jpg']
    """
    preprocessing = preprocessing or preprocessing_of(model)
    check_channels(model, preprocessing)
    if cluster is not None and not callable(cluster):
        raise ValueError(f"cluster is None or a tfseg.prediction.ray.Ray. Received: {cluster!r}")
    if cluster is not None and isinstance(engine, EngineRunner):
        raise ValueError("A compiled model stays in this process: give a cluster the name of an engine, engine='auto'")
    if probabilities or threshold is not None:
        check_probabilities(model)
    settings = PredictionSettings(
        preprocessing,
        scales,
        flip,
        window,
        overlap,
        pixels,
        max_pixels,
        threshold,
        image_bits,
        no_data,
        engine,
        explain,
        alpha,
        side_by_side,
    )
    settings.check()
    out = pathlib.Path(out).expanduser()
    suffixes = SUFFIXES if is_stored(preprocessing) else IMAGE_SUFFIXES
    with uncollected():  # a million paths
        places = search(images, without=[out], marker=PREFIX, suffixes=suffixes)
        folders.check_images(places.folders, out)  # all of them, so that every shard refuses the same folder
        selected = folders.share(list(places.folders), shard)
    share = "" if shard[1] == 1 else f"-{shard[0]}-of-{shard[1]}"
    provenance = Provenance(Records(out), model_mark(model), settings.that_change_results())
    with uncollected():
        tasks = folders.plan(
            selected,
            places.folders,
            out,
            overlays=overlays,
            probabilities=probabilities,
            needed=(lambda image, result: True) if overwrite else provenance.is_outdated,
        )
    failed = _predict(model, tasks, settings, provenance, share, cluster or predict_tasks, progress) if tasks else []
    failures = _list_failures(out / f"failures{share}.json", failed)
    return PredictionOutcome(
        predicted=len(tasks) - len(failed),
        kept=len(selected) - len(tasks),
        failed=failed,
        failures=failures,
        renewed=len(provenance.renewed - {image for image, _ in failed}),
        unverified=sorted(provenance.unverified),
        left_out=places.left_out,
    )


def _predict(
    model: keras.Model,
    tasks: folders.Tasks,
    settings: PredictionSettings,
    provenance: Provenance,
    share: str,
    cluster: Cluster,
    progress: ProgressOption,
) -> list[tuple[pathlib.Path, str]]:
    """Writes the files of the tasks and their record; returns the failed images and the reasons, sorted."""
    failed = []
    provenance.records.directory.mkdir(parents=True, exist_ok=True)
    for directory in tasks.directories():
        os.makedirs(directory, exist_ok=True)
    with uncollected():
        record = provenance.records.begin(share, tasks.results(), provenance.model, provenance.settings)
    with (
        record as journal,
        contextlib.closing(cluster(model, tasks, settings)) as results,
    ):
        for image, reason, mark in track(results, progress, total=len(tasks)):
            task = tasks.of(str(image))
            if reason:
                failed.append((task.image, reason))
            elif mark:
                for result in task.results:
                    journal.add(result, mark)
    sweep_directories(tasks.directories(), lambda: (provenance.records.directory / name for name in tasks.results()))
    return sorted(failed)


def _list_failures(path: pathlib.Path, failed: list[tuple[pathlib.Path, str]]) -> pathlib.Path | None:
    """Writes `{image: reason}` and returns the path; without failures, the list of an earlier run is removed."""
    if not failed:
        path.unlink(missing_ok=True)
        return None
    with atomic(path, overwrite=True) as unfinished:
        unfinished.write_text(json.dumps({str(image): reason for image, reason in failed}, indent=1))
    return path
