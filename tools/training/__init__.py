"""Part of train.py and test.py: the check of a config."""
