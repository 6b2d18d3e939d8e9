"""Part of convert_official.py: the authors' names and formats."""
