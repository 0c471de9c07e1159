"""The same network, weights, batches and recipe in plain PyTorch give the same losses."""

import numpy as np
import pytest
from helpers.data_sets import mask, save

import converters
from tfseg import data, training
from tfseg.training.step import make_step

torch = pytest.importorskip("torch")
from helpers import training_twin as twin  # noqa: E402 - it imports torch

CLASSES, STEPS = 4, 50
RECIPE = training.Recipe(
    learning_rate=0.01,
    power=0.0,  # Keras's momentum holds the rate of each step, PyTorch's that of the last one: a constant rate makes them equal
    decay=5e-4,
    batch_size=4,
    augmentation=data.Augmentation(crop=(65, 65), scale=(0.7, 1.4), jitter=0.1),
)


def batches(root, steps):
    for index in range(6):
        smooth = np.kron(mask(index, (6, 8), ids=(0, 1, 2, 3)), np.ones((12, 12), "uint8"))
        smooth[:3] = 255
        # Noise: in a uniform area all pixels together may be at the edge of a ReLU, where rounding decides.
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


def keras_losses(model, examples):
    training.compile_model(model, RECIPE, STEPS)
    step = make_step(model, RECIPE)
    for number, (images, masks) in enumerate(examples):
        yield float(step((images, masks), np.int64(number)))


@pytest.mark.full
@pytest.mark.parametrize("steps", [5, pytest.param(STEPS, marks=pytest.mark.full)])
def test_losses_equal_those_of_pytorch(tmp_path, steps):
    torch.manual_seed(0)
    module = twin.FCN(CLASSES)
    model, receipt = converters.convert(module, family="torchvision/segmentation", network="fcn_resnet18")
    assert receipt.untouched == {}
    model.get_layer("head_dropout").rate = 0.0
    examples = [(images.numpy(), masks.numpy()) for images, masks in batches(tmp_path, steps)]
    actual = np.array(list(keras_losses(model, examples)))
    expected = np.array(list(torch_losses(module, examples)))
    differences = np.abs(actual - expected) / expected
    print("relative differences:", " ".join(f"{difference:.1e}" for difference in differences))
    assert differences[:5].max() <= 1e-4
    # Rounding errors grow from step to step: later a single batch may differ by more, but not the mean.
    assert abs(actual.mean() - expected.mean()) / expected.mean() <= 0.02
    assert np.median(differences) <= 0.02
    assert expected[-1] < expected[0]
