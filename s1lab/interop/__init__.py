"""Other programs: lm-evaluation-harness, result files in its form, and the import paths of version 0.1."""
