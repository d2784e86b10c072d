// The page is whole without this: it only filters and folds, and opens what a link points into.
"use strict";
const filters = document.getElementById("filters");
const bodies = [...document.querySelectorAll(".grid tbody")];
const fold = document.getElementById("fold");

function filter() {
  const chosen = new FormData(filters);
  const verdicts = chosen.getAll("verdict");
  let shown = 0;
  for (const body of bodies) {
    const open = body.querySelector("button").getAttribute("aria-expanded") === "true";
    const inArea = !chosen.get("area") || chosen.get("area") === body.dataset.area;
    let any = false;
    for (const row of body.querySelectorAll(".row")) {
      const wanted = inArea
        && row.dataset.verdicts.split(" ").some((verdict) => verdicts.includes(verdict))
        && (!chosen.get("kind") || chosen.get("kind") === row.dataset.kind)
        && (!chosen.get("differs") || "differs" in row.dataset);
      row.hidden = !(wanted && open);
      any ||= wanted;
      shown += wanted;
    }
    body.hidden = !any;
  }
  const all = document.querySelectorAll(".grid .row").length;
  filters.querySelector("output").value = shown === all ? `${all} behaviours` : `${shown} of ${all} behaviours`;
}

function unfold(body, open) {
  body.querySelector("button").setAttribute("aria-expanded", String(open));
}

function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  const details = target.closest("details");
  if (details) details.open = true;
  target.scrollIntoView();
}

for (const body of bodies) {
  body.querySelector("button").addEventListener("click", (event) => {
    unfold(body, event.currentTarget.getAttribute("aria-expanded") !== "true");
    filter();
  });
}
fold.addEventListener("click", () => {
  const open = fold.textContent !== "Fold areas";
  for (const body of bodies) unfold(body, open);
  fold.textContent = open ? "Fold areas" : "Unfold areas";
  filter();
});
filters.hidden = false;
filters.addEventListener("change", filter);
window.addEventListener("hashchange", reveal);
filter();
reveal();
