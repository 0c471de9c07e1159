"""Writes the class of every pixel of every image, and the image under the colors of its classes.

    tfseg predict --model=street.keras photos/*.jpg --output=maps

For photos/NAME.jpg it writes maps/NAME.png, a mask whose pixel values are the classes, and maps/NAME_overlay.jpg. For a
GeoTIFF the mask is NAME.tif, at the same place on Earth, and pixels without data are void, 255.

The folders in a directory are searched, too, as with a quoted pattern that has **. Their results lie in the same
folders.

Results that exist are kept, so that an interrupted run continues where it stopped; those of another image, model or
other settings are made again. Images that failed are listed in maps/failures.json.

On several machines that see the same files, run --shard=0/4 to --shard=3/4, one on each; or use a Ray cluster:

    tfseg predict --cluster=ray --ray_address=auto --model=street.keras photos --output=maps
"""

import importlib.util
import pathlib
from collections.abc import Sequence

from absl import flags

from tfseg_cli import channel_flags, engine_flags, flag_types, path_flags, planned_images
from tfseg_cli.launch import UsageError, check_name, launch
from tfseg_cli.quiet import load_library

_SHOWN = 20  # failures on the screen; failures.json has all
_NAMED = 3  # files that a line names

_MODEL = path_flags.model_source(
    "model",
    "The network: a .keras file, a folder of `tfseg export`, a checkpoint that `tfseg convert` reads, or the name of a "
    "published file.",
)
_PUBLIC = path_flags.public_code()
_IMAGES = path_flags.path_patterns(
    "images", "Images, directories with images at any depth, or quoted patterns, such as 'photos/**/*.jpg'."
)
_OUTPUT = path_flags.output_directory("output", "Directory of the results; it is created if it does not exist.")
_PREPROCESSING = flag_types.text(
    "preprocessing",
    None,
    "How the images are prepared, such as torch or caffe, if the model does not say it: a name of "
    "tfseg.specs.PREPROCESSING.",
)
_OVERLAYS = flags.DEFINE_bool("overlays", True, "Whether to draw overlays, or to write masks alone.")
_ALPHA = flag_types.number(
    "alpha",
    0.4,
    "Weight of the colors in overlays: 0 shows only the image with outlines, 1 the colors.",
    least=0,
    most=1,
)
_SIDE_BY_SIDE = flags.DEFINE_bool("side_by_side", False, "Whether the image itself stands beside its overlay.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Whether to replace results that exist.")
_PROBABILITIES = flags.DEFINE_bool(
    "probabilities",
    False,
    "Whether to write NAME_probabilities.npy, too: the probability of each class, float32, height x width x classes.",
)
_THRESHOLD = flag_types.number(
    "threshold",
    None,
    "Smallest probability of a class, such as 0.5: less probable pixels become void, 255. By default every pixel has a "
    "class.",
    least=0,
    below=1,
)
_SHARD = flag_types.share("shard", (0, 1), "Which images: 0/4 the first of four shares, 3/4 the last; default: all.")
_SCALES = flag_types.numbers("scales", (1.0,), "Sizes at which the model sees an image, such as 0.5,1,1.5.", above=0)
_FLIP = flags.DEFINE_bool("flip", False, "Whether the model sees the mirrored image, too.")
_WINDOW = flag_types.size("window", "Height and width of the window that slides over larger images, in pixels.")
_OVERLAP = flag_types.number(
    "overlap", 1 / 3, "How much of its side a window shares with the next one; default: a third.", least=0, below=1
)
_PIXELS = flag_types.integer(
    "pixels",
    2**22,
    "Number of pixels that the model sees at once: images of one size share a batch, larger ones are seen through "
    "windows.",
    least=1,
)
_MAX_PIXELS = flag_types.integer(
    "max_pixels", 178_956_970, "Largest number of pixels of an image; a larger one is not decoded, and fails.", least=1
)
_IMAGE_BITS = flag_types.integer(
    "image_bits", None, "Bits of images in files of 16 bits, such as 12.", least=8, most=16
)
_NO_DATA = flag_types.no_data(
    "no_data", "Value of pixels without data, which become void; none: all have data. By default what a TIFF says."
)
_CLUSTER = flag_types.choice(
    "cluster", "local", ("local", "ray"), "Who works on the images: this process, or a Ray cluster."
)
_RAY_ADDRESS = flag_types.text(
    "ray_address", None, "Address of the Ray cluster, such as auto; by default a new one on this machine."
)
_WORKERS = flag_types.integer(
    "workers", None, "Workers of the Ray cluster; by default as many as it has room for.", least=1
)
_WORKER_CPUS = flag_types.integer("worker_cpus", 1, "CPU cores of each worker.", least=1)
_WORKER_GPUS = flag_types.number("worker_gpus", 0, "GPUs of each worker.", least=0)


