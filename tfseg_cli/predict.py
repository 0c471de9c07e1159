"""Writes the class of every pixel of every image, and the image under the colors of its classes.

    tfseg-predict --model=street.keras --images='photos/*.jpg' --output=maps

For photos/NAME.jpg it writes maps/NAME.png, a mask whose pixel values are the classes, and maps/NAME_overlay.jpg.
Results that exist are kept, so that an interrupted run continues where it stopped. Images that failed are listed in
maps/failures.json.

On several machines that see the same files, run --shard=0/4 to --shard=3/4, one on each; or use a Ray cluster:

    tfseg-predict --cluster=ray --ray_address=auto --model=street.keras --images=photos --output=maps
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from absl import flags

from tfseg_cli.launch import launch

Number = TypeVar("Number", int, float)

_SHOWN = 20  # failures on the screen; failures.json has all

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "The network: a .keras file, a folder of tfseg-export, or what tfseg-convert reads.",
    required=True,
)
_IMAGES = flags.DEFINE_string("images", None, "A directory of images, or a quoted pattern.", required=True)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Directory of the results; it is created if it does not exist.", required=True
)
_PREPROCESSING = flags.DEFINE_string(
    "preprocessing",
    None,
    "How the images are prepared, as torch or caffe, if the model does not say it: a name of "
    "tfseg.specs.PREPROCESSING.",
)
_OVERLAYS = flags.DEFINE_bool("overlays", True, "Whether to draw overlays, or to write masks alone.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Whether to replace results that exist.")
_SHARD = flags.DEFINE_string("shard", "0/1", "Which images: 0/4 the first of four shares, 3/4 the last.")
_SCALES = flags.DEFINE_list("scales", ["1"], "Sizes at which the model sees an image, as in 0.5,1,1.5.")
_FLIP = flags.DEFINE_bool("flip", False, "Whether the model sees the mirrored image, too.")
_WINDOW = flags.DEFINE_list("window", None, "Height and width of the window that slides over larger images, in pixels.")
_OVERLAP = flags.DEFINE_float("overlap", 1 / 3, "How much of its side a window shares with the next one.")
_PIXELS = flags.DEFINE_integer(
    "pixels",
    2**22,
    "Number of pixels that the model sees at once: images of one size share a batch, larger ones are seen through "
    "windows.",
)
_MAX_PIXELS = flags.DEFINE_integer(
    "max_pixels", 178_956_970, "Largest number of pixels of an image; a larger one is not decoded, and fails."
)
_CLUSTER = flags.DEFINE_enum(
    "cluster", "local", ["local", "ray"], "Who works on the images: this process, or a Ray cluster."
)
flags.DEFINE_alias("engine", "cluster")  # the former name
_RAY_ADDRESS = flags.DEFINE_string(
    "ray_address", None, "Address of the Ray cluster; by default a new one on this machine."
)
_WORKERS = flags.DEFINE_integer("workers", None, "Workers of the Ray cluster; by default as many as it has room for.")
_WORKER_CPUS = flags.DEFINE_integer("worker_cpus", 1, "CPU cores of each worker.")
_WORKER_GPUS = flags.DEFINE_float("worker_gpus", 0, "GPUs of each worker.")


def main() -> None:
    """Runs `tfseg-predict`."""
    launch(_predict)


def _predict() -> int | str:
    import tfseg

    shard = _pair(_SHARD, _SHARD.value.split("/"))
    scales = _numbers(_SCALES, _SCALES.value, float)
    window = _pair(_WINDOW, _WINDOW.value) if _WINDOW.value else None
    cluster = None
    if _CLUSTER.value == "ray":
        from tfseg.prediction.ray import Ray

        cluster = Ray(_RAY_ADDRESS.value, _WORKERS.value, _WORKER_CPUS.value, _WORKER_GPUS.value)
    outcome = tfseg.predict_files(
        tfseg.load(_MODEL.value),
        _IMAGES.value,
        _OUTPUT.value,
        shard=shard,
        overlays=_OVERLAYS.value,
        overwrite=_OVERWRITE.value,
        preprocessing=_PREPROCESSING.value,
        cluster=cluster,
        scales=scales,
        flip=_FLIP.value,
        window=window,
        overlap=_OVERLAP.value,
        pixels=_PIXELS.value,
        max_pixels=_MAX_PIXELS.value,
    )
    print(f"{_OUTPUT.value}: {outcome.predicted} images predicted, {outcome.kept} kept, {len(outcome.failed)} failed")
    lines = [f"failed: {image}: {reason}" for image, reason in outcome.failed]
    if len(lines) > _SHOWN:
        lines[_SHOWN:] = [f"and {len(lines) - _SHOWN} more: {outcome.failures}"]
    return "\n".join(lines) or 0


def _pair(flag: flags.FlagHolder, parts: Sequence[str]) -> tuple[int, int]:
    numbers = _numbers(flag, parts, int)
    if len(numbers) != 2:
        raise _flag_error(flag)
    return numbers[0], numbers[1]


def _numbers(flag: flags.FlagHolder, parts: Sequence[str], number: Callable[[str], Number]) -> tuple[Number, ...]:
    """The numbers of a flag, at least one, or a ValueError with its help."""
    try:
        numbers = tuple(map(number, parts))
    except ValueError:
        numbers = ()
    if not numbers:
        raise _flag_error(flag)
    return numbers


def _flag_error(flag: flags.FlagHolder) -> ValueError:
    return ValueError(f"--{flag.name}: {flags.FLAGS[flag.name].help} Received: {flag.value}")


if __name__ == "__main__":
    main()
