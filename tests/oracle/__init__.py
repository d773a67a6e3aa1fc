"""The slow, obvious judge of the data path: a generator of life histories, an oracle on lists and dicts, and the comparison."""
