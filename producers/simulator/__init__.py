"""A simulated campaign."""

from producers.simulator.campaign import Delivery, SimulationOptions, simulate

__all__ = ["Delivery", "SimulationOptions", "simulate"]
