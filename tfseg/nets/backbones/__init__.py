"""Light and newer backbones: a file a family of networks."""
