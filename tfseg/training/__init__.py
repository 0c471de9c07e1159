"""Fine-tuning: recipes as data, a step that is the same on one device and on many, runs that can be resumed."""

from tfseg.training.loop import train
from tfseg.training.preparation import compile_model, prepare
from tfseg.training.recipes import RECIPES, Recipe

__all__ = ["RECIPES", "Recipe", "compile_model", "prepare", "train"]
