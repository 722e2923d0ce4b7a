"""The demo: the platform's main job from end to end on real data, as a user of its SDK and of HTTP."""
