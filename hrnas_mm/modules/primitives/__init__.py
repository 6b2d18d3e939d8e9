"""Functions and layers that blocks and their deployed forms share."""
