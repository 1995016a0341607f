"""Pictures, clips and sound as numpy arrays: reading, writing, resampling. No torch here."""
