"""Scores: estimates of bound and likelihood, clusterings against labels, generated samples."""
