/** Instants in the reader's own zone, by Slack's date tokens. */

const WORDS = "en-GB";

export const dateOf = (ts) => new Date(Number(ts) * 1000);

export const timeOfDay = (date) => date.toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });

/** A name for the reader's day of an instant, the same all day. */
export const dayOf = (date) => `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;

const pad = (number) => String(number).padStart(2, "0");

/** "Today", "Yesterday", "Monday, 2 March" */
export function dayName(date, now = new Date()) {
  const near = nearDay(date, now);
  if (near) return near[0].toUpperCase() + near.slice(1);
  const year = date.getFullYear() === now.getFullYear() ? undefined : "numeric";
  return date.toLocaleDateString(WORDS, { weekday: "long", day: "numeric", month: "long", year });
}

function nearDay(date, now) {
  const days = Math.round((new Date(dayOf(date)) - new Date(dayOf(now))) / 86_400_000);
  return { 0: "today", "-1": "yesterday", 1: "tomorrow" }[days] ?? "";
}

const ordinal = (day) => {
  const ending = day % 100 > 10 && day % 100 < 14 ? "th" : { 1: "st", 2: "nd", 3: "rd" }[day % 10] ?? "th";
  return `${day}${ending}`;
};

const month = (date, form) => date.toLocaleDateString("en-US", { month: form });

const TOKENS = {
  date_num: (d) => dayOf(d),
  date_slash: (d) => dayOf(d).replaceAll("-", "/"),
  date: (d) => `${month(d, "long")} ${ordinal(d.getDate())}, ${d.getFullYear()}`,
  date_short: (d) => `${month(d, "short")} ${d.getDate()}, ${d.getFullYear()}`,
  date_long: (d) => `${d.toLocaleDateString("en-US", { weekday: "long" })}, ${TOKENS.date(d)}`,
  time: timeOfDay,
  time_secs: (d) => d.toLocaleTimeString([], { hour: "numeric", minute: "2-digit", second: "2-digit" }),
  ago: (d, now) => ago((now - d) / 1000),
};
for (const name of ["date", "date_short", "date_long"]) {
  TOKENS[`${name}_pretty`] = (d, now) => nearDay(d, now) || TOKENS[name](d);
}

function ago(seconds) {
  const form = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  for (const [unit, size] of [["day", 86_400], ["hour", 3_600], ["minute", 60]]) {
    if (Math.abs(seconds) >= size) return form.format(-Math.round(seconds / size), unit);
  }
  return form.format(-Math.round(seconds), "second");
}

/** A format as in `<!date^…>`: "{date_short_pretty} at {time}". Unknown tokens stay. */
const inWords = (format, date, now) => format.replace(/\{(\w+)\}/g, (whole, token) => TOKENS[token]?.(date, now) ?? whole);

/** Fill in every `<time data-unix data-format>` below `root`, and the presets of date-time inputs. */
export function localize(root, now = new Date()) {
  for (const element of root.querySelectorAll("time[data-unix]")) {
    const date = dateOf(element.dataset.unix);
    const said = inWords(element.dataset.format, date, now);
    const begins = !element.previousSibling;
    const shown = begins && said ? said[0].toUpperCase() + said.slice(1) : said;
    if (element.textContent !== shown) element.textContent = shown;
    element.title = date.toLocaleString([], { dateStyle: "full", timeStyle: "long" });
  }
  for (const input of root.querySelectorAll("input[type=datetime-local][data-unix]")) {
    const date = dateOf(input.dataset.unix);
    input.setAttribute("value", `${dayOf(date)}T${pad(date.getHours())}:${pad(date.getMinutes())}`);
  }
  return root;
}
