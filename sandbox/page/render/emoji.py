"""Emoji by their Slack names: those the bot writes and those people commonly use. Others stay `:name:`."""

from __future__ import annotations

import re

from sandbox.page.render.html import Html, tag, text

SHORTCODE = r":[a-z0-9_+'-]+:(?::skin-tone-[2-6]:)?"
"""What Slack takes for an emoji, if it knows the name."""

_TONES = {f"skin-tone-{number}": chr(0x1F3F9 + number) for number in range(2, 7)}
_PIECE = re.compile(f"({SHORTCODE})")


def emoji(name: str, shown: str | None = None) -> Html:
    """The emoji called `name` (with or without a skin tone), or `:name:` where it is unknown.

    `shown` is its character where the message brings it along.
    """
    base, _, tone = name.partition("::")
    found = shown or EMOJI.get(base)
    if found is None:
        return text(f":{name}:")
    label = base.replace("_", " ").replace("-", " ")
    return tag("span", {"class": "bk-emoji", "role": "img", "aria-label": label}, found + _TONES.get(tone, ""))


def with_emoji(value: str) -> list[Html]:
    """Foreign text in which the names of emoji are live and nothing else is."""
    pieces = _PIECE.split(value)
    return [emoji(piece[1:-1]) if index % 2 else text(piece) for index, piece in enumerate(pieces)]


EMOJI = {
    # colours and shapes
    "red_circle": "🔴", "large_orange_circle": "🟠", "large_yellow_circle": "🟡", "large_green_circle": "🟢",
    "large_blue_circle": "🔵", "large_purple_circle": "🟣", "large_brown_circle": "🟤", "black_circle": "⚫",
    "white_circle": "⚪", "large_red_square": "🟥", "large_orange_square": "🟧", "large_yellow_square": "🟨",
    "large_green_square": "🟩", "large_blue_square": "🟦", "black_large_square": "⬛", "white_large_square": "⬜",
    "small_red_triangle": "🔺", "small_red_triangle_down": "🔻", "large_blue_diamond": "🔷",
    # states
    "white_check_mark": "✅", "heavy_check_mark": "✔️", "ballot_box_with_check": "☑️", "x": "❌",
    "negative_squared_cross_mark": "❎", "warning": "⚠️", "rotating_light": "🚨", "no_entry": "⛔",
    "no_entry_sign": "🚫", "octagonal_sign": "🛑", "stop_sign": "🛑", "construction": "🚧", "question": "❓",
    "grey_question": "❔", "exclamation": "❗", "heavy_exclamation_mark": "❗", "grey_exclamation": "❕",
    "bangbang": "‼️", "information_source": "ℹ️", "sos": "🆘", "ok": "🆗", "new": "🆕", "up": "🆙",
    "hourglass": "⌛", "hourglass_flowing_sand": "⏳", "alarm_clock": "⏰", "stopwatch": "⏱️", "timer_clock": "⏲️",
    "watch": "⌚", "zzz": "💤", "fire": "🔥", "boom": "💥", "zap": "⚡", "skull": "💀", "snowflake": "❄️",
    # controls and arrows
    "arrow_forward": "▶️", "double_vertical_bar": "⏸️", "pause_button": "⏸️", "black_square_for_stop": "⏹️",
    "fast_forward": "⏩", "rewind": "⏪", "arrows_counterclockwise": "🔄", "repeat": "🔁",
    "leftwards_arrow_with_hook": "↩️", "arrow_right_hook": "↪️", "arrow_up": "⬆️", "arrow_down": "⬇️",
    "arrow_left": "⬅️", "arrow_right": "➡️",
    "arrow_up_small": "🔼", "arrow_down_small": "🔽", "arrow_upper_right": "↗️", "arrow_lower_right": "↘️",
    "heavy_plus_sign": "➕", "heavy_minus_sign": "➖", "heavy_multiplication_x": "✖️", "recycle": "♻️",
    # work
    "eyes": "👀", "mag": "🔍", "mag_right": "🔎", "link": "🔗", "lock": "🔒", "unlock": "🔓", "key": "🔑",
    "closed_lock_with_key": "🔐", "shield": "🛡️", "bell": "🔔", "no_bell": "🔕", "mega": "📣", "loudspeaker": "📢",
    "speech_balloon": "💬", "memo": "📝", "pencil": "✏️", "pencil2": "✏️", "clipboard": "📋", "pushpin": "📌",
    "round_pushpin": "📍", "paperclip": "📎", "page_facing_up": "📄", "bookmark": "🔖", "label": "🏷️",
    "file_folder": "📁", "open_file_folder": "📂", "card_index_dividers": "🗂️", "wastebasket": "🗑️", "package": "📦",
    "inbox_tray": "📥", "outbox_tray": "📤", "email": "📧", "envelope": "✉️", "calendar": "📅", "date": "📅",
    "spiral_calendar_pad": "🗓️", "bar_chart": "📊", "chart_with_upwards_trend": "📈",
    "chart_with_downwards_trend": "📉", "gear": "⚙️", "wrench": "🔧", "hammer": "🔨", "hammer_and_wrench": "🛠️",
    "nut_and_bolt": "🔩", "toolbox": "🧰", "computer": "💻", "desktop_computer": "🖥️", "satellite": "📡",
    "satellite_antenna": "📡", "electric_plug": "🔌", "battery": "🔋", "bulb": "💡", "floppy_disk": "💾",
    "globe_with_meridians": "🌐", "cloud": "☁️", "factory": "🏭", "house": "🏠", "rocket": "🚀", "ship": "🚢",
    "anchor": "⚓", "fire_engine": "🚒", "pager": "📟", "telephone_receiver": "📞", "phone": "☎️", "robot_face": "🤖",
    "bug": "🐛", "test_tube": "🧪", "dna": "🧬", "bird": "🐦", "baby_chick": "🐤", "hatched_chick": "🐥",
    "sunny": "☀️", "crescent_moon": "🌙", "checkered_flag": "🏁", "triangular_flag_on_post": "🚩", "white_flag": "🏳️",
    "busts_in_silhouette": "👥", "bust_in_silhouette": "👤",
    # people
    "+1": "👍", "thumbsup": "👍", "-1": "👎", "thumbsdown": "👎", "wave": "👋", "ok_hand": "👌", "clap": "👏",
    "pray": "🙏", "raised_hands": "🙌", "raised_hand": "✋", "hand": "✋", "point_right": "👉", "point_left": "👈",
    "point_up": "☝️", "point_down": "👇", "muscle": "💪", "smile": "😄", "slightly_smiling_face": "🙂", "grinning": "😀",
    "joy": "😂", "sweat_smile": "😅", "thinking_face": "🤔", "disappointed": "😞", "cry": "😢", "scream": "😱",
    "facepalm": "🤦", "shrug": "🤷", "heart": "❤️", "tada": "🎉", "sparkles": "✨", "star": "⭐", "trophy": "🏆",
    "beers": "🍻", "coffee": "☕",
}  # fmt: skip
