"""Parts of compare.py: its runs, their trainings, the picture."""
