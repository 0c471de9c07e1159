"""The census: public networks of every kind, as their packages build them, with random weights."""

import dataclasses
import importlib
import math

import pytest
from helpers.torchvision_cpu import import_torchvision

# Package, "|", its networks. Architectures: one member of each family, small where it has a small one.
TABLE = """
torchvision | alexnet vgg11 vgg11_bn resnet18 resnext50_32x4d wide_resnet50_2 squeezenet1_1 densenet121 inception_v3
torchvision | googlenet shufflenet_v2_x1_0 mobilenet_v2 mobilenet_v3_small mnasnet1_0 efficientnet_b0 efficientnet_v2_s
torchvision | regnet_y_400mf convnext_tiny vit_b_32 swin_t swin_v2_t maxvit_t
torchvision.segmentation | fcn_resnet50 deeplabv3_resnet50 deeplabv3_mobilenet_v3_large lraspp_mobilenet_v3_large

timm | botnet26t_256 repvgg_a0 gcresnext26ts coat_lite_tiny convmixer_768_32 convnext_atto convnextv2_atto cpubone_nano
timm | csatv2 cspresnet50 darknet53 cspnext_tiny davit_tiny densenetblur121d dla34 dpn48b edgenext_xx_small
timm | efficientformer_l1 efficientformerv2_s0 efficientnet_b0 tf_efficientnet_b0 mnasnet_100 tinynet_e mobilenetv2_100
timm | efficientvim_m1 efficientvit_b0 efficientvit_m0 fasternet_t0 fastvit_t8 focalnet_tiny_srf gcvit_xxtiny
timm | ghostnet_100 hardcorenas_a hgnet_tiny hrnet_w18_small iformer_t inception_next_atto inception_resnet_v2
timm | inception_v4 lcnetv2_small levit_128s lowformer_b0 mambaout_femto coatnet_nano_rw_224 poolformer_s12
timm | mobilenetv3_large_100 mobilenetv4_conv_small lcnet_050 mobilevit_xxs mobilevitv2_050 mobilenetv5_300m_enc
timm | nasnetalarge nextvit_small nfnet_l0 dm_nfnet_f0 pit_ti_224 pnasnet5large pvt_v2_b0 rdnet_tiny regnety_002
timm | repghostnet_050 repvit_m0_9 res2net50_26w_4s resnest14d resnet50d ecaresnet26t resnetv2_50x1_bit rexnet_100
timm | selecsls42b legacy_seresnet18 seresnext26d_32x4d sequencer2d_s shvit_s1 skresnet18 starnet_s050 swiftformer_xs
timm | swin_tiny_patch4_window7_224 swinv2_cr_tiny_224 swinv2_tiny_window8_256 tiny_vit_5m_224 tresnet_m
timm | twins_pcpvt_small vgg11_bn visformer_tiny vit_tiny_patch16_224 vit_tiny_r_s16_p8_224 vitamin_small_224
timm | volo_d1_224 vovnet39a ese_vovnet19b_slim legacy_xception xception41 xcit_nano_12_p16_224

smp | Unet-resnet18 Unet-mobilenet_v2 Unet-efficientnet-b0 Unet-mit_b0 Unet-densenet121
smp | UnetPlusPlus-resnet18 UnetPlusPlus-mobilenet_v2 UnetPlusPlus-efficientnet-b0 UnetPlusPlus-densenet121
smp | FPN-resnet18 FPN-mobilenet_v2 FPN-efficientnet-b0 FPN-mit_b0 FPN-densenet121
smp | PAN-resnet18 PAN-mobilenet_v2 PAN-efficientnet-b0 PAN-mit_b0
smp | Linknet-resnet18 Linknet-mobilenet_v2 Linknet-efficientnet-b0 Linknet-densenet121
smp | MAnet-resnet18 MAnet-mobilenet_v2 MAnet-efficientnet-b0 MAnet-mit_b0 MAnet-densenet121
smp | PSPNet-resnet18 PSPNet-mobilenet_v2 PSPNet-efficientnet-b0 PSPNet-mit_b0 PSPNet-densenet121
smp | DeepLabV3-resnet18 DeepLabV3-mobilenet_v2 DeepLabV3-efficientnet-b0 DeepLabV3-mit_b0
smp | DeepLabV3Plus-resnet18 DeepLabV3Plus-mobilenet_v2 DeepLabV3Plus-efficientnet-b0 DeepLabV3Plus-mit_b0
smp | UPerNet-resnet18 UPerNet-mobilenet_v2 UPerNet-efficientnet-b0 UPerNet-mit_b0 UPerNet-densenet121
smp | Segformer-resnet18 Segformer-mobilenet_v2 Segformer-efficientnet-b0 Segformer-mit_b0 Segformer-densenet121
smp | DPT-tu-vit_tiny_patch16_224

transformers | segformer upernet-convnext mobilevit-deeplab mobilenetv2-deeplab dpt beit

papers | BiSeNet ENet SegNet
"""


