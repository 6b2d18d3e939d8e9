"""What only test.py uses."""
