"""Waiting times in milliseconds, fixed or random. The caller passes the random generator."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Self

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat, model_validator

if TYPE_CHECKING:
    import random

_Z95: Final = 1.6448536269514722
"""95th percentile of the standard normal distribution."""


class Model(BaseModel):
    """Frozen, and strict about field names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Uniform(Model):
    """Any value between two bounds, milliseconds."""

    min: NonNegativeFloat
    max: NonNegativeFloat

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"expected min <= max, got {self.min} and {self.max}")
        return self

    def draw(self, chance: random.Random) -> float:
        """One value, milliseconds."""
        return chance.uniform(self.min, self.max)


class LogNormal(Model):
    """A distribution with a long tail, as of real services, by two quantiles in ms."""

    median: PositiveFloat
    p95: PositiveFloat

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.median > self.p95:
            raise ValueError(f"expected median <= p95, got {self.median} and {self.p95}")
        return self

    def draw(self, chance: random.Random) -> float:
        """One value, milliseconds."""
        mu = math.log(self.median)
        return chance.lognormvariate(mu, (math.log(self.p95) - mu) / _Z95)


Latency = NonNegativeFloat | Uniform | LogNormal


def draw(latency: Latency, chance: random.Random) -> float:
    """Draw one waiting time in milliseconds. A plain number is returned as it is."""
    return latency if isinstance(latency, float) else latency.draw(chance)
