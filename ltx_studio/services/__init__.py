"""What works beside the window: the engine's thread, playback, memory readings, the desktop's file manager."""
