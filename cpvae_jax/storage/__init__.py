"""What a run leaves on disk: its folder, its checkpoints, their manifests, and safe file access."""
