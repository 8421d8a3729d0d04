"""Other programs: lm-evaluation-harness, its result files, and the import paths of version 0.1."""
