"""The PSPNets of meetps and yassouali from the file alone, against twins of them with their key names."""

import re

import pytest
import torch
from helpers.deep_stem_twins import SemsegPSPNet, add_stages, conv_norm_relu, pyramid, run_stages
from helpers.references import filled_module, images, output, relative, torch_output
from torch import nn
from torch.nn.functional import interpolate

import converters

PUBLIC = "the PSPNets of meetps and yassouali (twins of them)"
TOLERANCE = 1e-5
SIZES = ((96, 144), (89, 137))  # their maps have 12 x 18 pixels


class Meetps(SemsegPSPNet):
    """Its pyramid begins with the finest bins."""

    def forward(self, image):
        x = run_stages(self, self.layer0(image))[1]
        bins = pyramid(self.ppm.features, x, True)[:, x.shape[1] :].chunk(4, 1)
        logits = self.cls(torch.cat([x, *reversed(bins)], 1))
        return interpolate(logits, image.shape[2:], mode="bilinear", align_corners=True)


class Yassouali(SemsegPSPNet):
    """Its corners are aligned in the pyramid alone, and the first block of a dilated stage keeps its rate."""

    def __init__(self, depth, num_classes=7, width=1):
        super().__init__(depth, num_classes, width)
        features = add_stages(self, depth, width, dilated=True, new=False)
        inside, filters = features // 2, features // 4
        self.cls = conv_norm_relu(2 * features, filters, 3, nn.Dropout2d(), nn.Conv2d(filters, num_classes, 1))
        self.aux = conv_norm_relu(inside, filters, 3, nn.Dropout2d(), nn.Conv2d(filters, num_classes, 1))

    def forward(self, image):
        x = run_stages(self, self.layer0(image))[1]
        logits = self.cls(pyramid(self.ppm.features, x, True))
        return interpolate(logits, image.shape[2:], mode="bilinear", align_corners=False)


def _of_meetps(key):
    for pattern, name in (
        (r"layer0\.([03])\.", lambda m: f"convbnrelu1_{int(m[1]) // 3 + 1}.cbr_unit.0."),
        (r"layer0\.([14])\.", lambda m: f"convbnrelu1_{int(m[1]) // 3 + 1}.cbr_unit.1."),
        (r"layer0\.([67])\.", lambda m: f"convbnrelu1_3.cbr_unit.{int(m[1]) - 6}."),
        (r"layer(\d)\.(\d+)\.", lambda m: f"res_block{int(m[1]) + 1}.layers.{m[2]}."),
        (r"\.conv([12])\.", r".cbr\1.cbr_unit.0."),
        (r"\.bn([12])\.", r".cbr\1.cbr_unit.1."),
        (r"\.conv3\.", ".cb3.cb_unit.0."),
        (r"\.bn3\.", ".cb3.cb_unit.1."),
        (r"downsample\.(\d)\.", r"cb4.cb_unit.\1."),
        (
            r"ppm\.features\.(\d)\.(\d)\.",
            lambda m: f"pyramid_pooling.path_module_list.{3 - int(m[1])}.cbr_unit.{int(m[2]) - 1}.",
        ),
        (r"^cls\.([01])\.", r"cbr_final.cbr_unit.\1."),
        (r"^aux\.([01])\.", r"convbnrelu4_aux.cbr_unit.\1."),
        (r"^cls\.4\.", "classification."),
        (r"^aux\.4\.", "aux_cls."),
    ):
        key = re.sub(pattern, name, key)
    return key


def _of_yassouali(key):
    for pattern, name in (
        (r"layer0\.7\.", "initial.1."),
        (r"layer0\.", "initial.0."),
        (r"ppm\.features\.", "master_branch.0.stages."),
        (r"^cls\.([01])\.", r"master_branch.0.bottleneck.\1."),
        (r"^cls\.4\.", "master_branch.1."),
        (r"^aux\.", "auxiliary_branch."),
    ):
        key = re.sub(pattern, name, key)
    return key


REPOSITORIES = {
    "meetps/pytorch-semseg": (Meetps, _of_meetps),
    "yassouali/pytorch-segmentation/pspnet": (Yassouali, _of_yassouali),
}


@pytest.mark.full
@pytest.mark.parametrize(
    ("family", "depth", "width"),
    [
        ("meetps/pytorch-semseg", 50, 1 / 16),
        *(pytest.param(family, 50, 1 / 16, marks=pytest.mark.full) for family in list(REPOSITORIES)[1:]),
        *(pytest.param(family, 101, 1 / 16, marks=pytest.mark.full) for family in REPOSITORIES),
    ],
)
def test_pspnets(family, depth, width, record, tmp_path):
    twin, names = REPOSITORIES[family]
    module = filled_module(lambda: twin(depth, width=width), 0, 1.0)
    state = {names(key): value for key, value in module.state_dict().items()}
    assert len(state) == len(module.state_dict())
    model, receipt = converters.convert(state)
    assert (receipt.family, receipt.network) == (family, f"pspnet_resnet{depth}s")
    worst = max(relative(output(model, images(*size)), torch_output(module, images(*size))) for size in SIZES)
    record(f"{family} {receipt.network}", worst)
    assert worst <= TOLERANCE
    model, _ = converters.convert(state, aux=True)
    converters.export_weights(model, tmp_path / "back.pth", family=family)
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    assert back.keys() == {key for key in state if "num_batches" not in key}
    assert all(torch.equal(back[key], state[key]) for key in back)
