"""What the window shows, as observable objects without widgets."""
