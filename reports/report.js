// The page is whole without this: it only filters, and opens what a link points into.
"use strict";
const filters = document.getElementById("filters");

function wanted(element) {
  const { verdict, cluster } = element.dataset;
  const chosen = new FormData(filters);
  return chosen.getAll("verdict").includes(verdict) && (!chosen.get("cluster") || chosen.get("cluster") === cluster);
}

function inGroup(element) {
  const chosen = new FormData(filters);
  return ["area", "kind"].every((name) => !chosen.get(name) || chosen.get(name) === element.dataset[name]);
}

function filter() {
  const cluster = new FormData(filters).get("cluster");
  let shown = 0;
  for (const behaviour of document.querySelectorAll("article.behaviour")) {
    const judgements = [...behaviour.querySelectorAll(".judgement")];
    for (const judgement of judgements) judgement.hidden = !wanted(judgement);
    behaviour.hidden = !inGroup(behaviour) || judgements.every((judgement) => judgement.hidden);
    if (!behaviour.hidden) shown += judgements.filter((judgement) => !judgement.hidden).length;
  }
  for (const area of document.querySelectorAll("[data-group]")) {
    area.hidden = !area.querySelector("article.behaviour:not([hidden])");
  }
  for (const row of document.querySelectorAll(".matrix tr[data-area]")) {
    row.hidden = !inGroup(row) || ![...row.querySelectorAll("td[data-verdict]")].some(wanted);
  }
  for (const cell of document.querySelectorAll(".matrix [data-cluster]")) {
    cell.hidden = Boolean(cluster) && cell.dataset.cluster !== cluster;
  }
  for (const body of document.querySelectorAll(".matrix tbody")) {
    body.hidden = !body.querySelector("tr[data-area]:not([hidden])");
  }
  const all = document.querySelectorAll(".judgement").length;
  filters.querySelector("output").value = shown === all ? `${all} judgements` : `${shown} of ${all} judgements`;
}

function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.closest("article[hidden], section[hidden]")) {
    filters.reset();
    filter();
  }
  const details = target.matches(".judgement") ? target.querySelector("details.timeline") : target.closest("details");
  if (details) details.open = true;
  target.scrollIntoView({ block: target.matches("li") ? "center" : "start" });
}

filters.hidden = false;
filters.addEventListener("change", filter);
window.addEventListener("hashchange", reveal);
filter();
reveal();