@dataclasses.dataclass(frozen=True)
class PublicNetwork:
    """One row of the census.

    Attributes:
        package: package that builds it; "papers" for those of `helpers.real_time_nets`.
        name: name in its package; decoder and encoder for segmentation_models_pytorch ("smp").
    """

    package: str
    name: str


NETWORKS = [
    PublicNetwork(package.strip(), name)
    for line in TABLE.strip().splitlines()
    if line
    for package, names in [line.split("|")]
    for name in names.split()
]


def build_public_network(network):
    """The torch module in evaluation mode, its weights as its package draws them; skips where the package is missing."""
    return _BUILDERS[network.package](network.name).eval()


def _torchvision(name):
    return getattr(import_torchvision().models, name)(weights=None)


def _torchvision_segmentation(name):
    return getattr(import_torchvision().models.segmentation, name)(weights=None, weights_backbone=None)


def _timm(name):
    import_torchvision()
    return pytest.importorskip("timm").create_model(name, pretrained=False)


def _smp(name):
    import_torchvision()
    decoder, _, encoder = name.partition("-")
    return getattr(pytest.importorskip("segmentation_models_pytorch"), decoder)(
        encoder, encoder_weights=None, classes=3
    )


def _transformers(name):
    import_torchvision()
    library = pytest.importorskip("transformers")
    return {
        # The published configurations of SegFormer-B0, MobileViT-XXS and MobileNetV2 1.0; the others with fewer blocks.
        "segformer": lambda: library.SegformerForSemanticSegmentation(library.SegformerConfig(num_labels=19)),
        "upernet-convnext": lambda: library.UperNetForSemanticSegmentation(
            library.UperNetConfig(
                backbone_config=library.ConvNextConfig(
                    depths=[1, 1, 2, 1],
                    hidden_sizes=[32, 64, 96, 128],
                    out_features=["stage1", "stage2", "stage3", "stage4"],
                ),
                hidden_size=64,
                auxiliary_in_channels=96,
                num_labels=19,
            )
        ),
        "mobilevit-deeplab": lambda: library.MobileViTForSemanticSegmentation(
            library.MobileViTConfig(
                hidden_sizes=[64, 80, 96],
                neck_hidden_sizes=[16, 16, 24, 48, 64, 80, 320],
                expand_ratio=2.0,
                num_labels=21,
            )
        ),
        "mobilenetv2-deeplab": lambda: library.MobileNetV2ForSemanticSegmentation(
            library.MobileNetV2Config(num_labels=21)
        ),
        "dpt": lambda: library.DPTForSemanticSegmentation(
            library.DPTConfig(
                hidden_size=96,
                num_hidden_layers=4,
                num_attention_heads=3,
                intermediate_size=192,
                backbone_out_indices=[0, 1, 2, 3],
                neck_hidden_sizes=[24, 48, 96, 96],
                fusion_hidden_size=32,
                num_labels=19,
            )
        ),
        "beit": lambda: library.BeitForSemanticSegmentation(
            library.BeitConfig(
                hidden_size=96,
                num_hidden_layers=4,
                num_attention_heads=3,
                intermediate_size=192,
                out_indices=[1, 2, 3, 4],
                image_size=160,
                use_relative_position_bias=True,
                num_labels=19,
            )
        ),
    }[name]()


def _papers(name):
    return importlib.import_module("helpers.real_time_nets").NETS[name]()


_BUILDERS = {
    "torchvision": _torchvision,
    "torchvision.segmentation": _torchvision_segmentation,
    "timm": _timm,
    "smp": _smp,
    "transformers": _transformers,
    "papers": _papers,
}


def drawn(module, seed):
    """The module with parameters and statistics far from their defaults, drawn at random; none is zero."""
    import torch

    random = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if not value.dtype.is_floating_point:
            continue
        if "running_var" in name:
            value.uniform_(0.5, 2, generator=random)
        elif "running_mean" in name:
            value.normal_(0, 0.3, generator=random)
        elif value.ndim == 1 and "weight" in name:
            value.uniform_(0.5, 1.5, generator=random)
        elif value.ndim <= 1:
            value.normal_(0, 0.2, generator=random)
        else:
            value.normal_(0, math.sqrt(1.4 / value[0].numel()), generator=random)
    return module
