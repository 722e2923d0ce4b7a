"""The command line of SynapseNet, over the SDK."""
