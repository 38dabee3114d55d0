"""Simulated providers: real HTTP servers that take SMS, keep a journal, and fail as scripted."""

from worker.lab.simulator.script import ReportPlan, Script
from worker.lab.simulator.server import Simulator

__all__ = ["ReportPlan", "Script", "Simulator"]
