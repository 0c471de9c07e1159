"""Public networks, as their packages build them, from live modules: exact, or refused; none is wrong."""

import pytest
from helpers.references import randomized_state
from helpers.torchvision_cpu import import_torchvision

from converters import ConversionError
from converters.building.build import build_from_module

NETWORKS = {
    "torchvision": """
    resnet18 mobilenet_v2 vgg11 alexnet densenet121 googlenet inception_v3 mobilenet_v3_small
    efficientnet_b0 shufflenet_v2_x1_0 squeezenet1_1 mnasnet1_0 regnet_y_400mf convnext_tiny swin_t
    vit_b_32 maxvit_t
    """,
    "torchvision.segmentation": """
    lraspp_mobilenet_v3_large deeplabv3_mobilenet_v3_large deeplabv3_resnet50
    """,
    "timm": """
    resnet50d resnest14d res2net50_26w_4s hrnet_w18_small mobilenetv2_100 mobilenetv3_large_100
    tf_efficientnet_b0 efficientnet_b0 regnety_002 convnext_atto convnextv2_atto resnetv2_50x1_bit
    ecaresnet26t gcresnext26ts dla34 dpn48b xception41 nfnet_l0 seresnext26d_32x4d skresnet18 cspresnet50
    darknet53 ghostnet_100 mobilenetv4_conv_small vit_tiny_patch16_224 swin_tiny_patch4_window7_224
    pvt_v2_b0 edgenext_xx_small mobilevit_xxs poolformer_s12 repvgg_a0 rexnet_100 inception_v4 fastvit_t8
    hgnet_tiny tresnet_m visformer_tiny coatnet_nano_rw_224 levit_128s efficientvit_b0 tiny_vit_5m_224
    dm_nfnet_f0 vgg11_bn selecsls42b vovnet39a mnasnet_100 lcnet_050 tinynet_e hardcorenas_a
    """,
    "segmentation_models_pytorch": """
    Unet-resnet18 UnetPlusPlus-resnet18 FPN-resnet18 PAN-resnet18 Linknet-resnet18 MAnet-resnet18
    PSPNet-resnet18 DeepLabV3-resnet18 DeepLabV3Plus-resnet18 UPerNet-resnet18 Segformer-resnet18
    Unet-mobilenet_v2 Unet-efficientnet-b0 Unet-densenet121 Unet-mit_b0 FPN-efficientnet-b0 FPN-mit_b0
    Linknet-efficientnet-b0 PAN-efficientnet-b0 UPerNet-mit_b0 Segformer-mit_b0 DeepLabV3Plus-mobilenet_v2
    MAnet-mit_b0 DPT-tu-vit_tiny_patch16_224
    """,
}
# Networks with a step that is not built yet; the refusal names it.
REFUSED = """
    swin_t edgenext_xx_small mobilevit_xxs tresnet_m efficientvit_b0 tiny_vit_5m_224 vgg11_bn
    DPT-tu-vit_tiny_patch16_224
""".split()
CASES = [(package, name) for package, names in NETWORKS.items() for name in names.split()]


def build(package, name):
    models = import_torchvision().models
    if package == "torchvision":
        return getattr(models, name)(weights=None)
    if package == "torchvision.segmentation":
        return getattr(models.segmentation, name)(weights=None, weights_backbone=None)
    library = pytest.importorskip(package)
    if package == "timm":
        return library.create_model(name, pretrained=False)
    decoder, _, encoder = name.partition("-")
    return getattr(library, decoder)(encoder, encoder_weights=None, classes=3)


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")  # the packages', and torch.export's
@pytest.mark.parametrize(("package", "name"), CASES)
def test_public_networks_are_exact_or_refused(package, name):
    module = randomized_state(build(package, name))
    if name in REFUSED:
        with pytest.raises(
            ConversionError, match=r"cannot be built|changes a tensor|does not run|no counterpart|computes other steps"
        ):
            build_from_module(module)
        return
    # The result is compared with the module's at sizes that were not traced: at most 1e-5, or it is refused.
    _, receipt = build_from_module(module)
    assert receipt.parity["max relative difference"] <= 1e-5 or "in double precision" in str(receipt)
