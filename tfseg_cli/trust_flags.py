"""The flags that say how far a file from a stranger is trusted, for commands that read checkpoints."""

import contextlib

from absl import flags

from tfseg_cli import flag_types

_MAX_EXPANSION = flag_types.number(
    "max_expansion",
    None,
    "Bytes of memory that reading may cost for each byte of the file, beside 64 MiB; 8 by default.",
    above=0,
)
_TRUSTED = flags.DEFINE_bool(
    "trusted", False, "The file's author is trusted: HDF5 is read in this process and not in a child, 0.2 s quicker."
)


def allowing() -> contextlib.AbstractContextManager[None]:
    """Inside, files are read as the flags say."""
    from converters.reading import limits

    return limits.allowing(_MAX_EXPANSION.value, _TRUSTED.value)
