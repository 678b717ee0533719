"""The model: `cpvae` is the paper from top to bottom; the other files are what lies below z."""
