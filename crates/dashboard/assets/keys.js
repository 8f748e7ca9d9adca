// Keys, for those who would rather not reach for the mouse. A dialog of the page says which.
"use strict";

// The first link of each row of the page's lists.
const rows = () => [...document.querySelectorAll("main tbody tr")].map((row) => row.querySelector("a[href]")).filter((link) => link);

function move(by) {
  const links = rows();
  if (links.length === 0) return;
  const row = document.activeElement.closest("main tbody tr");
  const at = links.findIndex((link) => row?.contains(link));
  const to = at < 0 ? 0 : Math.min(Math.max(at + by, 0), links.length - 1);
  links[to].focus();
  links[to].scrollIntoView({ block: "nearest" });
}

function search() {
  const field = document.querySelector(".filter input:not([type=hidden])");
  if (field) { field.focus(); field.select(); }
}

function go(letter) {
  const links = [...document.querySelectorAll(".top nav a")];
  links.find((link) => link.textContent.trim().toLowerCase().startsWith(letter))?.click();
}

function tellKeys() {
  document.getElementById("keys")?.showModal();
}

const KEYS = new Map([["/", search], ["j", () => move(1)], ["k", () => move(-1)], ["?", tellKeys]]);

// After g, a letter leads to a page.
let wasG = false;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.closest("input, select, textarea, dialog")) return;
  const does = wasG ? () => go(event.key) : KEYS.get(event.key);
  // Shift alone is a key, too.
  if (event.key !== "Shift") wasG = !wasG && event.key === "g";
  if (!does || event.key === "Shift") return;
  event.preventDefault();
  does();
});

document.addEventListener("DOMContentLoaded", () => {
  const dialog = document.getElementById("keys");
  const button = document.querySelector("[data-keys-button]");
  if (!dialog || !button) return;
  button.hidden = false;
  button.addEventListener("click", tellKeys);
  dialog.querySelector("button").addEventListener("click", () => dialog.close());
});
