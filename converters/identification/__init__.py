"""What a checkpoint is: its tensors are opened, named and compared with the families known here."""
