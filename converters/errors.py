"""The one error of this package."""


class ConversionError(ValueError):
    """A checkpoint that cannot be read, recognised, mapped, proven or written.

    The message says which file, what was wrong, what was expected, what came ("Received: ...") and what to do.
    """
