"""Maps of true classes: which of their pixels count."""

import functools
import operator

from keras import ops


def ignored_ids(ignore_class):
    """One id, several or None, as a tuple."""
    if ignore_class is None:
        return ()
    return tuple(ignore_class) if isinstance(ignore_class, list | tuple) else (ignore_class,)


def is_ignored(classes, ignore_class):
    """Boolean tensor of the shape of `classes`: which pixels bear an id that does not count."""
    nothing = ops.zeros_like(classes, dtype="bool")
    return functools.reduce(operator.or_, [ops.equal(classes, one) for one in ignored_ids(ignore_class)], nothing)
