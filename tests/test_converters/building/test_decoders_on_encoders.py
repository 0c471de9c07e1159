"""Decoders on backbones that were built from their programs: equal to the public network with the same backbone."""

import keras
import pytest
from helpers import smp_decoders
from helpers.references import images, output, randomized_state, relative, torch_output
from helpers.torchvision_cpu import import_torchvision

import converters
import tfseg

PUBLIC = "segmentation_models.pytorch, torchvision, transformers"
SIZES = ((128, 160), (192, 128))
NARROW = {"decoder_channels": (32, 16, 8, 8, 4)}, {"filters": (32, 16, 8, 8, 4)}
SMP_EFFICIENTNET = ("encoder__swish", "encoder__blocks_2_3", "encoder__blocks_4_3", "encoder__blocks_8__bn2", None)
# Decoder, encoder, options of the public network, and ours.
CASES = [
    ("Unet", "mobilenet_v2", *NARROW),
    ("Unet", "densenet121", *NARROW),
    ("Unet", "mit_b0", *NARROW),
    ("Unet", "tu-regnetx_002", *NARROW),
    ("UnetPlusPlus", "mobilenet_v2", *NARROW),
    ("Linknet", "densenet121", {}, {}),
    ("FPN", "mobilenet_v2", {}, {}),
    ("MAnet", "tu-mobilenetv3_small_075", *NARROW),
    ("UPerNet", "mit_b0", {"decoder_channels": 24}, {"filters": 24}),
    ("Segformer", "mit_b0", {}, {}),
    ("Segformer", "mobilenet_v2", {}, {}),
]


def encoder_of(module, *, several):
    """The module's encoder alone, which returns its deepest map, or all maps coarser than the image."""
    import torch

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = module.encoder

        def forward(self, image):
            maps = [x for x in self.encoder(image) if x.shape[1] and x.shape[2] < image.shape[2]]
            return maps if several else maps[-1]

    return Encoder().eval()


def check(model, module, rows, backbone, record, name):
    smp_decoders.fill(model, module, rows, filled=backbone)
    for size in SIZES:
        pixels = images(*size)
        comparison = smp_decoders.compare_decoders(model, module, rows, pixels)
        assert len(comparison) > len(rows) // 2
        record(name, comparison.worst)
        comparison.assert_close(1e-5)
        reference = torch_output(module, pixels)
        is_small = reference.shape[1] < size[0]  # transformers leaves enlarging the scores to its user
        scores = keras.Model(model.input, model.get_layer("logits").output) if is_small else model
        difference = relative(output(scores, pixels), reference)
        record(f"{name}, logits", difference)
        assert difference <= 1e-5


@pytest.mark.full
@pytest.mark.parametrize(
    ("decoder", "encoder", "public_options", "options"), CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES]
)
def test_a_decoder_equals_the_public_one(decoder, encoder, public_options, options, record):
    build = getattr(smp_decoders.smp(), decoder)
    module = randomized_state(build(encoder_name=encoder, encoder_weights=None, classes=3, **public_options))
    backbone, _ = converters.convert(encoder_of(module, several=False))
    model = getattr(tfseg, {"Segformer": "SegFormer"}.get(decoder, decoder))(backbone, 3, **options)
    check(model, module, (*smp_decoders.ROWS[decoder], smp_decoders.LOGITS), backbone, record, f"{decoder}, {encoder}")


@pytest.mark.full
@pytest.mark.parametrize("encoder", ["efficientnet-b0", "dpn68", "tu-hrnet_w18_small"])
def test_maps_that_its_authors_choose_are_the_outputs_of_the_backbone(encoder, record):
    module = randomized_state(
        smp_decoders.smp().Unet(encoder_name=encoder, encoder_weights=None, classes=3, **NARROW[0])
    )
    backbone, _ = converters.convert(encoder_of(module, several=True))
    assert len(backbone.outputs) == 5
    model = tfseg.Unet(backbone, 3, **NARROW[1])
    check(model, module, (*smp_decoders.ROWS["Unet"], smp_decoders.LOGITS), backbone, record, f"Unet, {encoder}")


@pytest.mark.full
@pytest.mark.parametrize("decoder", ["PAN", "DeepLabV3Plus"])
def test_a_decoder_on_a_dilated_encoder_equals_the_public_one(decoder, record):
    build = getattr(smp_decoders.smp(), decoder)
    module = randomized_state(build(encoder_name="mobilenet_v2", encoder_weights=None, classes=3))
    several = decoder == "PAN"
    backbone, _ = converters.convert(encoder_of(module, several=several))
    options = {} if several else {"upsampling": "bilinear_align_corners", "rates": (12, 24, 36)}
    model = getattr(tfseg, decoder)(backbone, 3, **options)
    rows = (*smp_decoders.ROWS[decoder], smp_decoders.LOGITS)
    check(model, module, rows, backbone, record, f"{decoder}, mobilenet_v2")


