"""Features: groups of typed values under entity keys, the newest of them online, all of them in a history."""
