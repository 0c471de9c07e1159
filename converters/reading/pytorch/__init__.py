"""What torch.save writes: zip files and the older stream."""
