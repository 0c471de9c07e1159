"""A U-Net on ResNet-34 and segmentation_models.pytorch's learn the same from the same weights and batches."""

import numpy as np
import pytest
from helpers import smp_decoders
from helpers.references import filled_module, images

import tfseg
from tfseg import training
from tfseg.training.step import make_step

CLASSES, STEPS = 4, 5
FILTERS = (64, 32, 16, 16, 8)
# Keras's momentum holds the rate of each step, PyTorch's that of the last one: a constant rate makes them equal.
RECIPE = training.Recipe(learning_rate=0.01, power=0.0, decay=5e-4, batch_size=4)


def batches():
    for seed in range(STEPS):
        pixels = images(96, 96, batch=RECIPE.batch_size, seed=seed)
        masks = np.clip((pixels[..., 0] + 1.5).astype("int32"), 0, CLASSES - 1)
        masks[:, :3] = 255
        yield pixels, masks


def torch_losses(module):
    import torch

    module.train().requires_grad_(True)
    groups = [
        {"params": [parameter], "weight_decay": RECIPE.decay if parameter.ndim == 4 else 0.0}
        for parameter in module.parameters()
    ]
    optimizer = torch.optim.SGD(groups, lr=RECIPE.learning_rate, momentum=RECIPE.momentum)
    function = torch.nn.CrossEntropyLoss(ignore_index=255)
    for pixels, masks in batches():
        logits = module(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()))
        loss = function(logits, torch.from_numpy(masks.astype("int64")))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


@pytest.mark.full
def test_losses_of_a_unet_equal_those_of_the_public_one():
    smp = smp_decoders.smp()
    module = filled_module(
        smp.Unet,
        0,
        1.0,
        encoder_name="resnet34",
        encoder_weights=None,
        classes=CLASSES,
        decoder_channels=FILTERS,
    )
    model = tfseg.build("unet_resnet34", num_classes=CLASSES, filters=FILTERS)
    smp_decoders.fill(model, module, smp_decoders.rows("Unet", "resnet34"))
    training.compile_model(model, RECIPE, STEPS)
    step = make_step(model, RECIPE)
    actual = np.array([float(step(batch, np.int64(number))) for number, batch in enumerate(batches())])
    expected = np.array(list(torch_losses(module)))
    assert np.ptp(expected) > 0.01  # they move
    assert (np.abs(actual - expected) / expected).max() <= 1e-4, (actual, expected)
