"""Part of train.py, test.py and new_search.py: the check of a config."""
