"""The network on one machine: a hub and two stations as separate processes, with invented people."""
