"""Files of projects that no package index has, made from twins of their networks."""

import functools
from collections.abc import Iterator
from typing import Any

from helpers.deep_stem_twins import SemsegPSPNet
from helpers.deeplab_twins import DeepLab
from helpers.fcn_twins import Mmseg
from helpers.file_forms import PublicFile, State, named, openmmlab, twin
from helpers.milesial_twin import MilesialUnet
from helpers.mmseg_twins import HRNetFCN, SegFormer
from helpers.msra_twin import msra_resnet
from helpers.pspnet_twins import Bubbliiiing, Lextal, Meetps, Yassouali
from helpers.renamed_states import msra_blobs, of_meetps, of_yassouali
from helpers.repository_twins import FCN, BubbliiiingUnet, PlainUnet, SegNet

_MMSEG = {
    "fcn_r50-d8": (50, "c", "fcn"),
    "pspnet_r50b-d8": (50, "", "pspnet"),
    "deeplabv3_r50-d8": (50, "c", "deeplabv3"),
    "deeplabv3plus_r50-d8": (50, "c", "deeplabv3plus"),
    "upernet_r50": (50, "c", "upernet"),
    "fpn_r50": (50, "c", "fpn"),
}


def _saver(state: State) -> Any:
    """What jfzhang95's and chenxi116's trainers keep."""
    return {"epoch": 50, "state_dict": dict(state), "optimizer": {"state": {}, "param_groups": []}, "best_pred": 0.7}


def _vainf(state: State) -> Any:
    return {"cur_itrs": 30000, "model_state": dict(state), "best_score": 0.7}


def _renamed(rename: Any, state: State) -> State:
    return {rename(key): value for key, value in state.items()}


def _deep_name(key: str) -> str:
    """yassouali's stem lies in one more sequence."""
    return key.replace("backbone.conv1.", "backbone.layer0.0.").replace("backbone.bn1.", "backbone.layer0.1.")


def _msra(folded: bool) -> tuple[Any, Any]:
    module = msra_resnet(folded)
    return module, msra_blobs(module, folded)


def _bare(state: State) -> Any:
    return _saver({f"module.{key.removeprefix('backbone.')}": value for key, value in state.items()})


def _log_softmax(logits: Any) -> Any:
    import torch

    return torch.from_numpy(logits).log_softmax(1).numpy()


def _files() -> Iterator[PublicFile]:
    for name, numbers in _MMSEG.items():
        yield twin("mmsegmentation", name, functools.partial(Mmseg, *numbers), openmmlab)
    yield twin("mmsegmentation", "fcn_hr18s", lambda: HRNetFCN("hrnet_w18_small_v2"), openmmlab)
    yield twin("mmsegmentation", "segformer_mit-b0", lambda: SegFormer("mit_b0"), openmmlab)
    yield PublicFile("Detectron", "MSRA/R-50.pkl", functools.partial(_msra, True), named("R-50.pkl"))
    yield PublicFile("detectron2", "MSRA/R-50.pkl", functools.partial(_msra, False), named("R-50.pkl"))
    for name, style, backbone, stride in (
        ("deeplabv3_resnet50 os16", "vainf v3", "resnet50", 16),
        ("deeplabv3plus_resnet50 os16", "vainf v3+", "resnet50", 16),
        ("deeplabv3plus_resnet50 os8", "vainf v3+", "resnet50", 8),
        ("deeplabv3plus_mobilenet os16", "vainf v3+", "mobilenet", 16),
    ):
        build = functools.partial(DeepLab, style, backbone, output_stride=stride)
        saved = named(f"best_{name.split()[0]}_voc_os{stride}.pth")
        yield twin("VainF", name, build, _vainf, save=saved)
    for backbone, label, stride in (
        ("resnet101", "resnet", 16),
        ("mobilenet", "mobilenet", 16),
        ("drn", "drn", 8),
        ("xception", "xception", 16),
    ):
        build = functools.partial(DeepLab, "jfzhang95", backbone, output_stride=stride)
        yield twin("jfzhang95", f"deeplab-{label}", build, _saver, save=named("model_best.pth.tar"))
    yield twin("chenxi116", "deeplabv3 resnet101", functools.partial(DeepLab, "chenxi116", "resnet101"), _bare)
    for bilinear in (False, True):
        yield twin("milesial", f"unet bilinear={bilinear}", functools.partial(MilesialUnet, bilinear))
    for backbone in ("mobilenet", "xception"):
        yield twin("bubbliiiing", f"deeplab-{backbone}", functools.partial(DeepLab, "bubbliiiing", backbone))
    for backbone in ("resnet50", "mobilenet"):
        yield twin("bubbliiiing", f"pspnet-{backbone}", functools.partial(Bubbliiiing, backbone, 16))
    for backbone in ("vgg", "resnet50"):
        yield twin("bubbliiiing", f"unet-{backbone}", functools.partial(BubbliiiingUnet, backbone))
    rename = functools.partial(_renamed, _deep_name)
    yield twin("yassouali", "DeepLab", functools.partial(DeepLab, "yassouali", "resnet50"), rename)
    yield twin("yassouali", "PSPNet", functools.partial(Yassouali, 50), functools.partial(_renamed, of_yassouali))
    yield twin("meetps", "pspnet", functools.partial(Meetps, 50), functools.partial(_renamed, of_meetps))
    for package in ("meetps", "yassouali"):
        yield twin(package, "fcn8s", functools.partial(FCN, package))
        yield twin(package, "segnet", functools.partial(SegNet, package))
    yield twin("yassouali", "unet", functools.partial(PlainUnet, "yassouali"))
    unpadded = ((204, 236), (220, 204))  # sizes that its code takes
    yield twin("meetps", "unet", functools.partial(PlainUnet, "meetps"), sizes=unpadded)
    for name, skips in (("fcn32s", 0), ("fcn16s", 1)):
        yield twin("meetps", name, functools.partial(FCN, "meetps", skips=skips, upscores=False))
    yield twin("hszhao", "pspnet50", functools.partial(SemsegPSPNet, 50))
    yield twin(
        "Lextal", "pspnet_resnet50", functools.partial(Lextal, 50), after=_log_softmax, sizes=((128, 160), (192, 136))
    )


REPOSITORY_FILES = tuple(_files())
