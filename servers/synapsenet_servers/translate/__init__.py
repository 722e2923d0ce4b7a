"""Protobuf messages to the areas' models and back, only here."""
