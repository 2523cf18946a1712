"""The simulation of active learning."""
