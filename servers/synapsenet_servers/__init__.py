"""The platform's processes: servicers over the areas, peers between them, and their composition."""
