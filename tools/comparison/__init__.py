"""What compare.py alone uses: its runs, their trainings, the picture."""
