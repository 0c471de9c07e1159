"""The families of checkpoints, in the documented order: where several fit a file, the first is taken."""

import re
from collections.abc import Sequence

from converters.errors import ConversionError
from converters.families import caffe, keras, pytorch, tensorflow
from converters.families.family import Family, FamilyNetwork
from converters.families.record_types import wrong_types
from tfseg import specs
from tfseg.specs import network_names

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        pytorch.torchvision.VGG,
        pytorch.torchvision.RESNET,
        pytorch.torchvision.SEGMENTATION,
        pytorch.torchvision_light.MOBILENET_V2,
        pytorch.torchvision_light.MOBILENET_V3,
        pytorch.torchvision_light.EFFICIENTNET,
        pytorch.densenet.DENSENET,
        pytorch.torchvision_light.DEEPLABV3,
        pytorch.torchvision_light.LRASPP,
        pytorch.pytorch_fcn.FCN,
        pytorch.pytorch_fcn.VGG16_FROM_CAFFE,
        pytorch.timm.RESNET,
        pytorch.timm_light.EFFICIENTNET,
        pytorch.timm_light.TF_EFFICIENTNET,
        pytorch.timm_light.CLIP_RESNET,
        pytorch.timm_further.MOBILENET_V2,
        pytorch.timm_further.HRNET,
        pytorch.timm_further.XCEPTION,
        pytorch.timm_further.RESNETV2,
        pytorch.timm_further.BIT,
        pytorch.cadene.SENET,
        pytorch.clip.RESNET,
        pytorch.detectron2.RESNET,
        pytorch.detectron.AFFINE,
        pytorch.detectron.NORMED,
        pytorch.caffe_resnet.PADDED,
        pytorch.caffe_resnet.CEIL,
        pytorch.huggingface.RESNET,
        pytorch.huggingface_mobilenet.DEEPLABV3,
        pytorch.huggingface_mobilenet.CLASSIFIER,
        pytorch.segformer.SEGFORMER,
        pytorch.segformer.MIT,
        pytorch.segformer.NVLABS,
        pytorch.segformer.NVLABS_MIT,
        pytorch.semseg.PSPNET,
        pytorch.semseg.INITMODEL,
        pytorch.csail.PPM,
        pytorch.csail.C1,
        pytorch.csail_further.UPERNET,
        pytorch.csail_further.HRNET,
        pytorch.csail_further.MOBILENET,
        pytorch.deeplabv2.KAZUTO,
        pytorch.deeplabv2.KAZUTO_BASE,
        pytorch.deeplabv2.ISHT7,
        pytorch.drn.DRN,
        pytorch.drn.SEGMENTER,
        pytorch.smp.SMP,
        pytorch.smp.SMP_TIMM,
        pytorch.mmpretrain.RESNET,
        pytorch.mmseg.MMSEG,
        pytorch.mmseg.MMSEG_UPERNET,
        pytorch.mmseg_further.HRNET,
        pytorch.mmseg_further.SEGFORMER,
        pytorch.mmseg_further.FPN,
        pytorch.encoding.FCN,
        pytorch.vainf.VAINF,
        pytorch.chenxi116.DEEPLABV3,
        pytorch.lextal.PSPNET,
        pytorch.jfzhang95.JFZHANG95,
        pytorch.jfzhang95.DRN,
        pytorch.yassouali.DEEPLABV3PLUS,
        pytorch.yassouali.PSPNET,
        pytorch.yassouali.FCN8S,
        pytorch.yassouali.SEGNET,
        pytorch.yassouali.UNET,
        pytorch.ptsemseg.PSPNET,
        pytorch.ptsemseg.FCN,
        pytorch.ptsemseg.UNET,
        pytorch.ptsemseg.SEGNET,
        pytorch.bubbliiiing.DEEPLABV3PLUS,
        pytorch.bubbliiiing.PSPNET,
        pytorch.bubbliiiing.UNET,
        pytorch.milesial.UNET,
        caffe.vgg.VGG,
        caffe.berkeley_fcn.CONTEXT,
        caffe.berkeley_fcn.SIFTFLOW,
        caffe.berkeley_fcn.NYUD,
        caffe.berkeley_fcn.NYUD_DEPTH,
        caffe.berkeley_fcn.FCN,  # which has any number of classes: after those with a fixed number
        caffe.resnet.RESNET,
        caffe.deeplabv2.DEEPLABV2,
        caffe.pspnet.PSPNET,
        keras.applications.VGG,
        keras.applications.MOBILENET_V2,
        keras.applications.RESNET,
        keras.applications.OLD_RESNET,
        keras.applications.OLDEST_RESNET,
        keras.qubvel.CLASSIFIER,
        *keras.qubvel.SEGMENTERS,
        keras.bonlime.DEEPLAB,
        keras.bubbliiiing.DEEPLAB,
        keras.bubbliiiing.PSPNET,
        keras.bubbliiiing.UNET,
        keras.pspnet.PSPNET,
        keras.pspnet.PACKAGE_PSPNET,
        keras.divamgupta.SEGMENTERS,
        tensorflow.kaffe.VGG,
        tensorflow.kaffe.RESNET,
        tensorflow.pspnet.PSPNET,
        tensorflow.pspnet.CLASSIFIER,
        caffe.senet.VGGFACE2,  # which has its number of people: before the family that has any number of classes
        caffe.senet.SENET,
        caffe.open_nsfw.OPEN_NSFW,
        caffe.deeplab_vgg.LARGEFOV,
        caffe.deeplab_vgg.ASPP,
        tensorflow.slim.RESNET,
        tensorflow.slim.RESNET_V2,
        tensorflow.big_transfer.BIT,
        tensorflow.deeplab.DEEPLAB,
        tensorflow.deeplab.BACKBONES,
        tensorflow.deeplab.VGG,
        tensorflow.drsleep_deeplabv2.DEEPLABV2,
    )
}


