"""A known network as trainers and users wrap it: under prefixes, in dictionaries, with other tensors beside it."""

import functools
import itertools

import torch
from helpers.torchvision_cpu import import_torchvision

ZEROS = functools.partial(torch.zeros)


@functools.cache
def resnet(num_classes=3):
    """A ResNet-18 whose tensors differ from each other."""
    torch.manual_seed(0)
    state = import_torchvision().models.resnet18(num_classes=num_classes).state_dict()
    return {key: tensor + 1e-4 * index for index, (key, tensor) in enumerate(state.items())}


@functools.cache
def trunk():
    """Its tensors without the last layer."""
    return {key: tensor for key, tensor in resnet().items() if not key.startswith("fc")}


@functools.cache
def vgg():
    """The features of a VGG-11."""
    torch.manual_seed(0)
    state = import_torchvision().models.vgg11(num_classes=3).state_dict()
    return {key: tensor for key, tensor in state.items() if key.startswith("features")}


def under(prefix, state=None):
    """The tensors with a prefix before their names."""
    return {prefix + key: tensor for key, tensor in (state or resnet()).items()}


def numbered(state=None):
    """The names that nn.Sequential(*resnet.children()) gives."""
    places = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7", "fc": "9"}
    parts = {key: key.partition(".") for key in (state or trunk())}
    return {f"{places[first]}.{rest}": (state or trunk())[key] for key, (first, _, rest) in parts.items()}


def mlp(prefix, *sizes):
    """Dense layers with activations between."""
    layers = {}
    for index, (inputs, units) in enumerate(itertools.pairwise(sizes)):
        layers |= {f"{prefix}.{2 * index}.weight": ZEROS(units, inputs), f"{prefix}.{2 * index}.bias": ZEROS(units)}
    return layers


def norm(prefix, size):
    """The tensors of a BatchNorm."""
    tensors = {"weight": ZEROS(size), "bias": ZEROS(size), "running_mean": ZEROS(size), "running_var": ZEROS(size)}
    return {f"{prefix}.{key}": tensor for key, tensor in tensors.items()}


MOCO_QUEUE = {"module.queue": ZEROS(128, 16), "module.queue_ptr": ZEROS(1, dtype=torch.long)}
LIGHTNING = {"criterion.weight": ZEROS(3), "val_metrics.confmat": ZEROS(3, 3, dtype=torch.long)}
DINO_HEAD = {
    "head.mlp.0.weight": ZEROS(16, 512),
    "head.mlp.0.bias": ZEROS(16),
    "head.last_layer.weight_v": ZEROS(9, 16),
}

CLASSIFIERS = {
    "Lightning": {"state_dict": under("model.") | LIGHTNING, "hyper_parameters": {}},
    "Lightning's mean and std": {"state_dict": under("net.") | {"mean": ZEROS(1, 3, 1, 1), "std": ZEROS(1, 3, 1, 1)}},
    "two levels": under("model.net.") | {"model.loss_fn.pos_weight": ZEROS(1)},
    **{prefix: {"state_dict": under(prefix)} for prefix in ("net.", "resnet.", "encoder.", "backbone.", "self.model.")},
    "timm in transformers": under("timm_model."),
    "knowledge distillation": under("student.") | {"loss.weight": ZEROS(3)},
    "AveragedModel": under("module.") | {"n_averaged": ZEROS((), dtype=torch.long)},
    "AveragedModel of DataParallel": under("module.module.") | {"n_averaged": ZEROS((), dtype=torch.long)},
    "torch.compile": under("model._orig_mod.") | LIGHTNING,
    "torch.compile inside": {key.replace("layer1.", "layer1._orig_mod."): value for key, value in resnet().items()},
    "robustness": {
        "model": under("module.model.")
        | under("module.attacker.model.")
        | {"module.normalizer.new_mean": ZEROS(3, 1, 1), "module.attacker.normalize.new_std": ZEROS(3, 1, 1)},
        "epoch": 3,
    },
    "mean teacher": under("teacher.") | under("student."),
    "one dictionary a network": {"student": under("module."), "teacher": under("module."), "epoch": 3},
}
TRUNKS = {
    "VISSL": {
        "classy_state_dict": {"base_model": {"model": {"trunk": under("_feature_blocks.", trunk()), "heads": {}}}}
    },
    "MoCo v1": {"state_dict": under("module.encoder_q.") | under("module.encoder_k.") | MOCO_QUEUE},
    "MoCo v2": {
        "state_dict": under("module.encoder_q.", trunk() | mlp("fc", 512, 512, 128))
        | under("module.encoder_k.", trunk() | mlp("fc", 512, 512, 128))
        | MOCO_QUEUE
    },
    "MoCo v3": under("module.base_encoder.", trunk() | mlp("fc", 512, 16))
    | under("module.momentum_encoder.", trunk() | mlp("fc", 512, 16))
    | mlp("module.predictor", 16, 16),
    "SimSiam": under("module.encoder.", trunk() | mlp("fc", 512, 16) | norm("fc.3", 16))
    | mlp("module.predictor", 16, 8),
    "SwAV": under(
        "module.",
        trunk()
        | mlp("projection_head", 512, 16)
        | norm("projection_head.1", 16)
        | {"projection_head.1.num_batches_tracked": ZEROS(1, dtype=torch.long), "prototypes.weight": ZEROS(30, 16)},
    ),
    "DenseCL without its backbone": under("encoder_q.0.", trunk())
    | under("encoder_q.1.", {"mlp.0.weight": ZEROS(16, 512), "mlp2.0.weight": ZEROS(16, 512, 1, 1)})
    | {"queue": ZEROS(16, 8)},
    "DINO": {
        "student": under("module.backbone.", trunk()) | under("module.", DINO_HEAD),
        "teacher": under("backbone.", trunk()) | DINO_HEAD,
        "dino_loss": {"center": ZEROS(1, 9)},
        "epoch": 3,
    },
    "DenseCL": under("backbone.", trunk())
    | under("encoder_q.0.", trunk())
    | under("encoder_q.1.", {"mlp.0.weight": ZEROS(16, 512), "mlp2.0.weight": ZEROS(16, 512, 1, 1)})
    | {"neck.mlp2.0.weight": ZEROS(16, 512, 1, 1), "queue": ZEROS(16, 8), "queue2": ZEROS(16, 8)},
    "Barlow Twins": {
        "model": under("module.backbone.", trunk())
        | {"module.projector.0.weight": ZEROS(16, 512), "module.bn.running_mean": ZEROS(16)}
        | {"module.bn.running_var": ZEROS(16)},
        "epoch": 3,
    },
    "lightly": {"state_dict": under("backbone.", numbered()) | mlp("projection_head.layers", 512, 16)},
    "children": numbered(),
    "DINO's backbone": trunk(),
    "DenseCL's extracted backbone": {"state_dict": trunk(), "author": "DenseCL"},
    "fastai": {"model": under("0.", numbered())},
    "VICReg": under("backbone.", trunk()) | mlp("projector", 512, 16),
}
