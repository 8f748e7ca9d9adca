// Everything here makes pages nicer; without it they can be read all the same.
"use strict";

// Times in the reader's zone, short in the page and exact on hover.
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
const ago = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });

function short(time, now) {
  const seconds = (time - now) / 1000;
  const distance = Math.abs(seconds);
  if (distance < 90) return ago.format(Math.round(seconds), "second");
  if (distance < 5400) return ago.format(Math.round(seconds / 60), "minute");
  if (distance < 79200 && time.getDate() === now.getDate()) return clock.format(time);
  return day.format(time);
}

function showTimes(root) {
  const now = new Date();
  for (const element of root.querySelectorAll("time[datetime]")) {
    const time = new Date(element.dateTime);
    if (Number.isNaN(time.getTime())) continue;
    element.title = exact.format(time);
    element.textContent = short(time, now);
  }
}

// Light, dark, or what the system says.
// In a frame of another site, storage may be forbidden.
function remembered(theme) {
  try {
    if (theme) localStorage.setItem("theme", theme);
    return localStorage.getItem("theme");
  } catch { return null; }
}
const theme = remembered();
if (theme) document.documentElement.dataset.theme = theme;

function switchTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  remembered(root.dataset.theme);
}

// News: what the page watches has changed, so the part of it that shows that is read again. At most once a
// second, and never while the page is hidden or somebody is at that part.
let stream = null;
let since = "";
let waiting = false;
let lastRead = 0;
// Where something changes all the time, the page is read again less often.
let pause = 1000;
let unseen = 0;
let isWanted = false;
let isGone = false;
let away = "";
const shown = () => document.querySelector("[data-news]");

