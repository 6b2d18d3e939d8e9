"""Arguments and tables of the tools that time networks."""
