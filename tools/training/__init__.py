"""What train.py and test.py alone use: the check of a config."""
