"""The flags that say how channels are scaled: mean and deviation, as `tfseg inspect-data` measures them."""

import json
import pathlib
from typing import TYPE_CHECKING, Any, NamedTuple

from tfseg_cli import flag_types, path_flags
from tfseg_cli.launch import UsageError, invalid

if TYPE_CHECKING:
    import keras

_MEAN = flag_types.numbers("mean", None, "Mean of each channel, as `tfseg inspect-data` prints it.")
_STD = flag_types.numbers("std", None, "Deviation of each channel, as `tfseg inspect-data` prints it.", above=0)
_STATISTICS = path_flags.existing_file(
    "statistics", "File of `tfseg inspect-data --json`, whose mean and std are used; in place of --mean and --std."
)


class Statistics(NamedTuple):
    """Mean and deviation of each channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def given() -> Statistics | None:
    """What the flags say; None if they say nothing.

    Raises:
        UsageError: flags that contradict each other, or a file that has no mean and std.
    """
    if _STATISTICS.value:
        if _MEAN.value or _STD.value:
            raise UsageError("--statistics says the mean and the std: leave --mean and --std out")
        return _read(_STATISTICS.value)
    if not _MEAN.value and not _STD.value:
        return None
    if not _MEAN.value or not _STD.value:
        raise UsageError(f"--{'std' if _MEAN.value else 'mean'} is missing: mean and std go together")
    if len(_MEAN.value) != len(_STD.value):
        raise invalid(_STD, f"expected {len(_MEAN.value)} numbers, one for each of --mean")
    return Statistics(_MEAN.value, _STD.value)


def _read(path: str) -> Statistics:
    try:
        content = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        mean, std = (tuple(map(float, content[key])) for key in ("mean", "std"))
        if not mean or len(mean) != len(std) or min(std) <= 0:
            raise ValueError
    except (ValueError, TypeError, KeyError):
        raise invalid(_STATISTICS, "expected a file of `tfseg inspect-data --json`, with mean and std") from None
    return Statistics(mean, std)


def preprocessing(model: "keras.Model") -> dict[str, Any] | None:
    """The preprocessing of images by the flags; None if they say nothing.

    For photographs, the means are those of red, green and blue, and the channels keep the order that the model wants.

    Args:
        model: the model that sees the images.
    Raises:
        UsageError: another number of means than the model has channels.
    """
    statistics = given()
    if statistics is None:
        return None
    from tfseg import metadata
    from tfseg.preprocessing import is_stored, stored_preprocessing

    channels, known = model.input_shape[-1], metadata(model)["preprocessing"]
    if len(statistics.mean) != channels:
        flag = "statistics" if _STATISTICS.value else "mean"
        raise UsageError(f"--{flag}: expected {channels} numbers, one for each channel of {model.name!r}")
    if channels != 3 or is_stored(known):
        return stored_preprocessing(*statistics)
    step = -1 if known and known["channel_order"] == "BGR" else 1
    order = "RGB"[::step]
    return {"channel_order": order, "divisor": 1.0, "mean": statistics.mean[::step], "std": statistics.std[::step]}
