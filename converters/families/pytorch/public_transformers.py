"""Hugging Face transformers' modules, as functions from an image to one result."""

from typing import Any


def only_logits(module: Any) -> Any:
    """A module of torch whose only result are the logits of another one, with the same names of tensors.

    Args:
        module: module of transformers, whose result has the field `logits`.
    """
    import torch

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, child in module.named_children():
                self.add_module(name, child)

        def forward(self, image: Any) -> Any:
            return module(image).logits

    return Logits()
