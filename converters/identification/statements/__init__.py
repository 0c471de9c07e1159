"""What stands beside the weights and says which network they are: a hub's configuration, labels of a training."""
