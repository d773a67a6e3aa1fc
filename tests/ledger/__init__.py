"""The data path, fault by fault and rule by rule."""
