"""What blocks and their deployed forms are both made of."""
