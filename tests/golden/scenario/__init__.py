"""What is asked of the platform while it is recorded: every external RPC of the four areas, and its refusals.

The scenarios follow each other on one platform; each says what the later ones find.
"""
