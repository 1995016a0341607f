"""What the studio and its installer share about an installation: its state, folders, locks, files and messages.

Standard library only, no Qt, no engine and no network: `installers/install.py` uses it with a plain Python, before
anything else is there, and the studio reads the same state from inside. What fetches and builds is in `installers/`.
"""
