"""What should be wired. Pure: the language between the core and the drivers."""
