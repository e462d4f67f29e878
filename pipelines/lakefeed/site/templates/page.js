"use strict";
// The page is complete without this script, which filters rows and opens what a link points to.
for (const box of document.querySelectorAll("input[data-filters]")) {
  const parts = [...document.querySelectorAll(box.dataset.filters)];
  const output = box.parentElement.querySelector("output");
  box.addEventListener("input", () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const part of parts) {
      const title = part.dataset.name.toLowerCase();
      let shown = 0;
      for (const row of part.querySelectorAll("tbody tr")) {
        const text = title + " " + row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        if (!row.hidden) shown += 1;
      }
      part.hidden = words.length > 0 && shown === 0;
      part.open = words.length > 0 && shown > 0;
      found += shown;
    }
    output.textContent = words.length ? `${found} found` : "";
  });
}
function openTarget() {
  let part = document.getElementById(location.hash.slice(1));
  for (let one = part; one; one = one.parentElement) {
    if (one.tagName === "DETAILS") one.open = true;
  }
  if (part) part.scrollIntoView();
}
addEventListener("hashchange", openTarget);
openTarget();
const made = document.getElementById("made");
const days = Math.floor((Date.now() - Date.parse(made.dateTime)) / 86400000);
if (days >= 1) document.getElementById("made-ago").textContent = ` (${days} ${days > 1 ? "days" : "day"} ago)`;
