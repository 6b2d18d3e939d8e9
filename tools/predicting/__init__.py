"""What only predict.py needs."""
