"""ThingsBoard's rate limits: token buckets that refill evenly, written as "capacity:seconds,capacity:seconds"."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class _Bucket:
    capacity: int
    period_s: float
    tokens: float
    at_s: float = 0.0


@dataclass(slots=True)
class Buckets:
    """All buckets must have a token for a call to pass. No buckets: unlimited, the default of a new tenant."""

    buckets: list[_Bucket] = field(default_factory=list)

    @classmethod
    def parse(cls, written: str, now_s: float) -> Buckets:
        pairs = (part.split(":") for part in written.split(",") if part)
        return cls([_Bucket(int(n), float(s), float(n), now_s) for n, s in pairs])

    def take(self, now_s: float) -> bool:
        for bucket in self.buckets:
            gained = (now_s - bucket.at_s) * bucket.capacity / bucket.period_s
            bucket.tokens = min(bucket.capacity, bucket.tokens + gained)
            bucket.at_s = now_s
        if any(bucket.tokens < 1 for bucket in self.buckets):
            return False
        for bucket in self.buckets:
            bucket.tokens -= 1
        return True