flags.adopt_module_key_flags(channel_flags)
flags.adopt_module_key_flags(engine_flags)


def main() -> None:
    """Runs `tfseg predict`."""
    launch(_predict, required=("model", "images", "output"), positional="images")


def _predict() -> int | str:
    _check_cluster()
    if channel_flags.given() and _PREPROCESSING.value:
        raise UsageError("--preprocessing and --mean both say how images are prepared: give one of them")
    for place in _IMAGES.value:
        if not planned_images.has_images(place):
            raise UsageError(f"--images={place}: expected a directory with images, a file, or a pattern of files")
    if _CLUSTER.value == "ray" and importlib.util.find_spec("ray") is None:
        raise ValueError('--cluster=ray needs Ray Data: pip install "tfseg[ray]"')

    load_library()
    import tfseg

    engine_flags.check()
    check_name(_PREPROCESSING, list(tfseg.specs.PREPROCESSING), "ways to prepare images")
    cluster = None
    if _CLUSTER.value == "ray":
        from tfseg.prediction.ray import Ray

        cluster = Ray(_RAY_ADDRESS.value, _WORKERS.value, _WORKER_CPUS.value, _WORKER_GPUS.value)
    output = pathlib.Path(_OUTPUT.value)
    _check_output(output)  # before the model is loaded, which may take long
    model = tfseg.load(_MODEL.value, public=_PUBLIC.value)
    outcome = tfseg.predict_files(
        model,
        _IMAGES.value,
        output,
        shard=_SHARD.value,
        overlays=_OVERLAYS.value,
        overwrite=_OVERWRITE.value,
        preprocessing=_PREPROCESSING.value or channel_flags.preprocessing(model),
        cluster=cluster,
        scales=_SCALES.value,
        flip=_FLIP.value,
        window=_WINDOW.value,
        overlap=_OVERLAP.value,
        pixels=_PIXELS.value,
        max_pixels=_MAX_PIXELS.value,
        threshold=_THRESHOLD.value,
        probabilities=_PROBABILITIES.value,
        image_bits=_IMAGE_BITS.value,
        no_data=_NO_DATA.value,
        engine=engine_flags.chosen(model),
        explain=engine_flags.explain(),
        alpha=_ALPHA.value,
        side_by_side=_SIDE_BY_SIDE.value,
    )
    print(f"{output}: {outcome.predicted} images predicted, {outcome.kept} kept, {len(outcome.failed)} failed")
    if outcome.renewed:
        print(f"{outcome.renewed} of them had results of another image, another model or other settings")
    if outcome.unverified:
        print(f"{_some(outcome.unverified)} kept, made from something unknown: --overwrite makes them again")
    if outcome.left_out:
        print(f"{_some(outcome.left_out)} left out: no images by their names")
    lines = [f"failed: {image}: {reason}" for image, reason in outcome.failed]
    if len(lines) > _SHOWN:
        lines[_SHOWN:] = [f"and {len(lines) - _SHOWN} more: {outcome.failures}"]
    return "\n".join(lines) or 0


def _check_cluster() -> None:
    if _CLUSTER.value == "local":
        for name in ("ray_address", "workers", "worker_cpus", "worker_gpus"):
            if flags.FLAGS[name].present:
                raise UsageError(f"--{name} is for a Ray cluster: add --cluster=ray, or leave it out")
    elif engine_flags.precision() != "float32":
        raise UsageError("--precision is for this process: leave --cluster=ray out, or the precision")


def _check_output(output: pathlib.Path) -> None:
    """Refuses images that cannot be predicted into the output directory."""
    from tfseg.image_search import search
    from tfseg.prediction import folders, records
    from tfseg.stored_channels import SUFFIXES

    try:
        images = search(_IMAGES.value, without=[output], marker=records.PREFIX)
    except ValueError:  # there may be images of the kinds that a model of other channels takes
        images = search(_IMAGES.value, without=[output], marker=records.PREFIX, suffixes=SUFFIXES)
    try:
        folders.check_images(images.folders, output)
    except folders.PlanError as error:
        raise UsageError(f"--output={output}: {error}") from None


def _some(paths: Sequence[pathlib.Path]) -> str:
    """The number of files, and the names of the first ones."""
    names = ", ".join(map(str, paths[:_NAMED])) + (", ..." if len(paths) > _NAMED else "")
    return f"{len(paths)} {'file' if len(paths) == 1 else 'files'} ({names})"


if __name__ == "__main__":
    main()
