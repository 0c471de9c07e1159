"""Networks of torchvision, narrow if wanted, as the .onnx files that exporters and optimizers make of them."""

import copy
import random
import warnings

import pytest
from helpers.references import filled_module
from helpers.torchvision_cpu import import_torchvision

FORMS = ("folded", "anonymous", "unfolded", "training", "dynamo", "dynamo, not optimized")


def net(name, *, width=1 / 8, seed=0, **options):
    """A network in evaluation mode, its weights and statistics far from the defaults, seven classes."""
    models = import_torchvision().models
    if name.startswith(("fcn_", "deeplabv3_")):
        models, options = models.segmentation, options | {"weights_backbone": None, "aux_loss": True}
    builder = getattr(models, name)
    # With ReLUs and no BatchNorm the variance wants twice the gain, as in `references.torchvision_net`.
    gain = 2.0 if name.startswith("vgg") else 1.0
    return filled_module(lambda: slim(builder(weights=None, num_classes=7, **options), width), seed, gain)


def slim(module, width):
    """The same network with narrower layers; images and classes, of less than 16 channels, stay, and DeepLab's head."""
    from torch import nn
    from torchvision.models.segmentation.deeplabv3 import DeepLabHead

    heads = [part for part in module.modules() if isinstance(part, DeepLabHead)]
    wide = {id(part) for head in heads for part in head.modules()}

    def scaled(size):
        return size if size < 16 or (id(parent) in wide and size < 2048) else int(size * width)

    for parent in list(module.modules()):
        for name, part in list(parent.named_children()):
            if isinstance(part, nn.Conv2d):
                shape = {key: getattr(part, key) for key in ("kernel_size", "stride", "padding", "dilation", "groups")}
                sizes = scaled(part.in_channels), scaled(part.out_channels)
                setattr(parent, name, nn.Conv2d(*sizes, bias=part.bias is not None, **shape))
            elif isinstance(part, nn.BatchNorm2d):
                setattr(parent, name, nn.BatchNorm2d(scaled(part.num_features)))
            elif isinstance(part, nn.Linear):
                setattr(parent, name, nn.Linear(scaled(part.in_features), scaled(part.out_features)))
    return module


def export(module, path, form="folded", size=(64, 64)):
    """A file in one of the `FORMS`; returns its path."""
    import torch

    options = {"dynamo": form.startswith("dynamo")}
    if form == "dynamo, not optimized":
        options["optimize"] = False
    elif not options["dynamo"]:
        training = torch.onnx.TrainingMode.TRAINING if form == "training" else torch.onnx.TrainingMode.EVAL
        options |= {"do_constant_folding": form in ("folded", "anonymous"), "training": training}
        options |= {"input_names": ["image"], "dynamic_axes": {"image": {2: "height", 3: "width"}}}
        if size != (64, 64):  # VGG's pooling can be exported for one size only
            del options["dynamic_axes"]
    if options["dynamo"]:
        pytest.importorskip("onnxscript")
    training = module.training
    with warnings.catch_warnings(action="ignore"):  # the older exporter says that it is
        torch.onnx.export(module, (torch.zeros(1, 3, *size),), path, verbose=False, **options)
    module.train(training)
    return anonymize(path) if form == "anonymous" else path


def edit(path, change):
    """The file with its model changed in place by `change(model)`."""
    import onnx

    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    return path


def anonymize(path):
    """The file with numbers in place of all names, as torch before 1.13 and the model zoo have it."""

    def change(model):
        graph, names = model.graph, {}
        kept = {value.name for value in [*graph.input, *graph.output]}
        for index, node in enumerate(graph.node):
            node.name = f"{node.op_type}_{index}"
            for names_of in (node.input, node.output):
                for place, name in enumerate(names_of):
                    if name and name not in kept:
                        names_of[place] = names.setdefault(name, str(len(names)))
        for tensor in graph.initializer:
            tensor.name = names[tensor.name]
        del graph.value_info[:]

    return edit(path, change)


def shuffle(path, seed=0):
    """Nodes listed in another order in which they can be computed, and the terms of sums exchanged."""

    def change(model):
        graph, chance = model.graph, random.Random(seed)
        left, made = [copy.deepcopy(node) for node in graph.node], {""}
        made |= {value.name for value in [*graph.input, *graph.initializer]}
        del graph.node[:]
        while left:
            node = chance.choice([node for node in left if made.issuperset(node.input)])
            left.remove(node)
            made.update(node.output)
            if node.op_type == "Add":
                node.input[:] = reversed(node.input)
            graph.node.append(node)

    return edit(path, change)
