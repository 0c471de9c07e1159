"""The same network, weights, batches and recipe in plain PyTorch: the same losses."""

import numpy as np
import pytest
from helpers.data_sets import mask, save

import converters
from tfseg import data, training
from tfseg.training import loop

torch = pytest.importorskip("torch")
twin = pytest.importorskip("training_twin")

CLASSES, STEPS = 4, 50
RECIPE = training.Recipe(
    learning_rate=0.01,
    power=0.0,  # Keras's momentum has each step's rate in it, PyTorch's the last one: with one rate they are one
    decay=5e-4,
    batch_size=4,
    augmentation=data.Augmentation(crop=(65, 65), scale=(0.7, 1.4), jitter=0.1),
)


def batches(root, steps):
    for index in range(6):
        smooth = np.kron(mask(index, (6, 8), ids=(0, 1, 2, 3)), np.ones((12, 12), "uint8"))
        smooth[:3] = 255
        # Not smooth: in even areas a whole neighbourhood stands at the edge of a ReLU, and rounding decides for it.
        noise = np.random.default_rng(index).integers(0, 120, (*smooth.shape, 3))
        save(root / "images" / f"{index}.png", (noise + 30 * (smooth % 5)[..., None]).astype("uint8"))
        save(root / "masks" / f"{index}.png", smooth)
    dataset = data.folder(root, num_classes=CLASSES)
    return data.batches(dataset, RECIPE.batch_size, "torch", augmentation=RECIPE.augmentation, seed=1, steps=steps)


def torch_losses(module, examples):
    module.train()
    groups = [
        {
            "params": [parameter],
            "lr": RECIPE.learning_rate * (1 if name.startswith("backbone") else RECIPE.head_factor),
            "weight_decay": RECIPE.decay if parameter.ndim == 4 else 0.0,
        }
        for name, parameter in module.named_parameters()
    ]
    optimizer = torch.optim.SGD(groups, lr=RECIPE.learning_rate, momentum=RECIPE.momentum)
    function = torch.nn.CrossEntropyLoss(ignore_index=255)
    for images, masks in examples:
        logits = module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
        loss = function(logits, torch.from_numpy(masks.astype("int64")))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


def our_losses(model, examples):
    training.compile_model(model, RECIPE, STEPS)
    step = loop._step(model, RECIPE, None, 0, False)
    for number, (images, masks) in enumerate(examples):
        yield float(step((images, masks), np.int64(number)))


@pytest.mark.parametrize("steps", [5, pytest.param(STEPS, marks=pytest.mark.full)])
def test_the_losses_are_pytorchs(tmp_path, steps):
    torch.manual_seed(0)
    module = twin.FCN(CLASSES)
    model, receipt = converters.convert(module, family="torchvision/segmentation", network="fcn_resnet18")
    assert receipt.untouched == {}
    model.get_layer("head_dropout").rate = 0.0
    examples = [(images.numpy(), masks.numpy()) for images, masks in batches(tmp_path, steps)]
    ours, theirs = (np.array(list(run)) for run in (our_losses(model, examples), torch_losses(module, examples)))
    differences = np.abs(ours - theirs) / theirs
    print("relative differences:", " ".join(f"{one:.1e}" for one in differences))
    assert differences[:5].max() <= 1e-4
    # Rounding grows from step to step: later a single batch may part by more, their mean does not.
    assert abs(ours.mean() - theirs.mean()) / theirs.mean() <= 0.02
    assert np.median(differences) <= 0.02
    assert theirs[-1] < theirs[0]