def register(family: Family, *, overwrite: bool = False) -> Family:
    """Adds a family of checkpoints, after the built-in ones; returns it.

    From then on `converters.convert`, `identify`, `import_weights`, `compare` and `export_weights` know it. Where a
    built-in family fits a file as well, the built-in one is taken unless `family=` names the other.

    Args:
        family: record of the family. CONTRIBUTING.md, "Add a family", has a worked example.
        overwrite: whether a registered family of the same name is replaced, in its place.

    Returns: the family.

    Raises:
        ConversionError: a record that cannot be used, or a name that is already registered.

    Example:
        >>> import dataclasses
        >>> from converters.families import FAMILIES
        >>> built_in = FAMILIES["torchvision/resnet"]
        >>> family = dataclasses.replace(built_in, name="me/resnet", preprocessing="caffe")
        >>> converters.register(family).name
        'me/resnet'
        >>> list(FAMILIES)[-1]
        'me/resnet'
        >>> del FAMILIES["me/resnet"]
    """
    check_family(family)
    if family.name in FAMILIES and not overwrite:
        raise ConversionError(
            f"A family of that name is registered: choose another name, or pass overwrite=True. Received: "
            f"name={family.name!r}"
        )
    FAMILIES[family.name] = family
    return family


def get_family(family: str | Family | None) -> Family | None:
    """The record with a family's name; a record and None are returned as they are.

    Raises:
        ConversionError: an unknown name, or a record that cannot be used.
    """
    if family is None:
        return None
    if isinstance(family, Family):
        check_family(family)
        return family
    if not isinstance(family, str) or family not in FAMILIES:
        raise ConversionError(f"The families known here are {', '.join(FAMILIES)}. Received: family={family!r}")
    return FAMILIES[family]


def check_family(family: Family) -> None:
    """Refuses a record with a value that would fail later, and says all that is wrong with it.

    Raises:
        ConversionError: listing what was expected and what came.
    """
    if not isinstance(family, Family):
        raise ConversionError(f"A family is a converters.families.Family. Received: {type(family).__name__}")
    others = [record for record in _records(family) if not isinstance(record, FamilyNetwork)]
    problems = [f"networks holds FamilyNetworks, not {record!r}" for record in others]
    problems += [problem for problem in wrong_types(family) if not (others and problem.startswith("networks "))]
    for record in _records(family):
        if isinstance(record, FamilyNetwork):
            problems += [f"in the network {record.name!r}, {problem}" for problem in wrong_types(record)]
    if problems:  # what follows reads the values
        raise _unusable(family, problems)
    if not family.name:
        problems.append(f"name is a text such as 'publisher/kind', not {family.name!r}")
    if family.preprocessing not in specs.PREPROCESSING:
        problems.append(f"preprocessing is one of {', '.join(specs.PREPROCESSING)}, not {family.preprocessing!r}")
    if strangers := set(family.datasets) - set(specs.CLASSES):
        problems.append(f"datasets are among {', '.join(specs.CLASSES)}, not {', '.join(sorted(strangers))}")
    if strangers := set(family.conventions) - set(specs.CONVENTIONS):
        problems.append(f"conventions are among {', '.join(specs.CONVENTIONS)}, not {', '.join(sorted(strangers))}")
    if not family.networks:
        problems.append("networks holds at least one FamilyNetwork")
    patterns = {"head": family.head, "features": family.features, "file_words": family.file_words, **family.parts}
    for field, pattern in patterns.items():
        try:
            re.compile(pattern or "")
        except re.error as error:
            problems.append(f"{field} is a regular expression, not {pattern!r} ({error})")
    for network in family.networks:
        if network.name not in network_names():
            problems.append(f"a network has a name of tfseg.list_models(), not {network.name!r}")
        for key in (network.first, network.classes or family.classes):
            if network.table.forward(key) is None:
                problems.append(f"the table of {network.name} has no row for {key!r}")
    if problems:
        raise _unusable(family, problems)


def _records(family: Family) -> tuple[object, ...]:
    return family.networks if isinstance(family.networks, tuple) else ()


def _unusable(family: Family, problems: Sequence[str]) -> ConversionError:
    return ConversionError(f"The family {family.name} cannot be used: {'; '.join(problems)}.")
