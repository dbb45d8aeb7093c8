"""Scores of labels and predictions; takes arrays and knows nothing else."""
