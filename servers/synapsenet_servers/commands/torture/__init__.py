"""The trial by random operations under random faults, and the judgement of what the platform made of them."""
