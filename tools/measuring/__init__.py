"""What the tools that time networks share: their arguments."""
