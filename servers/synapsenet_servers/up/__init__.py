"""`synapsenet up`: the cluster profile on one machine, every part a process of its own, for trying it out."""
