"""Environment locks of strangers: which packages, of which versions, a model was made with. Read as data, never run, never resolved."""
