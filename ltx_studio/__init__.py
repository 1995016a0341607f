"""LTX Studio: the window and the command line around the engine. Never imports torch by itself."""

__version__ = "0.1.0"
