"""What the tools that time networks use: their arguments and tables."""
