"""The parameters that `train` had in version 0.1 and that are fields of `Recipe` now."""

import dataclasses
import functools
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from tfseg.training.recipes import find_recipe

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

MOVED_TO_RECIPE = ("batch_size", "class_weights", "clipnorm", "accumulate", "dtype")


def accepts_moved_parameters(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """The same function, which also takes the parameters of version 0.1, with a DeprecationWarning.

    Args:
        function: a function with the parameters `recipe` and `log`.
    """

    @functools.wraps(function)
    def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        options: dict[str, Any] = dict(kwargs)
        changes = {name: options.pop(name) for name in MOVED_TO_RECIPE if name in options}
        crop, report = options.pop("crop", None), options.pop("report", None)
        moved = [name for name in kwargs if name not in options]
        if moved:
            warnings.warn(
                f"{', '.join(moved)}: use the fields of the recipe (recipe.with_crop for crop), and log for report.",
                DeprecationWarning,
                stacklevel=2,
            )
            recipe = find_recipe(options.get("recipe", "poly"))
            if changes.get("batch_size", 0) is None:  # None stood for the recipe's own size
                del changes["batch_size"]
            recipe = dataclasses.replace(recipe, **changes)
            options["recipe"] = recipe.with_crop(crop) if crop else recipe
            if report is not None:
                options["log"] = report
        return function(*args, **options)

    return wrapper
