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

// Keys: / goes to the filter, g and a letter to a page.
let wasG = false;
function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  if (event.key === "/") {
    const field = document.querySelector(".filter input:not([type=hidden])");
    if (field) { field.focus(); event.preventDefault(); }
  } else if (wasG) {
    const link = [...document.querySelectorAll(".top nav a")].find((a) => a.textContent.trim().toLowerCase().startsWith(event.key));
    if (link) link.click();
  }
  wasG = event.key === "g";
}

// News: what the page watches has changed, so the part of it that shows that is read again. At most once a
// second, and never while the page is hidden.
let stream = null;
let since = "";
let waiting = false;
let lastRead = 0;

function readAgain() {
  if (waiting) return;
  waiting = true;
  setTimeout(() => {
    waiting = false;
    lastRead = Date.now();
    htmx.ajax("GET", location.href, { target: "[data-news]", select: "[data-news]", swap: "outerHTML" });
  }, Math.max(0, lastRead + 1000 - Date.now()));
}

function notice(text) {
  const element = document.getElementById("notice");
  element.hidden = !text;
  element.textContent = text;
}

function watch() {
  if (stream || document.hidden) return;
  stream = new EventSource("/api/events?brief=true&" + document.body.dataset.live + "&since=" + encodeURIComponent(since));
  stream.addEventListener("open", () => notice(""));
  for (const kind of ["changed", "reload"]) stream.addEventListener(kind, (event) => { since = event.lastEventId || since; notice(""); readAgain(); });
  stream.addEventListener("outage", (event) => notice(JSON.parse(event.data).detail + ": what is shown here may be old. Tasks go on being sent and run meanwhile."));
  stream.addEventListener("error", () => {
    notice("There is no news for now: what is shown here may be old.");
    // A browser gives up after some answers; it is to come back all the same.
    if (stream.readyState === EventSource.CLOSED) { stream = null; setTimeout(watch, 5000); }
  });
}

// What somebody has opened stays open when it is read again.
let opened = [];
document.addEventListener("htmx:beforeSwap", (event) => {
  // Somebody has to sign in again, or the page is not what it was: then all of it is read again.
  const { xhr } = event.detail;
  const isSame = new URL(xhr.responseURL, location.href).pathname === location.pathname;
  if (!isSame || !xhr.responseText.includes("data-news")) { event.detail.shouldSwap = false; location.reload(); }
});
document.addEventListener("htmx:beforeSwap", () => { opened = [...document.querySelectorAll("details[open][id]")].map((d) => d.id); });
document.addEventListener("htmx:afterSettle", () => { for (const id of opened) { const d = document.getElementById(id); if (d) d.open = true; } });

document.addEventListener("DOMContentLoaded", () => {
  showTimes(document);
  setInterval(() => showTimes(document), 10000);
  // On a phone the places are a line that is wider than the window.
  document.querySelector(".top nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  const button = document.querySelector("[data-theme-button]");
  if (button) { button.hidden = false; button.addEventListener("click", switchTheme); }
  document.addEventListener("keydown", key);
  if (document.body.dataset.live !== undefined) {
    since = document.body.dataset.since;
    watch();
    document.addEventListener("visibilitychange", () => {
      // Browsers open few streams to one host: a hidden page gives its own back.
      if (!document.hidden) { watch(); readAgain(); } else if (stream) { stream.close(); stream = null; }
    });
  }
  document.addEventListener("htmx:afterSettle", () => showTimes(document));
});
