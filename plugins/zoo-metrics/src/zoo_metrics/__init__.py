"""What the zoo measures."""
