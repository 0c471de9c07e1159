"""A built model trains as its module does: five steps beside torch, with the same batches, give the same losses."""

import keras
import numpy as np
import pytest
import torch
from helpers.torchvision_cpu import import_torchvision
from torch import nn
from torch.nn import functional

import converters
from converters.building.build import build_from_module

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.export's own
STEPS, CLASSES, RATE = 5, 4, 0.02


class Block(nn.Sequential):
    def __init__(self, inputs, outputs):
        super().__init__(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class UNet(nn.Module):
    """A U-Net of two levels; one of its layers is frozen."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = Block(3, 8), Block(8, 16), Block(16, 32)
        self.up_second, self.up_first = nn.ConvTranspose2d(32, 16, 2, 2), nn.ConvTranspose2d(16, 8, 2, 2)
        self.mix_second, self.mix_first = Block(32, 16), Block(16, 8)
        self.head = nn.Conv2d(8, CLASSES, 1)
        self.first[0].weight.requires_grad_(False)
        self.first[1].bias.requires_grad_(False)

    def forward(self, image):
        first = self.first(image)
        second = self.second(functional.max_pool2d(first, 2))
        x = self.third(functional.max_pool2d(second, 2))
        x = self.mix_second(torch.cat([self.up_second(x), second], 1))
        return self.head(self.mix_first(torch.cat([self.up_first(x), first], 1)))


def mobilenet():
    """Its first blocks: the gradients of the whole one, on few pixels, are rounding in torch itself."""
    blocks = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 2, 2]]
    options = {"width_mult": 0.35, "inverted_residual_setting": blocks, "dropout": 0.0}
    return import_torchvision().models.MobileNetV2(num_classes=CLASSES, **options)


def smp_unet():
    import_torchvision()
    package = pytest.importorskip("segmentation_models_pytorch")
    return package.Unet("resnet18", encoder_weights=None, classes=CLASSES, decoder_channels=(32, 16, 16, 8, 8))


def torch_losses(module, batches):
    module.train()
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=RATE, momentum=0.9)
    for images, labels in batches:
        loss = functional.cross_entropy(
            module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())), torch.from_numpy(labels)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


def keras_losses(model, batches):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(RATE, momentum=0.9), loss=loss, run_eagerly=True)
    for images, labels in batches:
        yield float(model.train_on_batch(images, labels))
        model.reset_metrics()


@pytest.mark.parametrize(
    ("make", "size", "dense"),
    [
        (UNet, (32, 32), True),
        pytest.param(mobilenet, (64, 64), False, marks=pytest.mark.full),
        pytest.param(smp_unet, (64, 64), True, marks=pytest.mark.full),
    ],
)
def test_five_steps_beside_torch(make, size, dense):
    torch.manual_seed(0)
    module = make()
    model, _ = build_from_module(module)
    random = np.random.default_rng(0)
    shape = (4, *size) if dense else (4,)
    batches = [
        (random.normal(size=(4, *size, 3)).astype("float32"), random.integers(0, CLASSES, shape)) for _ in range(STEPS)
    ]
    ours, expected = np.array(list(keras_losses(model, batches))), np.array(list(torch_losses(module, batches)))
    assert np.abs(ours - expected).max() <= 1e-4
    assert np.ptp(expected) > 1e-3  # training moves


def test_the_trained_weights_go_back_into_the_module(tmp_path):
    """After training, the module with the exported weights computes what the model does."""
    module = UNet()
    model, _ = build_from_module(module)
    random = np.random.default_rng(1)
    batch = random.normal(size=(4, 32, 32, 3)).astype("float32"), random.integers(0, CLASSES, (4, 32, 32))
    list(keras_losses(model, [batch] * 2))
    converters.export_weights(model, tmp_path / "trained.pth")
    trained = UNet()
    trained.load_state_dict(torch.load(tmp_path / "trained.pth"), strict=True)
    assert not torch.equal(trained.head.weight, module.head.weight)
    assert torch.equal(trained.first[0].weight, module.first[0].weight)
    converters.compare(model, trained, batch[0]).assert_close(1e-5)


@pytest.mark.parametrize("factors", [True, False], ids=["factors trained", "factors frozen"])
def test_a_batch_norm_in_evaluation_mode_keeps_its_statistics(factors):
    """MMSegmentation's `norm_eval` leaves it so, for small batches."""
    module = nn.Sequential(Block(3, 4), nn.Conv2d(4, CLASSES, 1)).train()
    norm = module[0][1].eval().requires_grad_(factors)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    built = build_from_module(module)
    (layer,) = (layer for layer in built.model.layers if isinstance(layer, keras.layers.BatchNormalization))
    assert not layer.trainable
    assert any("scale and offset of 1 BatchNorms" in note for note in built.receipt.notes) == factors
    pixels = torch.rand(2, 3, 8, 9)
    expected = module(pixels).detach().numpy().transpose(0, 2, 3, 1)
    assert np.abs(built.model(pixels.numpy().transpose(0, 2, 3, 1), training=True) - expected).max() < 1e-5


def test_a_module_in_evaluation_mode_says_nothing_of_training():
    built = build_from_module(nn.Sequential(Block(3, 4), nn.Conv2d(4, CLASSES, 1)).eval())
    assert all(layer.trainable for layer in built.model.layers)
