"""Densities, divergences and draws, one file per distribution. Events are the last axis."""
