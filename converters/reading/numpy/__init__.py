"""What NumPy saves: .npz archives, and the .npy files of caffe-tensorflow."""
