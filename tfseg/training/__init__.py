"""Fine-tuning: recipes as data, training that can be resumed, the same on one device and on many.

It runs under TensorFlow, JAX and PyTorch, as `KERAS_BACKEND` says. TensorFlow need not be installed for the others.
"""

from tfseg.training.loop import train
from tfseg.training.network_facts import default_recipe
from tfseg.training.preparation import compile_model, prepare
from tfseg.training.rates import Rates, find_rate
from tfseg.training.recipes import RECIPES, Recipe

__all__ = ["RECIPES", "Rates", "Recipe", "compile_model", "default_recipe", "find_rate", "prepare", "train"]
