"""Simulated providers: real HTTP servers that take SMS, write a journal, and fail by script."""

from worker.lab.simulator.script import ReportPlan, Script
from worker.lab.simulator.server import Simulator

__all__ = ["ReportPlan", "Script", "Simulator"]