// Somebody selects text there, or is at a field of a form.
function isBusy() {
  const part = shown();
  if (!part) return false;
  const selection = getSelection();
  const selects = !selection.isCollapsed && selection.rangeCount > 0 && selection.getRangeAt(0).intersectsNode(part);
  return selects || (part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea"));
}

function tellUnseen() {
  const element = document.getElementById("changes");
  element.hidden = unseen === 0;
  element.querySelector("span").textContent = unseen === 1 ? "1 change is not shown." : `${unseen} changes are not shown.`;
}

function readAgain(delay = 0) {
  if (waiting) return;
  waiting = true;
  setTimeout(() => {
    waiting = false;
    if (isBusy() && !isWanted) { unseen = Math.max(unseen, 1); tellUnseen(); return; }
    lastRead = Date.now();
    htmx.ajax("GET", location.href, { target: "[data-news]", select: "[data-news]", swap: "outerHTML" });
  }, Math.max(delay, lastRead + pause - Date.now()));
}

function notice(text) {
  const element = document.getElementById("notice");
  element.hidden = !text;
  element.textContent = text;
}

// What keeps news from coming, if anything does.
function tellAway(what) {
  away = what;
  notice(what && what + ": what is shown here may be old. Tasks go on being sent and run meanwhile.");
}

function noNews() {
  if (!away) notice("There is no news for now: what is shown here may be old.");
}

function changed(event) {
  since = event.lastEventId || since;
  pause = Date.now() - lastRead < 2 * pause ? Math.min(1.5 * pause, 5000) : 1000;
  unseen += event.type === "changed" ? JSON.parse(event.data).changed : 1;
  tellAway("");
  readAgain();
}

function watch() {
  if (stream || document.hidden || isGone) return;
  stream = new EventSource("/api/events?brief=true&" + document.body.dataset.live + "&since=" + encodeURIComponent(since));
  stream.addEventListener("open", () => tellAway(""));
  for (const kind of ["changed", "reload"]) stream.addEventListener(kind, changed);
  stream.addEventListener("outage", (event) => tellAway(JSON.parse(event.data).detail));
  stream.addEventListener("error", () => {
    // A browser gives up after some answers; it is to come back all the same. Why there was none, the page says.
    if (stream.readyState === EventSource.CLOSED) { stream = null; setTimeout(watch, 5000); readAgain(); }
    else noNews();
  });
}

// What the page shows was deleted: it stays as it was, and nobody asks for it any more.
function gone() {
  isGone = true;
  if (stream) stream.close();
  stream = null;
  notice("This was deleted meanwhile: what is shown here is the last that was known of it.");
}

// What somebody has opened, chosen, scrolled or is at stays so when it is read again.
const KEPT = "a[href], button, summary, input, select, textarea, pre, .table";
let kept = null;

// The same for what is the same before and after.
function nameOf(element) {
  if (element.id) return "#" + element.id;
  const place = element.closest("section[aria-labelledby], details[id]");
  const parts = [element.tagName, place?.getAttribute("aria-labelledby") ?? place?.id, element.form?.getAttribute("action")];
  return [...parts, element.getAttribute("href"), element.getAttribute("name"), element.getAttribute("value")].join(" ");
}

function keep() {
  const all = [...shown().querySelectorAll(KEPT)];
  kept = {
    opened: [...shown().querySelectorAll("details[open][id]")].map((details) => details.id),
    checked: new Set(all.filter((element) => element.checked).map(nameOf)),
    scrolled: new Map(all.filter((element) => element.scrollTop || element.scrollLeft).map((element) => [nameOf(element), [element.scrollLeft, element.scrollTop]])),
    at: shown().contains(document.activeElement) ? nameOf(document.activeElement) : null,
  };
}

function giveBack() {
  if (!kept || !shown()) return;
  for (const id of kept.opened) { const details = document.getElementById(id); if (details) details.open = true; }
  for (const element of shown().querySelectorAll(KEPT)) {
    const name = nameOf(element);
    if (element.type === "checkbox" || element.type === "radio") element.checked = element.checked || kept.checked.has(name);
    if (kept.scrolled.has(name)) element.scrollTo(...kept.scrolled.get(name));
    if (name === kept.at) { element.focus({ preventScroll: true }); kept.at = null; }
  }
  kept = null;
}

document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr } = event.detail;
  const isSame = new URL(xhr.responseURL, location.href).pathname === location.pathname;
  if (isSame && xhr.status === 200 && xhr.responseText.includes("data-news")) {
    // Somebody may have begun to select meanwhile.
    if (isBusy() && !isWanted) { event.detail.shouldSwap = false; unseen = Math.max(unseen, 1); tellUnseen(); return; }
    unseen = 0;
    isWanted = false;
    tellUnseen();
    tellAway("");
    keep();
    return;
  }
  event.detail.shouldSwap = false;
  if (isSame && xhr.status === 404) gone();
  // What is shown is better than nothing.
  else if (xhr.status >= 500 || xhr.status === 429) {
    const page = new DOMParser().parseFromString(xhr.responseText, "text/html");
    tellAway(page.querySelector("h1")?.textContent ?? "Something is away");
    readAgain(5000);
  }
  // Somebody has to sign in again, or the page is not what it was: then all of it is read again.
  else location.reload();
});
document.addEventListener("htmx:sendError", () => { noNews(); readAgain(5000); });
document.addEventListener("htmx:afterSettle", giveBack);
for (const kind of ["selectionchange", "focusout"]) document.addEventListener(kind, () => { if (unseen && !isBusy()) readAgain(); });

document.addEventListener("DOMContentLoaded", () => {
  showTimes(document);
  setInterval(() => showTimes(document), 10000);
  // On a phone the places are a line that is wider than the window.
  document.querySelector(".top nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  const button = document.querySelector("[data-theme-button]");
  if (button) { button.hidden = false; button.addEventListener("click", switchTheme); }
  if (shown()) {
    document.querySelector("#changes button").addEventListener("click", () => { isWanted = true; readAgain(); });
    // Of what broker, daemon and workers do, or that they do nothing more, no news comes.
    setInterval(() => { if (!document.hidden && !isGone) readAgain(); }, 15000);
  }
  if (document.body.dataset.live !== undefined) {
    since = document.body.dataset.since;
    watch();
    document.addEventListener("visibilitychange", () => {
      // Browsers open few streams to one host: a hidden page gives its own back.
      if (!document.hidden && !isGone) { watch(); readAgain(); } else if (stream) { stream.close(); stream = null; }
    });
  }
  document.addEventListener("htmx:afterSettle", () => showTimes(document));
});
