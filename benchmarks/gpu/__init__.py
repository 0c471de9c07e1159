"""tfseg on an accelerator: speed beside PyTorch, trainings with a score, and parity with the CPU."""
