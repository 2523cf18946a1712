"""A bundle with its own code, as MONAI's model zoo takes it."""
