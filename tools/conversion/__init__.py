"""What convert_official.py alone uses: the authors' names and formats."""
