"""Writes the class of every pixel of every image, and the image under the colours of its classes.

    tfseg-predict --model=street.keras --images='photos/*.jpg' --output=maps

makes of photos/NAME.jpg maps/NAME.png, a mask whose pixel values are the classes, and maps/NAME_overlay.jpg. Results
that exist are kept, so that an interrupted run goes on where it stopped. What failed is listed in maps/failures.json.

On several machines that see the same files: --shard=0/4 to --shard=3/4, one each; or a Ray cluster:

    tfseg-predict --engine=ray --ray_address=auto --model=street.keras --images=photos --output=maps
"""

from absl import flags

from tfseg import specs
from tfseg.images import MAX_PIXELS
from tfseg.prediction.files import Settings, predict_files
from tfseg_cli.common import load_model
from tfseg_cli.launch import launch

_DEFAULTS = Settings(None)
_SHOWN = 20  # failures on the screen; the file has all

_MODEL = flags.DEFINE_string("model", None, "The network: a .keras file, or a folder of tfseg-export.", required=True)
_IMAGES = flags.DEFINE_string("images", None, "A directory of images, or a quoted pattern.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Directory of the results, made if need be.", required=True)
_PREPROCESSING = flags.DEFINE_enum(
    "preprocessing",
    None,
    list(specs.PREPROCESSING),
    "How the network's input is prepared, if the model does not say it.",
)
_OVERLAYS = flags.DEFINE_bool("overlays", True, "Whether to draw overlays, or write masks alone.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Whether to make results anew that exist.")
_SHARD = flags.DEFINE_string("shard", "0/1", "Which images: 0/4 the first of four shares, 3/4 the last.")
_SCALES = flags.DEFINE_list("scales", ["1"], "Sizes at which the model sees an image, as in 0.5,1,1.5.")
_FLIP = flags.DEFINE_bool("flip", False, "Whether it sees it mirrored too.")
_WINDOW = flags.DEFINE_list("window", None, "Height and width that it sees at once, slid over larger images.")
_OVERLAP = flags.DEFINE_float("overlap", _DEFAULTS.overlap, "Of two windows side by side.")
_PIXELS = flags.DEFINE_integer(
    "pixels",
    _DEFAULTS.pixels,
    "That it sees at once: images of one size share a batch, larger ones are seen through windows.",
)
_MAX_PIXELS = flags.DEFINE_integer("max_pixels", MAX_PIXELS, "An image of more is not decoded, and fails.")
_ENGINE = flags.DEFINE_enum("engine", "local", ["local", "ray"], "What works on it: this process, or a Ray cluster.")
_RAY_ADDRESS = flags.DEFINE_string("ray_address", None, "Of a Ray cluster; by default one is started on this machine.")
_WORKERS = flags.DEFINE_integer("workers", None, "Of the Ray cluster; by default as many as it has room for.")
_WORKER_CPUS = flags.DEFINE_integer("worker_cpus", 1, "CPU cores of each.")
_WORKER_GPUS = flags.DEFINE_float("worker_gpus", 0, "GPUs of each.")


def main():
    launch(_predict)


def _predict():
    options = {
        "shard": _numbers(_SHARD, _SHARD.value.split("/"), 2),
        "overlays": _OVERLAYS.value,
        "overwrite": _OVERWRITE.value,
        "preprocessing": _PREPROCESSING.value,
        "engine": _engine(),
        "scales": _numbers(_SCALES, _SCALES.value, number=float),
        "flip": _FLIP.value,
        "window": _WINDOW.value and _numbers(_WINDOW, _WINDOW.value, 2),
        "overlap": _OVERLAP.value,
        "pixels": _PIXELS.value,
        "max_pixels": _MAX_PIXELS.value,
    }
    found = predict_files(load_model(_MODEL.value), _IMAGES.value, _OUTPUT.value, **options)
    print(f"{_OUTPUT.value}: {found.predicted} images predicted, {found.kept} kept, {len(found.failed)} failed")
    lines = [f"failed: {image}: {reason}" for image, reason in found.failed]
    if len(lines) > _SHOWN:
        lines[_SHOWN:] = [f"and {len(lines) - _SHOWN} more: {found.failures}"]
    return "\n".join(lines) or 0


def _engine():
    if _ENGINE.value == "local":
        return None
    from tfseg.prediction.ray import Ray

    return Ray(_RAY_ADDRESS.value, _WORKERS.value, _WORKER_CPUS.value, _WORKER_GPUS.value)


def _numbers(flag, parts, count=None, number=int):
    """The numbers of a flag, `count` of them if that is given, or a ValueError with its help."""
    try:
        values = tuple(map(number, parts))
        if values and len(values) == (count or len(values)):
            return values
    except ValueError:
        pass
    raise ValueError(f"--{flag.name}: {flags.FLAGS[flag.name].help} Received: {flag.value}")


if __name__ == "__main__":
    main()
