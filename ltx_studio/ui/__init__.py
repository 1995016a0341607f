"""The window: one file per panel. Panels read the state and call the window's commands; they never call each other."""
