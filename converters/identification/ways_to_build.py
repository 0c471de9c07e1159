"""Which program or code of its own a source of no known family has: a sentence, found without reading any weights."""

import os
from collections.abc import Mapping

from converters.identification.sources import Source
from converters.reading.caffe.definitions import defined_net
from converters.reading.tensorflow.graph_file import META_GRAPH, graph_kind

_FOLDERS = {
    "_model_class": "segmentation_models_pytorch",
    "model_type": "transformers",
    "architecture": "timm",
}


def way_to_build(source: Source) -> str:
    """What `tfseg convert` builds the network of a source from, where no family has it; "" where nothing says it.

    Args:
        source: opened source.
    """
    if len(source.checkpoints) != 1:
        return ""
    (checkpoint,) = source.checkpoints
    if checkpoint.graph:
        return "`tfseg convert` builds it from its own graph, and compares it with onnxruntime where that is installed"
    if checkpoint.keras_config:
        return "`tfseg convert` builds it from its own configuration, and compares it with what Keras loads"
    if checkpoint.format == "Caffe":
        if defined_net(checkpoint.path) is not None:
            return "`tfseg convert` builds it from the layers that the file defines"
        return "`tfseg convert --prototxt=deploy.prototxt` builds it from its layers"
    if any(graph_kind(_meta_graph(file)) == META_GRAPH for file in checkpoint.files):
        return "`tfseg convert` builds it from the graph beside it"
    config = checkpoint.documents.get("config.json")
    if isinstance(config, Mapping) and not config.get("auto_map"):
        for entry, package in _FOLDERS.items():
            if isinstance(config.get(entry), str):
                return f"`tfseg convert` builds it with the code of {package}, if that is installed and has the network"
    return ""


def _meta_graph(file: str | os.PathLike[str]) -> str:
    return f"{os.fspath(file).removesuffix('.index')}.meta"
