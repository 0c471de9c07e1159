"""Where in a file a known network stands complete: the prefix of its keys, and what stands beside it.

Training code puts networks into other modules (`model.`, `module.encoder_q.`, `student.backbone.`), numbers their parts
(`nn.Sequential(*resnet.children())`), and keeps losses, averages and projections beside them. A `View` is a source
without all that: the keys of one subtree as the network itself has them.

What stands beside decides. What training alone needs is left out and listed. A convolution that nothing here explains
may read the network's features: then the file is another network, and a trunk is taken out of it only if asked for.
"""
