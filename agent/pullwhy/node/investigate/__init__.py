"""Finding out why one image cannot be pulled here: when, by walk and by asking the runtime, and what comes of it."""
