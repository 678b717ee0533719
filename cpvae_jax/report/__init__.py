"""What a run reports: scores on the test split, and pictures."""
