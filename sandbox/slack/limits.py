"""Slack's limits as numbers, each of which a test may raise, lower or scale, and the budgets that apply the rates."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.slack.errors import RateLimited

TIER_2, TIER_3, TIER_4 = 20, 50, 100

PER_MINUTE: dict[str, int] = {
    "auth.test": 600,
    "apps.connections.open": TIER_3,
    "chat.update": TIER_3,
    "chat.delete": TIER_3,
    "chat.postEphemeral": TIER_4,
    "chat.getPermalink": 600,
    "conversations.history": TIER_3,
    "conversations.replies": TIER_3,
    "conversations.info": TIER_3,
    "conversations.join": TIER_3,
    "conversations.open": TIER_3,
    "conversations.list": TIER_2,
    "conversations.members": TIER_4,
    "users.info": TIER_4,
    "users.list": TIER_2,
    "users.lookupByEmail": TIER_3,
    "users.profile.get": TIER_4,
    "files.getUploadURLExternal": TIER_4,
    "files.completeUploadExternal": TIER_4,
    "files.info": TIER_4,
    "views.open": TIER_4,
    "views.update": TIER_4,
    "views.publish": TIER_4,
    "views.push": TIER_4,
    "reactions.add": TIER_3,
}


@dataclass(slots=True)
class Limits:
    """Sizes are characters unless said otherwise. Where sources differ the stricter figure stands."""

    blocks_per_message: int = 50
    blocks_per_view: int = 100
    attachments: int = 100
    truncate_text: int = 40_000
    update_text: int = 4_000
    message_block_text: int = 9_600  # undocumented; 9,597 was accepted and 11,341 refused (bolt-js 2509, 2867)
    metadata_bytes: int = 8_000
    text: int = 3_000
    fields: int = 10
    field_text: int = 2_000
    header: int = 150
    context_elements: int = 10
    action_elements: int = 25
    context_action_elements: int = 5
    button_text: int = 75
    button_value: int = 2_000
    url: int = 3_000
    identifier: int = 255
    option_text: int = 75
    option_value: int = 150
    options: int = 100
    overflow_options: int = 5
    choice_options: int = 10
    placeholder: int = 150
    confirm_title: int = 100
    confirm_text: int = 300
    confirm_button: int = 30
    input_label: int = 2_000
    alt_text: int = 2_000
    markdown: int = 12_000
    table_rows: int = 100
    table_columns: int = 20
    data_table_text: int = 20_000
    charts: int = 2
    chart_title: int = 50
    chart_series: int = 6
    chart_points: int = 20
    chart_label: int = 20
    card_title: int = 150
    card_body: int = 200
    card_buttons: int = 2
    carousel_cards: int = 10
    container_children: int = 10
    plan_tasks: int = 50
    alert_text: int = 200
    video_title: int = 199
    view_title: int = 24
    private_metadata: int = 3_000
    view_bytes: int = 250_000
    view_stack: int = 3
    trigger_s: float = 3.0
    response_url_posts: int = 5
    response_url_s: float = 1_800.0
    sockets: int = 10


@dataclass(slots=True)
class Rates:
    """Slack's rate limits, counted by `clock`. `scale` multiplies every allowance; `enabled` switches all of them.

    A tier is a window of 60 s without the unpublished burst on top. Posts have a bucket per channel
    (`post_per_s`, `post_burst`) and a window for the workspace; response_urls have a bucket per channel of their own.
    """

    clock: Callable[[], float]
    per_minute: dict[str, int] = field(default_factory=lambda: dict(PER_MINUTE))
    post_per_s: float = 1.0
    post_burst: int = 3
    posts_per_minute: int = 300
    scale: float = 1.0
    enabled: bool = True
    _windows: defaultdict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, method: str) -> None:
        """Count one call of `method`; raises RateLimited when its minute is spent."""
        if self.enabled and method in self.per_minute:
            self._window(method, self.per_minute[method])

    def take_post(self, channel: str, kind: str = "post") -> None:
        """Count one post to `channel`; raises RateLimited for that channel alone, or for the whole workspace."""
        if self.enabled:
            self._bucket(f"{kind}:{channel}")
            self._window("posts", self.posts_per_minute)

    def _window(self, key: str, allowed: int) -> None:
        now, window = self.clock(), self._windows[key]
        while window and window[0] <= now - 60:
            window.popleft()
        if len(window) >= max(1, int(allowed * self.scale)):
            raise RateLimited(max(1, math.ceil(window[0] + 60 - now)))
        window.append(now)

    def _bucket(self, key: str) -> None:
        now, rate = self.clock(), self.post_per_s * self.scale
        burst = max(1.0, self.post_burst * self.scale)
        left, then = self._buckets.get(key, (burst, now))
        left = min(burst, left + (now - then) * rate)
        if left < 1:
            self._buckets[key] = (left, now)
            raise RateLimited(max(1, math.ceil((1 - left) / rate)))
        self._buckets[key] = (left - 1, now)
