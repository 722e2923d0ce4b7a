"""Locks and membership in etcd v3: the ports of coordination for the cluster profile."""
