"""CP-VAE as a good PyTorch user writes it: the model, programs that train it, and scoring."""
