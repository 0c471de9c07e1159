"""Caffe networks written by protobuf itself, an implementation of the wire format that is not ours."""

import functools

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

LABELS = {"": 1, "repeated": 3}
TYPES = {"string": 9, "int32": 5, "int64": 3, "float": 2, "double": 1, "bool": 8}
V1_TYPES = {"Convolution": 4, "Data": 5, "InnerProduct": 14, "ReLU": 18, "Split": 22, "Deconvolution": 39}

# message: (field, number, label, type); from the public caffe.proto.
MESSAGES = {
    "BlobShape": [("dim", 1, "repeated", "int64")],
    "BlobProto": [
        ("num", 1, "", "int32"),
        ("channels", 2, "", "int32"),
        ("height", 3, "", "int32"),
        ("width", 4, "", "int32"),
        ("data", 5, "repeated", "float"),
        ("diff", 6, "repeated", "float"),
        ("shape", 7, "", "BlobShape"),
        ("double_data", 8, "repeated", "double"),
    ],
    "NetStateRule": [("phase", 1, "", "int32")],
    "InnerProductParameter": [("num_output", 1, "", "int32"), ("transpose", 6, "", "bool")],
    "V0LayerParameter": [("name", 1, "", "string"), ("blobs", 50, "repeated", "BlobProto")],
    "V1LayerParameter": [
        ("layer", 1, "", "V0LayerParameter"),
        ("bottom", 2, "repeated", "string"),
        ("top", 3, "repeated", "string"),
        ("name", 4, "", "string"),
        ("type", 5, "", "int32"),
        ("blobs", 6, "repeated", "BlobProto"),
        ("blobs_lr", 7, "repeated", "float"),
        ("include", 32, "repeated", "NetStateRule"),
    ],
    "LayerParameter": [
        ("name", 1, "", "string"),
        ("type", 2, "", "string"),
        ("bottom", 3, "repeated", "string"),
        ("top", 4, "repeated", "string"),
        ("loss_weight", 5, "repeated", "float"),
        ("blobs", 7, "repeated", "BlobProto"),
        ("include", 8, "repeated", "NetStateRule"),
        ("phase", 10, "", "int32"),
        ("inner_product_param", 117, "", "InnerProductParameter"),
    ],
    "NetParameter": [
        ("name", 1, "", "string"),
        ("layers", 2, "repeated", "V1LayerParameter"),
        ("layer", 100, "repeated", "LayerParameter"),
    ],
}
PACKED = {"data", "diff", "double_data", "dim"}


@functools.cache
def net_class(packed=True):
    """The class of `NetParameter` whose repeated numbers are written packed, or one tag a number."""
    file = descriptor_pb2.FileDescriptorProto(name=f"caffe_{packed}.proto", package=f"caffe_{packed}", syntax="proto2")
    for name, rows in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, label, kind in rows:
            made = message.field.add(name=field, number=number, label=LABELS[label], type=TYPES.get(kind, 11))
            if kind not in TYPES:
                made.type_name = f".{file.package}.{kind}"
            if field in PACKED:
                made.options.packed = packed
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.NetParameter"))


def network(layers, *, version=2, packed=True, legacy=False, double=False, name="net"):
    """A `NetParameter` of layers `(name, type, [arrays])`, or with a dictionary of further fields as a fourth."""
    net = net_class(packed)()
    if name:
        net.name = name
    for title, kind, arrays, *more in layers:
        layer = (net.layer if version == 2 else net.layers).add(name=title)
        layer.type = kind if version == 2 else V1_TYPES[kind]
        layer.bottom.append("below")
        for array in arrays:
            fill(layer.blobs.add(), np.asarray(array), legacy=legacy, double=double)
        for field, value in (more[0] if more else {}).items():
            if field == "transpose":
                layer.inner_product_param.transpose = value
            elif field == "include":
                layer.include.add(phase=value)
            else:
                setattr(layer, field, value)
    return net


def fill(blob, array, *, legacy=False, double=False):
    if legacy:
        blob.num, blob.channels, blob.height, blob.width = (1,) * (4 - array.ndim) + array.shape
    else:
        blob.shape.dim.extend(array.shape)
    (blob.double_data if double else blob.data).extend(array.ravel().tolist())
    blob.diff.extend([0.5, 0.25])


def write(path, net):
    path.write_bytes(net.SerializeToString())
    return path
