"""What needs this repository: reproduce, profiles, plan, rehearse, bench, grading, and the training of the embedded models."""
