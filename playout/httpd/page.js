"use strict";
const rows = document.getElementById("rows");
const state = document.getElementById("state");

// flatten lists every plain value under its path.
function flatten(value, path, out) {
  if (value !== null && typeof value === "object") {
    for (const key of Object.keys(value)) flatten(value[key], path ? path + "." + key : key, out);
  } else {
    out.push([path || "value", String(value)]);
  }
  return out;
}

// show fills the table, and returns what is said to be wrong.
function show(status) {
  const values = flatten(status, "", []);
  rows.replaceChildren(...values.map(([name, value]) => {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    const cell = document.createElement("td");
    head.scope = "row";
    head.textContent = name;
    cell.textContent = value;
    row.append(head, cell);
    return row;
  }));
  return values.filter(([name, value]) => name.endsWith(".problem") && value).map(([, value]) => " Warning: " + value + ".").join("");
}

async function ask() {
  try {
    const answer = await fetch("/api/status");
    if (!answer.ok) throw new Error("status " + answer.status);
    const warnings = show(await answer.json());
    state.textContent = "As of " + new Date().toLocaleTimeString() + "." + warnings;
  } catch (error) {
    state.textContent = "No answer from stripecast (" + error.message + "); what is below is old.";
  }
  setTimeout(ask, 1000);
}
ask();
