"""Priors of the continuous code, one file each."""
