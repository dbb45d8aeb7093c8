"""What pages show; the only code that knows HTML and matplotlib."""
