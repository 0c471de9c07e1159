"""The one error of this package."""


class ConversionError(ValueError):
    """A checkpoint that cannot be read, recognized, mapped, proven or written.

    The message says which file, what was wrong, what was expected, what came ("Received: ...") and what to do.

    Example:
        >>> try:
        ...     converters.read("street.png")
        ... except converters.ConversionError as error:
        ...     print(error)
        street.png: is a file of unknown format. Expected a PyTorch .pth/.pt/.bin file...
    """