@pytest.mark.full
def test_taps_name_the_maps_of_segmentation_models_pytorchs_efficientnet(record):
    """It reads its stem, and the first block of a stage in the middle of stride 16."""
    module = randomized_state(
        smp_decoders.smp().Unet(encoder_name="efficientnet-b0", encoder_weights=None, classes=3, **NARROW[0])
    )
    backbone, _ = converters.convert(encoder_of(module, several=False))
    last = tfseg.last_maps(backbone)[32]._keras_history[0].name
    taps = [name or last for name in SMP_EFFICIENTNET]
    model = tfseg.Unet(backbone, 3, taps=taps, **NARROW[1])
    check(model, module, (*smp_decoders.ROWS["Unet"], smp_decoders.LOGITS), backbone, record, "Unet, efficientnet taps")


TORCHVISION = {
    "lraspp": (
        *smp_decoders.unit("classifier.cbr", "cbr"),
        ("classifier.scale.1", "scale_conv", "conv"),
        ("classifier.low_classifier", "low_logits", "conv"),
        ("classifier.high_classifier", "logits", "conv"),
    ),
    "deeplabv3": (
        *smp_decoders.aspp("classifier.0"),
        ("classifier.1", "head_conv", "conv"),
        ("classifier.2", "head_bn", "norm"),
        ("classifier.4", "logits", "conv"),
    ),
}


@pytest.mark.full
@pytest.mark.parametrize("head", TORCHVISION)
def test_torchvisions_heads_on_its_mobilenet(head, record):
    import torch

    build = getattr(import_torchvision().models.segmentation, f"{head}_mobilenet_v3_large")
    whole = randomized_state(build(weights=None, weights_backbone=None, num_classes=3))

    class Segmenter(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone, self.classifier, self.whole = whole.backbone, whole.classifier, [whole]

        def forward(self, image):
            return self.whole[0](image)["out"]

    class Backbone(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = whole.backbone

        def forward(self, image):
            maps = self.backbone(image)
            return [maps["low"], maps["high"]] if head == "lraspp" else maps["out"]

    module = Segmenter().eval()
    backbone, _ = converters.convert(Backbone().eval())
    model = tfseg.LRASPP(backbone, 3) if head == "lraspp" else tfseg.DeepLabV3(backbone, 3)
    check(model, module, TORCHVISION[head], backbone, record, f"{head}, mobilenet_v3_large")


def module_of(network):
    """A network of transformers as a module that takes an image and returns its scores."""
    import torch

    class Scores(type(network)):
        def forward(self, image):
            return super().forward(image).logits

    network.__class__ = Scores
    return torch.nn.Module.eval(network)


def unit(source, target):
    return (f"{source}.conv", f"{target}_conv", "conv"), (f"{source}.batch_norm", f"{target}_bn", "norm")


UPERNET = (
    *(
        row
        for index, side in enumerate((1, 2, 3, 6))
        for row in unit(f"decode_head.psp_modules.{index}.1", f"psp_{side}")
    ),
    *unit("decode_head.bottleneck", "psp_out"),
    *(row for index in range(3) for row in unit(f"decode_head.lateral_convs.{index}", f"lateral_{2 - index}")),
    *(row for index in range(3) for row in unit(f"decode_head.fpn_convs.{index}", f"fpn_{2 - index}")),
    *unit("decode_head.fpn_bottleneck", "fusion"),
    ("decode_head.classifier", "logits", "conv"),
)
SEGFORMER = (
    *((f"decode_head.linear_projections.{index}.proj", f"mlp_{3 - index}", "dense") for index in range(4)),
    ("decode_head.linear_fuse", "fuse_conv", "conv"),
    ("decode_head.batch_norm", "fuse_bn", "norm"),
    ("decode_head.classifier", "logits", "conv"),
)


@pytest.mark.full
def test_transformers_segformer(record):
    import torch

    transformers = pytest.importorskip("transformers")
    config = transformers.SegformerConfig(decoder_hidden_size=48, depths=[1, 1, 1, 1], num_labels=3)
    module = module_of(randomized_state(transformers.SegformerForSemanticSegmentation(config)))

    class Backbone(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.segformer = module.segformer

        def forward(self, image):
            return self.segformer(image).last_hidden_state

    backbone, _ = converters.convert(Backbone().eval())
    model = tfseg.SegFormer(backbone, 3, filters=48, upsampling="bilinear")
    check(model, module, SEGFORMER, backbone, record, "transformers' SegFormer")


@pytest.mark.full
def test_transformers_upernet(record):
    import torch

    transformers = pytest.importorskip("transformers")
    stages = [f"stage{index}" for index in range(1, 5)]
    encoder = transformers.ResNetConfig(
        embedding_size=16, hidden_sizes=[32, 48, 64, 96], depths=[1, 1, 2, 1], out_features=stages
    )
    config = transformers.UperNetConfig(backbone_config=encoder, hidden_size=24, num_labels=3, use_auxiliary_head=False)
    module = module_of(randomized_state(transformers.UperNetForSemanticSegmentation(config)))

    class Backbone(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = module.backbone

        def forward(self, image):
            return self.backbone(image).feature_maps[-1]

    backbone, _ = converters.convert(Backbone().eval())
    model = tfseg.UPerNet(backbone, 3, filters=24, normalize=False, upsampling="bilinear")
    check(model, module, UPERNET, backbone, record, "transformers' UPerNet")
